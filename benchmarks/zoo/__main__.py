"""`python -m benchmarks.zoo [--seeds N ...] [--variant drawn] [--only NAME ...] [--daily NAME ...] [--peers] [...]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import RESULTS, write_docs, write_json
from benchmarks.zoo.daily import make_daily_table, measure_daily
from benchmarks.zoo.measure import SHORT, SHORT_WEEKS, Zoo, measure
from benchmarks.zoo.peers import measure_peers
from benchmarks.zoo.seeds import measure_seeds, zoos_of
from benchmarks.zoo.streams import ZOO

SEEDS, DAYS = "zoo-seeds", "zoo-daily"
"""Names of what is kept of several seeds, and of looks at every day."""


def main() -> int:
    """Run the zoo, or a part of it."""
    parser = _parser()
    given = parser.parse_args()
    if given.code is not None:
        sys.path.insert(0, str(given.code.resolve()))
    weeks = given.weeks or (SHORT_WEEKS if given.short else 52)
    usual = Zoo(seed=given.seed, variant=given.variant, weeks=weeks, folder=given.out or RESULTS / "zoo", own=given.own)
    try:
        zoos = zoos_of(given.seeds or [str(given.seed)], usual)
    except ValueError as error:
        parser.error(f"--seeds: {error}")
    names = tuple(given.only or (SHORT if given.short else ZOO))
    if given.daily:
        _show_days(zoos, given.daily)
    elif given.peers:
        table, outcomes = measure_peers(usual, names, given.workers)
        print(f"\n{table.markdown()}\n{write_json(f'zoo-{usual.name}-peers', outcomes, table)}")
    elif given.seeds:
        table, figures = measure_seeds(zoos, names, given.workers)
        print(f"\n{table.markdown()}\n{write_json(SEEDS, figures, table)}")
    else:
        table, figures = measure(usual, names, given.workers)
        print(f"\n{table.markdown()}\n{write_json(f'zoo-{usual.name}', figures, table)}")
    if given.write_docs:
        write_docs([name for name in (SEEDS, DAYS) if (RESULTS / f"{name}.json").exists()], "benchmarks.zoo")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (default: 1)")
    parser.add_argument(
        "--seeds", nargs="+", metavar="N[:VARIANT]", help="several, with mean and spread: `1 2 3:drawn 4:drawn`"
    )
    parser.add_argument(
        "--variant", choices=("shared", "drawn"), default="shared", help="drawn: other rates, days and magnitudes"
    )
    parser.add_argument("--only", nargs="+", choices=list(ZOO), metavar="NAME", help="which streams (default: all)")
    parser.add_argument("--weeks", type=int, help="of each replay (default: 52)")
    parser.add_argument("--short", action="store_true", help=f"six streams, {SHORT_WEEKS} weeks")
    parser.add_argument("--daily", nargs="+", choices=list(ZOO), metavar="NAME", help="look at these every day instead")
    parser.add_argument(
        "--own", action="store_true", help="only the specification's own policy: the same verdicts, sooner"
    )
    parser.add_argument("--peers", action="store_true", help="beside the published policies, at three costs, instead")
    parser.add_argument("--workers", type=int, default=2, help="streams side by side (default: 2)")
    parser.add_argument("--code", type=Path, help="working tree whose airflow_mlops is run (default: this one's)")
    parser.add_argument(
        "--out", type=Path, help="folder of streams and finished work (default: benchmarks/results/zoo)"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="write the newest tables by seed and by day into docs/benchmarks.md"
    )
    return parser


def _show_days(zoos: Sequence[Zoo], names: Sequence[str]) -> None:
    """Print each stream's days on which something was done, and at the end how often that is."""
    kept = []
    for zoo in zoos:
        for name in names:
            table, found = measure_daily(zoo, name)
            kept.append(found)
            print(f"\n{table.text()}", flush=True)
    table, rates = make_daily_table(kept)
    counted = [{key: value for key, value in one.items() if key != "days"} for one in kept]
    print(f"\n{table.text()}\n{write_json(DAYS, {'a_stream_and_year': rates, 'streams': counted}, table)}")


if __name__ == "__main__":
    sys.exit(main())
