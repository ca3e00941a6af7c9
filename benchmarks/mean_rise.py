"""How often the row of blocks of a champion that never changes is called decayed in a year, and how late one that does.

Run by itself: ``python -m benchmarks.mean_rise``; nothing here is a matter of speed. Every stream has 14 blocks of
reference and 364 in service, is looked at every day, and nothing is allowed for: a bound makes false calls rarer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlops.core.arrays import Array

REFERENCE, YEAR, CHANGE = 14, 364, 80
"""Blocks of reference, in service, and in service before a change."""


def neighbours(rng: np.random.Generator, dependence: float, count: int) -> Array:
    """Blocks of a first-order autoregression, of variance 1."""
    import numpy as np

    noise = rng.normal(size=count) * np.sqrt(1 - dependence**2)
    values = np.empty(count)
    values[0] = rng.normal()
    for place in range(1, count):
        values[place] = dependence * values[place - 1] + noise[place]
    return values


def _squared_errors(rng: np.random.Generator) -> Array:
    """Root mean squares of 250 errors of log-normal amounts: tails that no mean of a day can hide."""
    import numpy as np

    amounts = np.exp(3 + 1.2 * rng.normal(size=(REFERENCE + YEAR, 250)))
    found: Array = np.sqrt(((amounts - 41.0) ** 2).mean(axis=1))
    return found


def _few_rows(rng: np.random.Generator) -> Array:
    """Log loss of 40 labels, less what a calibrated model expects of them."""
    import numpy as np

    score = 1.2 * rng.normal(size=(REFERENCE + YEAR, 40))
    probability = 1 / (1 + np.exp(-score))
    label = rng.random(score.shape) < probability
    found: Array = -((label - probability) * score).mean(axis=1)
    return found


def _rare(rng: np.random.Generator) -> Array:
    return rng.poisson(2, REFERENCE + YEAR) * 5.0


def _weekends(rng: np.random.Generator) -> Array:
    import numpy as np

    return rng.normal(size=REFERENCE + YEAR) + (np.arange(REFERENCE + YEAR) % 7 >= 5)


STREAMS: dict[str, Callable[[np.random.Generator], Array]] = {
    "independent": lambda rng: neighbours(rng, 0.0, REFERENCE + YEAR),
    "neighbours 0.4": lambda rng: neighbours(rng, 0.4, REFERENCE + YEAR),
    "neighbours 0.7": lambda rng: neighbours(rng, 0.7, REFERENCE + YEAR),
    "log-normal errors": _squared_errors,
    "40 labels a block": _few_rows,
    "two positives a block": _rare,
    "weekends are harder": _weekends,
}


def changed(rng: np.random.Generator, size: float, dependence: float = 0.0) -> Array:
    """A stream that rises by so many standard deviations of a block."""
    values = neighbours(rng, dependence, REFERENCE + CHANGE + 120)
    values[REFERENCE + CHANGE :] += size
    return values


def calls(values: Array, *, every: int) -> int | None:
    """Return after how many blocks behind `CHANGE` a stream is called, looked at so often; None: never."""
    from airflow_mlops.core.stats.mean_rise import find_rise

    for count in range(REFERENCE + 3, len(values) + 1, every):
        found = find_rise(values[:count].tolist(), REFERENCE, 0.0)
        if found is not None and found.sure:
            return count - REFERENCE - CHANGE
    return None


def main() -> None:
    """Print both tables."""
    import numpy as np

    rng, years = np.random.default_rng(1), 400
    print("| blocks without a change | called in a year of daily looks |\n|---|---|")
    for name, make in STREAMS.items():
        share = sum(calls(make(rng), every=1) is not None for _ in range(years)) / years
        print(f"| {name} | {share:.1%} |", flush=True)
    print("\n| rise, in standard deviations of a block | neighbours | called | early | median delay, blocks |")
    print("|---|---|---|---|---|")
    for dependence in (0.0, 0.4, 0.7):
        for size in (0.5, 1.0, 2.0, 5.0):
            delays = [calls(changed(rng, size, dependence), every=1) for _ in range(100)]
            late = [delay for delay in delays if delay is not None and delay >= 0]
            early = sum(delay is not None and delay < 0 for delay in delays)
            median = f"{np.median(late):.0f}" if late else "-"
            print(f"| {size:g} | {dependence:g} | {len(late)}% | {early}% | {median} |", flush=True)


if __name__ == "__main__":
    main()
