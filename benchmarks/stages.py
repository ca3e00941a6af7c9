"""Snapshot, validation and scoring: rows per second, and how memory goes with rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import rows as work
from benchmarks.child import in_child
from benchmarks.report import Table

SIZED = ("snapshot", "score")
"""Stages that promise memory which does not grow with rows: measured at every size."""
PEERS = {
    "snapshot": ("snapshot_pandas", "peer: pandas read_parquet, to_parquet"),
    "score": ("score_pandas", "peer: pandas read_parquet, predict_proba on all rows"),
    "validate": ("validate_gx", "peer: Great Expectations, the same checks in one batch"),
}


def measure(sizes: Sequence[int]) -> tuple[Table, dict[str, Any]]:
    """Measure each stage and its peer, each in a fresh process, on the same files.

    The peers run at the middle size: at the largest, rows in memory at once may not fit.
    """
    middle = sorted(sizes)[len(sizes) // 2 if len(sizes) > 2 else 0]
    found: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        in_child("rows:generate", folder=folder, rows=max(sizes))
        in_child("rows:train", folder=folder)
        for size in sizes:
            _link(Path(folder), size)
        for stage, (peer, name) in PEERS.items():
            ours = [(stage, "airflow_mlops", size) for size in (sizes if stage in SIZED else (middle,))]
            for function, how, size in [*ours, (peer, name, middle)]:
                found += [{"stage": stage, "how": how, **_one(function, folder, size)}]
    table = Table(
        title=f"Stages on {work.COLUMNS} columns",
        heads=("stage", "how", "rows", "seconds", "rows/s", "peak MB", "MB above imports"),
        rows=tuple(_cells(one) for one in found),
        notes=tuple(_growth(stage, found) for stage in SIZED) + tuple(_ratio(stage, found, middle) for stage in PEERS),
    )
    return table, {"columns": work.COLUMNS, "runs": found}


def _one(function: str, folder: str, size: int) -> dict[str, Any]:
    return in_child(f"rows:{function}", folder=folder, rows=f"rows-{size}")


def _link(folder: Path, size: int) -> None:
    """Make a folder of the first `size` rows out of the files of all rows."""
    target = folder / f"rows-{size}"
    target.mkdir()
    files = sorted((folder / "rows").glob("*.parquet"))
    whole, rest = divmod(size, work.FILE_ROWS)
    if rest:  # smoke sizes end within a file
        in_child("rows:head", source=str(files[whole]), target=str(target / files[whole].name), count=rest)
    for file in files[:whole]:
        (target / file.name).hardlink_to(file)


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        one["stage"],
        one["how"],
        f"{one['rows']:,}",
        f"{one['seconds']:.2f}",
        f"{one['rows_per_second']:,.0f}",
        f"{one['peak_mb']:.0f}",
        f"{one['peak_mb'] - one['base_mb']:.0f}",
    )


def _ours(stage: str, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in found if one["stage"] == stage and one["how"] == "airflow_mlops"]


def _growth(stage: str, found: Sequence[dict[str, Any]]) -> str:
    ours = _ours(stage, found)
    first, last = ours[0], ours[-1]
    return (
        f"{stage}: {last['rows'] / first['rows']:.0f} times the rows take "
        f"{last['peak_mb'] / first['peak_mb']:.2f} times the memory."
    )


def _ratio(stage: str, found: Sequence[dict[str, Any]], size: int) -> str:
    ours = next(one for one in _ours(stage, found) if one["rows"] == size)
    peer = next(one for one in found if one["stage"] == stage and one["how"] != "airflow_mlops")
    return (
        f"{stage} at {size:,} rows: {ours['seconds'] / peer['seconds']:.2f} times the peer's time, "
        f"{ours['peak_mb'] / peer['peak_mb']:.2f} times its memory."
    )
