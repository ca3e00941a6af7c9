"""`python -m benchmarks [--only NAME ...] [--smoke] [--write-docs]`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import (
    backtest,
    bootstrap,
    drift,
    drift_days,
    estimate,
    files,
    gate,
    groups,
    leakage,
    levels,
    loop,
    mean_rise,
    parse,
    profile,
    recalibration,
    refit,
    s3,
    shadow,
    stages,
    triggers,
    wide,
)
from benchmarks.child import SETTINGS
from benchmarks.report import Table, write_docs, write_json
from benchmarks.zoo.measure import SHORT, Zoo
from benchmarks.zoo.measure import measure as measure_zoo

ALL: dict[str, Callable[[bool], tuple[Table, dict[str, Any]]]] = {
    "parse": lambda smoke: parse.measure(2 if smoke else 7),
    "stages": lambda smoke: stages.measure((20_000, 40_000) if smoke else (250_000, 1_000_000, 4_000_000)),
    "loop": lambda _: loop.measure(),
    "s3": lambda smoke: s3.measure(months=1 if smoke else 4),
    "gate": lambda smoke: gate.measure(5000 if smoke else 50_000),
    "wide": lambda smoke: wide.measure((20, 40) if smoke else (75, 150, 300, 600)),
    "files": lambda smoke: files.measure(
        files=30 if smoke else 1000,
        many=50 if smoke else 5000,
        columns=60 if smoke else 600,
        megabytes=2 if smoke else 1000,
    ),
    "bootstrap": lambda smoke: bootstrap.measure(
        rows=30_000 if smoke else 1_000_000, resamples=1000 if smoke else 10_000, loops=10 if smoke else 40
    ),
    "triggers": lambda smoke: triggers.measure(
        models=100 if smoke else 1000,
        sources=10 if smoke else 50,
        interval=2.0 if smoke else 10.0,
        seconds=6.0 if smoke else 60.0,
    ),
    "profile": lambda smoke: profile.measure(
        rows=30_000 if smoke else 1_000_000,
        most_rows=60_000 if smoke else 20_000_000,
        sql_rows=20_000 if smoke else 1_000_000,
        repeats=2 if smoke else 5,
    ),
    "backtest": lambda smoke: backtest.measure(months=2 if smoke else 10),
    "drift": lambda smoke: drift.measure(0.02 if smoke else 1.0),
    "zoo": lambda smoke: measure_zoo(Zoo(weeks=10), SHORT[:1]) if smoke else measure_zoo(Zoo()),
    "mean_rise": lambda smoke: mean_rise.measure(years=2 if smoke else 200, changes=2 if smoke else 60),
    "recalibration": lambda smoke: recalibration.measure(years=2 if smoke else 200, changes=2 if smoke else 60),
    "shadow": lambda smoke: shadow.measure(years=2 if smoke else 200),
    "drift_days": lambda smoke: drift_days.measure(
        streams=1 if smoke else 6, weeks=4 if smoke else 52, shifted=1 if smoke else 20
    ),
    "estimate": lambda smoke: estimate.measure(worlds=2 if smoke else 40),
    "leakage": lambda smoke: leakage.measure(share=0.05 if smoke else 1.0, planted=1 if smoke else 5),
    "refit": lambda smoke: refit.measure(worlds=1 if smoke else 30),
    "groups": lambda smoke: groups.measure(worlds=4 if smoke else 400),
    "levels": lambda smoke: levels.measure(worlds=40 if smoke else 500, resamples=200 if smoke else 400),
}


def main() -> int:
    """Run the benchmarks one after the other: they would disturb each other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(ALL), default=list(ALL), help="which (default: all)")
    parser.add_argument("--smoke", action="store_true", help="few rows and repetitions: does it run at all?")
    parser.add_argument("--write-docs", action="store_true", help="write the newest tables into docs/benchmarks.md")
    given = parser.parse_args()
    if given.write_docs and given.smoke:
        parser.error("--write-docs takes real figures, without --smoke")
    os.environ.update(SETTINGS)
    for name, measure in ALL.items():
        if name not in given.only:
            continue
        began = time.perf_counter()
        table, figures = measure(given.smoke)
        print(f"\n{table.text()}", flush=True)
        print(f"  ({time.perf_counter() - began:.0f} s; {write_json(name, figures, table)})", flush=True)
    if given.write_docs:
        write_docs(list(ALL))
    return 0


if __name__ == "__main__":
    sys.exit(main())
