"""The files of one source: one type for each column."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_mlops.stores.files.store import FileStore
from tests.support.files import NOON, read


def test_joined_types_and_missing_types_become_one(tmp_path: Path) -> None:
    for name, t, x, y in [
        ("a", pa.timestamp("us", "UTC"), pa.array([1], pa.int16()), pa.nulls(1)),
        ("b", pa.timestamp("ns", "Asia/Tokyo"), pa.array([2], pa.int64()), pa.array(["z"], pa.large_string())),
    ]:
        times = pa.array([NOON], pa.timestamp("us", "UTC")).cast(t)
        pq.write_table(pa.table({"t": times, "x": x, "y": y}), tmp_path / f"{name}.parquet")
    table = read(FileStore(str(tmp_path)), "x", "y")
    assert table.to_pylist() == [{"x": 1, "y": None}, {"x": 2, "y": "z"}]
    assert [str(field.type) for field in table.schema] == ["int64", "string"]
