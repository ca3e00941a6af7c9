"""Ten months of flights at a 14-day cadence: the whole backtest, as the command runs it."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.report import Table

SPEC = Path(__file__).parents[1] / "dags" / "models" / "flight_delay.yaml"
START, END = datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 12, 31, tzinfo=UTC)
LIMIT_SECONDS = 90


def measure(*, months: int = 10, workers: int | None = None) -> tuple[Table, dict[str, Any]]:
    """Replay so many months into an empty folder, and once more into the folder that is full then."""
    from airflow_mlops.cli.backtest import open_folder
    from airflow_mlops.core.backtest import backtest, plan_of
    from airflow_mlops.reports.backtest.tables import NAMES, cells, heads
    from airflow_mlops.spec import load_spec
    from airflow_mlops.stores.open_source import open_source
    from dev.demo.flights import build

    spec = load_spec(SPEC)
    plan = plan_of(spec, START, min(END, START + timedelta(days=31 * months)), timedelta(days=14))
    cores = workers or min(2, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder) / "data")
        store = partial(open_source, spec.data.source, data_root=folder)
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            report, _ = backtest(plan, store, partial(open_folder, folder), state=f"{folder}/state", workers=cores)
            seconds.append(time.perf_counter() - began)
    table = Table(
        title=f"Backtest of {len(plan.steps)} steps of flights, {cores} processes: {seconds[0]:.0f} s",
        heads=("policy", *heads(report)),
        rows=tuple((NAMES[line.policy], *cells(line)) for line in report.lines),
        notes=(
            f"Limit: {LIMIT_SECONDS} s for ten months on 2 cores. Again, with everything finished: {seconds[1]:.1f} s.",
            "What the columns mean: docs/backtest.md.",
        ),
    )
    return table, {"seconds": seconds[0], "again_seconds": seconds[1], "workers": cores, "report": report.to_json()}
