"""`python -m benchmarks.zoo [--seed N] [--variant drawn] [--only NAME ...] [--daily NAME ...] [--peers] [...]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.report import write_json
from benchmarks.zoo.daily import measure_daily
from benchmarks.zoo.measure import SHORT, SHORT_WEEKS, Zoo, measure
from benchmarks.zoo.peers import measure_peers
from benchmarks.zoo.streams import ZOO


def main() -> int:
    """Run the zoo, or a part of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (default: 1)")
    parser.add_argument(
        "--variant", choices=("shared", "drawn"), default="shared", help="drawn: other rates, days and magnitudes"
    )
    parser.add_argument("--only", nargs="+", choices=list(ZOO), metavar="NAME", help="which streams (default: all)")
    parser.add_argument("--weeks", type=int, help="of each replay (default: 52)")
    parser.add_argument("--short", action="store_true", help=f"six streams, {SHORT_WEEKS} weeks")
    parser.add_argument("--daily", nargs="+", choices=list(ZOO), metavar="NAME", help="look at these every day instead")
    parser.add_argument("--peers", action="store_true", help="beside the published policies, at three costs, instead")
    parser.add_argument("--workers", type=int, default=2, help="streams side by side (default: 2)")
    parser.add_argument("--code", type=Path, help="working tree whose airflow_mlops is run (default: this one's)")
    parser.add_argument(
        "--out", type=Path, help="folder of streams and finished work (default: benchmarks/results/zoo)"
    )
    given = parser.parse_args()
    if given.code is not None:
        sys.path.insert(0, str(given.code.resolve()))
    zoo = Zoo(seed=given.seed, variant=given.variant, weeks=given.weeks or (SHORT_WEEKS if given.short else 52))
    if given.out is not None:
        zoo = Zoo(seed=zoo.seed, variant=zoo.variant, weeks=zoo.weeks, folder=given.out)
    if given.daily:
        for name in given.daily:
            print(f"\n{measure_daily(zoo, name)[0].text()}", flush=True)
        return 0
    names = tuple(given.only or (SHORT if given.short else ZOO))
    if given.peers:
        table, outcomes = measure_peers(zoo, names, given.workers)
        print(f"\n{table.markdown()}\n{write_json(f'zoo-{zoo.name}-peers', outcomes, table)}")
        return 0
    table, figures = measure(zoo, names, given.workers)
    print(f"\n{table.markdown()}\n{write_json(f'zoo-{zoo.name}', figures, table)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
