"""Parquet files: only what a window needs is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.files.parquet import ParquetPart
from airflow_mlops.stores.files.store import FileStore
from tests.support.files import DAY, NOON, read


def test_only_row_groups_that_may_hold_the_window_are_read(tmp_path: Path) -> None:
    times = [DAY.start + timedelta(hours=i) for i in range(240)]
    pq.write_table(pa.table({"t": times}), tmp_path / "a.parquet", row_group_size=24)
    part = ParquetPart(pa.fs.LocalFileSystem(), str(tmp_path / "a.parquet"))
    later = Window(start=DAY.start + timedelta(hours=50), end=DAY.start + timedelta(hours=73))
    assert part.row_groups(later, "t") == [2, 3]


def test_a_file_of_one_row_group_is_read_in_small_batches(tmp_path: Path) -> None:
    times = [DAY.start + timedelta(seconds=i) for i in range(50_000)]
    pq.write_table(pa.table({"t": times, "x": range(50_000)}), tmp_path / "a.parquet", row_group_size=50_000)
    sizes = [batch.num_rows for batch in FileStore(str(tmp_path)).read(DAY, "t", ["x"], chunk_rows=1000)]
    assert sizes == [1000] * 50


def test_nanoseconds_before_1970_stay_in_their_window(tmp_path: Path) -> None:
    start = datetime(1969, 12, 31, tzinfo=UTC)
    last = pa.array([-1], pa.int64()).cast(pa.timestamp("ns"))  # the last nanosecond of the day
    pq.write_table(pa.table({"t": last}), tmp_path / "a.parquet")
    table = read(FileStore(str(tmp_path)), "t", window=Window(start=start, end=start + timedelta(days=1)))
    assert table["t"].to_pylist() == [datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]


def test_a_file_without_statistics_says_that_it_does_not_know(tmp_path: Path) -> None:
    pq.write_table(pa.table({"t": [NOON]}), tmp_path / "a.parquet", write_statistics=False)
    store = FileStore(str(tmp_path))
    assert store.undated("t") is None
    assert store.bounds("t") == (NOON, NOON)
