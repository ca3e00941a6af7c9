"""Speed and memory, measured in one run so that ratios mean something: `make bench` or `python -m benchmarks`.

No test measures time. What is printed here is also written to `benchmarks/results/`, and with `--write-docs` into
`docs/benchmarks.md`.
"""
