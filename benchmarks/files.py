"""Files as they come: a window in three of a thousand, thousands listed, a wide table, a large CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.child import in_child, measured
from benchmarks.report import Table

START = datetime(2022, 1, 1, tzinfo=UTC)
FOLDERS = {
    "files named after their day": "%Y-%m-%d",
    "folders of a partition by day": "day=%Y-%m-%d/part-0",
    "files without a date in their names": "",
}


def measure(files: int, many: int, columns: int, megabytes: int) -> tuple[Table, dict[str, Any]]:
    """Measure each in a fresh process."""
    found: list[dict[str, Any]] = []
    for name, form in FOLDERS.items():
        with TemporaryDirectory(prefix="mlops-bench-") as folder:
            in_child("files:write_days", folder=folder, files=files, form=form)
            for function, how in (("window_of", "airflow_mlops"), ("window_by_dataset", "peer: pyarrow.dataset")):
                what = f"a window in three of {files:,} {name}"
                found.append({"what": what, "how": how, **in_child(f"files:{function}", folder=folder, files=files)})
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        in_child("files:write_days", folder=folder, files=many, form="%Y-%m-%d")
        found.append({"what": f"columns of {many:,} files", "how": "", **in_child("files:listed", folder=folder)})
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        in_child("files:write_wide", folder=folder, columns=columns)
        found.append(
            {
                "what": f"a table of {columns} columns",
                "how": "",
                **in_child("files:whole", limit_seconds=1200, folder=folder),
            }
        )
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        in_child("files:write_csv", limit_seconds=1200, folder=folder, megabytes=megabytes)
        found.append(
            {
                "what": f"a CSV file of {megabytes} MB",
                "how": "",
                **in_child("files:whole", limit_seconds=1200, folder=folder),
            }
        )
    table = Table(
        title="Files as they come",
        heads=("what", "how", "rows", "seconds", "peak MB", "MB above imports"),
        rows=tuple(
            (
                one["what"],
                one["how"],
                f"{one['rows']:,}",
                f"{one['seconds']:.2f}",
                f"{one['peak_mb']:.0f}",
                f"{one['peak_mb'] - one['base_mb']:.0f}",
            )
            for one in found
        ),
        notes=(
            (
                "That no other file is opened where names say the day is shown by tests/stores/files/test_choose.py: "
                "there, all but the three and their neighbours are broken."
            ),
        ),
    )
    return table, {"runs": found}


def _name(form: str, day: int) -> str:
    return f"{(START + timedelta(days=day)).strftime(form)}.parquet" if form else f"part-{day:05}.parquet"


def write_days(folder: str, files: int, form: str) -> dict[str, Any]:
    """Write a file for each day, 24 rows in each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for day in range(files):
        path = Path(folder) / "rows" / _name(form, day)
        path.parent.mkdir(parents=True, exist_ok=True)
        times = [START + timedelta(days=day, hours=hour) for hour in range(24)]
        pq.write_table(pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "x": range(24)}), path)
    return {"files": files}


def _imports() -> None:
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.dataset
    import pyarrow.parquet  # noqa: F401


def _ends(files: int) -> tuple[datetime, datetime]:
    start = START + timedelta(days=files // 2)
    return start, start + timedelta(days=3)


def window_of(folder: str, files: int) -> dict[str, Any]:
    """Read three days."""
    _imports()
    from airflow_mlops.core.records.snapshot import Window
    from airflow_mlops.stores.files.store import FileStore

    start, end = _ends(files)
    window = Window(start=start, end=end)
    store = FileStore(f"{folder}/rows")
    return measured(lambda: sum(batch.num_rows for batch in store.read(window, "t", ["t", "x"])))


def window_by_dataset(folder: str, files: int) -> dict[str, Any]:
    """Read three days with pyarrow's own data sets, which know nothing of names but partitions."""
    _imports()
    import pyarrow.dataset as pads

    start, end = _ends(files)

    def read() -> int:
        rows = pads.dataset(f"{folder}/rows", partitioning="hive")
        return int(rows.to_table(filter=(pads.field("t") >= start) & (pads.field("t") < end)).num_rows)

    return measured(read)


def listed(folder: str) -> dict[str, Any]:
    """Say the columns of all files: each footer is read."""
    _imports()
    from airflow_mlops.stores.files.store import FileStore

    return measured(lambda: len(FileStore(f"{folder}/rows").schema()))


def write_wide(folder: str, columns: int) -> dict[str, Any]:
    """Write 20,000 rows of many columns."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(1)
    times = [START + timedelta(minutes=minute) for minute in range(20_000)]
    table = {"t": pa.array(times, pa.timestamp("us", "UTC"))}
    table |= {f"n{place}": rng.normal(size=20_000) for place in range(columns)}
    (Path(folder) / "rows").mkdir()
    pq.write_table(pa.table(table), f"{folder}/rows/a.parquet")
    return {"columns": columns}


def write_csv(folder: str, megabytes: int) -> dict[str, Any]:
    """Write one CSV file of numbers and texts."""
    (Path(folder) / "rows").mkdir()
    with (Path(folder) / "rows/a.csv").open("w") as file:
        file.write("t,id,word,a,b,c,d\n")
        for chunk in _chunks():
            file.write(chunk)
            if file.tell() >= megabytes * 1_000_000:
                break
    return {"megabytes": megabytes}


def _chunks() -> Iterator[str]:
    row = 0
    while True:
        lines = (
            f"{(START + timedelta(seconds=n)).isoformat()},o{n:09},word{n % 97},{n * 0.37:.4f},{n % 1013},{n / 7:.6f},"
            "\n"
            for n in range(row, row + 20_000)
        )
        yield "".join(lines)
        row += 20_000


def whole(folder: str) -> dict[str, Any]:
    """Read everything as a snapshot does, in batches."""
    _imports()
    from airflow_mlops.core.records.snapshot import Window
    from airflow_mlops.stores.files.store import FileStore

    window = Window(start=START, end=START + timedelta(days=4000))
    store = FileStore(f"{folder}/rows")

    def read() -> int:
        names = [column.name for column in store.schema(window, "t")]
        return sum(batch.num_rows for batch in store.read(window, "t", names))

    return measured(read)
