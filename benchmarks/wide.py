"""The gate's time against the number of columns: every rule on, 2,000 rows, numeric features of no meaning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.child import enter_loop_home, in_child
from benchmarks.gate import AS_OF, _month
from benchmarks.report import Table

ROWS = 2_000
GOALS = {300: 10.0, 600: 20.0}
"""Seconds of the gate's task at most, by number of columns."""


def measure(columns: Sequence[int]) -> tuple[Table, dict[str, Any]]:
    """Judge a first model of each width, each in a fresh process that has its imports."""
    found = []
    for count in columns:
        with TemporaryDirectory(prefix="mlops-bench-") as folder:
            found.append(
                {"columns": count, **in_child("wide:judged", limit_seconds=1200, folder=folder, columns=count)}
            )
    first, last = found[0], found[-1]
    table = Table(
        title=f"The gate on wide tables, {ROWS:,} rows",
        heads=("columns", "seconds", "seconds for 100 columns", ""),
        rows=tuple(
            (
                f"{one['columns']:,}",
                f"{one['seconds']:.1f}",
                f"{one['seconds'] / one['columns'] * 100:.2f}",
                f"goal: under {GOALS[one['columns']]:.0f} s" if one["columns"] in GOALS else "",
            )
            for one in found
        ),
        notes=(
            (
                f"{last['columns'] / first['columns']:.0f} times the columns take "
                f"{last['seconds'] / first['seconds']:.1f} times the time."
            ),
        ),
    )
    return table, {"runs": found}


def judged(folder: str, columns: int) -> dict[str, Any]:
    """Train on rows of so many features and judge the model; return what the gate's task took."""
    root = enter_loop_home(folder)
    from airflow_mlops.spec import ModelSpec

    _write(root / "rows.parquet", columns)
    spec = ModelSpec.model_validate(
        {
            "name": "bench",
            "owner": "bench",
            "data": {"source": {"path": "rows.parquet"}, "time": "at", "key": "id", "label": "late", "window": "60d"},
            "training": {
                "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
                "parameters": {"max_iter": 10},
            },
            "gate": {"min_rows": 100, "serving": {"mode": "off"}},
        }
    )
    return {"seconds": _month(spec, AS_OF, "first")["gate_seconds"]}


def _write(path: Path, columns: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(1)
    load = rng.normal(size=ROWS)
    times = [AS_OF - timedelta(minutes=40 * (ROWS - row)) for row in range(ROWS)]
    features = {f"n{place:04}": rng.normal(size=ROWS) for place in range(columns - 1)}
    late = (load + 0.8 * rng.normal(size=ROWS) > 0.5).astype(int)
    at = pa.array(times, pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"id": np.arange(ROWS), "at": at, "late": late, "load": load, **features}), path)
