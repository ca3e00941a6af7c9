"""Formats: each is read as what it is, and a table with a log is never read as the files below it."""

from __future__ import annotations

import gzip
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from airflow_mlops.core.errors import DataError
from airflow_mlops.stores.files.store import FileStore
from tests.support.files import DAY, NOON, read
from tests.support.s3 import LOGIN, PASSWORD

ROWS = {"t": [NOON, NOON + timedelta(days=3)], "x": [1, None], "s": ["a", "b"]}


def table(**change: Any) -> pa.Table:
    columns = {**ROWS, **change}
    return pa.table({**columns, "t": pa.array(columns["t"], pa.timestamp("us", "UTC"))})


def test_orc_files_are_read_by_column(tmp_path: Path) -> None:
    orc.write_table(table(), tmp_path / "a.orc")
    store = FileStore(str(tmp_path))
    assert read(store, "t", "x", "s").to_pylist() == [{"t": NOON, "x": 1, "s": "a"}]
    assert store.undated("t") == 0
    (tmp_path / "a.orc").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"not a whole ORC file: .*a\.orc"):
        read(FileStore(str(tmp_path)), "x")


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "json", "jsonl.gz"])
def test_json_lines_are_read(tmp_path: Path, ending: str) -> None:
    rows = [
        {"t": NOON.isoformat(), "x": 10**18 + 1, "s": "a", "day": "2024-01-01", "deep": {"a": 1}},
        {"t": NOON.isoformat(), "x": None, "s": "2024-01-01", "y": 2.5},
    ]
    text = "\n".join(map(json.dumps, rows)).encode()
    (tmp_path / f"a.{ending}").write_bytes(gzip.compress(text) if ending.endswith(".gz") else text)
    store = FileStore(str(tmp_path))
    types = {column.name: column.type for column in store.schema()}
    assert types["x"] == "int64"
    assert types["s"] == "string"
    assert types["day"] == "timestamp[us, tz=UTC]"
    assert types["deep"].startswith("struct")
    assert read(store, "t", "x", "y", "s").to_pylist() == [
        {"t": NOON, "x": 10**18 + 1, "y": None, "s": "a"},
        {"t": NOON, "x": None, "y": 2.5, "s": "2024-01-01"},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"t": 1}]', "a JSON array, not JSON lines"),
        ('{"t": "2024-03-01", "x": 1}\n{"t": "2024-03-01", "x": "one"}\n', "column x: found values of type number"),
        ('{"t": "2024-03-01"\n', "no readable JSON lines"),
        ('{"t": "2024-03-01", "x": 1, "x": 2}\n', "2 columns named 'x'"),
    ],
)
def test_what_is_no_json_lines_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read(FileStore(str(tmp_path)), "x")


def test_blocks_of_json_lines_share_their_types(tmp_path: Path) -> None:
    lines = [json.dumps({"t": NOON.isoformat(), "x": k, "s": "z" * 400}) for k in range(30_000)]
    lines[-1] = json.dumps({"t": NOON.isoformat(), "x": 0.5, "s": "z"})
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    rows = read(FileStore(str(tmp_path)), "x")
    assert rows.num_rows == 30_000
    assert str(rows.schema.field("x").type) == "double"


def delta(folder: Path, rows: pa.Table, place: str = "", **how: Any) -> None:
    from deltalake import write_deltalake

    write_deltalake(place or str(folder), rows, **how)


def test_a_delta_table_is_read_at_its_version_by_its_log(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    folder = tmp_path / "orders"
    delta(folder, table(), partition_by=["s"])
    delta(folder, table(x=[5, 6]).append_column("y", pa.array([0.5, 0.5])), mode="append", schema_mode="merge")
    DeltaTable(str(folder)).delete("x = 1")
    assert len(list(folder.rglob("*.parquet"))) > len(DeltaTable(str(folder)).file_uris())
    store = FileStore(str(folder))
    assert read(store, "t", "x", "s", "y").to_pylist() == [{"t": NOON, "x": 5, "s": "a", "y": 0.5}]
    assert "version 2 of the Delta table" in store.query(DAY, "t", ["x"])
    assert {column.name for column in store.schema()} == {"t", "x", "s", "y"}


def test_a_delta_table_without_its_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delta(tmp_path / "orders", table())
    monkeypatch.setitem(sys.modules, "deltalake", None)
    for how in ({}, {"format": "parquet"}, {"format": "delta"}):
        with pytest.raises(DataError, match="a Delta table, without the package that reads its log"):
            read(FileStore(str(tmp_path / "orders"), **how), "x")


def test_parts_and_parents_of_a_delta_table_name_the_table(tmp_path: Path) -> None:
    delta(tmp_path / "all/orders", table(), partition_by=["s"])
    file = next((tmp_path / "all/orders").rglob("s=a/*.parquet"))
    for path in (tmp_path / "all", tmp_path / "all/orders/s=a", file):
        with pytest.raises(DataError, match=r"name the table itself: .*all/orders"):
            read(FileStore(str(path)), "x")


def test_a_damaged_delta_log_is_refused(tmp_path: Path) -> None:
    delta(tmp_path / "orders", table())
    for log in (tmp_path / "orders/_delta_log").iterdir():
        log.unlink()
    with pytest.raises(DataError, match="Delta table"):
        read(FileStore(str(tmp_path / "orders")), "x")


@pytest.mark.parametrize(
    ("log", "name"), [("metadata/v1.metadata.json", "an Iceberg table"), (".hoodie/hoodie.properties", "a Hudi table")]
)
def test_other_tables_with_a_log_are_refused(tmp_path: Path, log: str, name: str) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    (tmp_path / log).parent.mkdir()
    (tmp_path / log).write_text("{}")
    with pytest.raises(DataError, match=f"{name}, whose files are not all rows of it"):
        read(FileStore(str(tmp_path)), "x")


def test_a_delta_table_in_an_object_store_is_read_by_its_log(
    bucket: str, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"ACCESS_KEY_ID": LOGIN, "SECRET_ACCESS_KEY": PASSWORD, "REGION": "us-east-1", "ALLOW_HTTP": "true"}
    names = {f"AWS_{name}": value for name, value in {**known, "ENDPOINT_URL": moto}.items()}
    names["AWS_S3_ALLOW_UNSAFE_RENAME"] = "true"
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    place = f"s3://{bucket.partition('@')[2]}/orders"
    delta(Path("unused"), table(), place=place, partition_by=["s"])
    delta(Path("unused"), table(x=[7, 8]), place=place, mode="overwrite")
    for name in names:  # what reads it is the connection, and not this machine's environment
        monkeypatch.delenv(name)
    store = FileStore(f"{bucket}/orders")
    assert read(store, "x", "s").to_pylist() == [{"x": 7, "s": "a"}]
    assert "version 1 of the Delta table" in store.query(DAY, "t", ["x"])
