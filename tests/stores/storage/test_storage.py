"""Storage on a disk, in memory and in S3: a name stands for a whole file, or for none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError, StoreUnavailableError
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.snapshot.read import open_snapshot, read_snapshot, verify_snapshot
from airflow_mlops.core.snapshot.take import take_snapshot
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.stores.files import parquet_limits
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.storage.storage import open_storage

SCHEMA = pa.schema({"x": pa.int64()})


@pytest.fixture(params=["plain", "file", "s3", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    roots = {"plain": lambda: str(tmp_path / "a b"), "file": lambda: f"file://{tmp_path}/mlops"}
    remote = {"s3": "bucket", "memory": "memory"}
    kind = request.param
    return open_storage(roots[kind]() if kind in roots else f"{request.getfixturevalue(remote[kind])}/mlops")


def batches(*sizes: int) -> Iterator[pa.RecordBatch]:
    for size in sizes:
        yield pa.RecordBatch.from_pydict({"x": list(range(size))}, schema=SCHEMA)


def test_text_comes_back_and_is_replaced_whole(storage: Storage) -> None:
    assert not storage.exists("deep/er/a.json")
    assert storage.write_text("deep/er/a.json", "ä" * 100_000) == f"{storage.root}/deep/er/a.json"
    storage.write_text("deep/er/a.json", "{}")
    assert storage.read_text("deep/er/a.json") == "{}"
    assert storage.exists("deep/er/a.json")
    assert not storage.exists("deep/er")
    assert storage.names("deep/er") == ("a.json",)
    assert storage.names("nowhere") == ()
    storage.write_text("deep/own/b.json", "{}")
    assert storage.folders("deep") == ("er", "own")
    assert storage.folders("deep/er") == storage.folders("nowhere") == ()


def test_rows_come_back_in_chunks_and_columns(storage: Storage) -> None:
    assert storage.write_batches("rows.parquet", batches(10, 0, 7, 5), SCHEMA) == 22
    read = list(storage.read_batches("rows.parquet", chunk_rows=8))
    assert [batch.num_rows for batch in read] == [8, 8, 6]
    assert pa.Table.from_batches(read)["x"].to_pylist() == [*range(10), *range(7), *range(5)]
    assert next(storage.read_batches("rows.parquet", ["x"])).schema == SCHEMA


def test_rows_that_break_off_leave_no_file(storage: Storage) -> None:
    def breaking() -> Iterator[pa.RecordBatch]:
        yield from batches(60_000, 60_000)
        raise DataError([], subject="half way")

    with pytest.raises(DataError, match="half way"):
        storage.write_batches("rows.parquet", breaking(), SCHEMA)
    assert storage.names("") == ()


def test_what_breaks_off_leaves_the_older_file(storage: Storage) -> None:
    storage.write_batches("rows.parquet", batches(3), SCHEMA)

    def breaking() -> Iterator[pa.RecordBatch]:
        yield from batches(5)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        storage.write_batches("rows.parquet", breaking(), SCHEMA)
    assert sum(batch.num_rows for batch in storage.read_batches("rows.parquet")) == 3
    assert storage.names("") == ("rows.parquet",)


def test_a_move_gives_the_name_and_replaces_nothing(storage: Storage) -> None:
    storage.write_text("a", "first")
    assert storage.move("a", "new/name") == f"{storage.root}/new/name"
    storage.write_text("b", "second")
    storage.move("b", "new/name")
    assert storage.read_text("new/name") == "first"
    assert not storage.exists("a")
    assert not storage.exists("b")


def test_deleting_twice_is_deleting(storage: Storage) -> None:
    storage.write_text("a", "x")
    storage.delete("a")
    storage.delete("a")
    assert not storage.exists("a")


def test_a_missing_file_is_named(storage: Storage) -> None:
    with pytest.raises(DataError, match=r"no file .*/none"):
        storage.read_text("none")
    with pytest.raises(DataError, match=r"no file .*/none"):
        list(storage.read_batches("none"))


def test_a_damaged_file_is_named(storage: Storage) -> None:
    storage.write_text("rows.parquet", "not Parquet, and not short either")
    with pytest.raises(DataError, match=r"a damaged Parquet file: .*/rows\.parquet"):
        list(storage.read_batches("rows.parquet"))


def test_a_snapshot_in_every_storage(storage: Storage, tmp_path: Path) -> None:
    first = datetime(2024, 1, 1, tzinfo=UTC)
    source = tmp_path / "source"
    source.mkdir()
    table = {
        "t": [first + timedelta(hours=i) for i in range(1000)],
        "k": range(1000),
        "y": [i % 2 for i in range(1000)],
    }
    pq.write_table(pa.table(table), source / "a.parquet")
    data = {"source": {"path": "x"}, "time": "t", "key": "k", "label": "y", "window": "30d"}
    training = {"estimator": "sklearn.dummy.DummyClassifier"}
    spec = ModelSpec.model_validate({"name": "m", "owner": "o", "data": data, "training": training})
    as_of = first + timedelta(days=35)
    taken = [take_snapshot(spec, as_of, FileStore(str(source)), storage, now=as_of) for _ in range(2)]
    assert taken[0] == taken[1] == open_snapshot(taken[0].uri, storage)
    verify_snapshot(taken[0], storage)
    assert len(read_snapshot(taken[0], storage)) == 720
    assert storage.names("snapshots/m") == ()
    assert storage.names(f"snapshots/m/{taken[0].fingerprint}") == ("data.parquet", "manifest.json")


def test_unwritable_storage_is_named_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    storage = open_storage(str(tmp_path / "file/mlops"))
    message = r"\[mlops\] storage: found cannot write file://.*/file/mlops/a: Not a directory; .*check the path"
    with pytest.raises(StoreUnavailableError, match=message):
        storage.write_text("a", "x")
    with pytest.raises(StoreUnavailableError, match=message):
        storage.write_batches("a", batches(1), SCHEMA)


def test_an_object_store_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, memory: str) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def away(*_: object, **__: object) -> None:
        raise RuntimeError("key=secret")

    storage = open_storage(memory)
    monkeypatch.setattr(MemoryFileSystem, "put_file", away)
    with pytest.raises(StoreUnavailableError, match=r"cannot write memory://.*/a: RuntimeError") as caught:
        storage.write_text("a", "x")
    assert "secret" not in str(caught.value)


def test_a_storage_nobody_serves_is_refused() -> None:
    with pytest.raises(DataError, match=r"\[mlops\] storage: found no file system for 'nope://'"):
        open_storage("nope://bucket/x")


def test_a_file_that_somebody_put_in_a_place_is_trusted_no_more_than_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write to the storage asks for 32 MB with a few kilobytes; the machine is said to have 16."""
    monkeypatch.setattr(parquet_limits, "memory_bytes", lambda: 16 << 20)
    storage = open_storage(str(tmp_path))
    options = {"use_dictionary": False, "data_page_size": 1 << 30, "row_group_size": 8 << 20, "compression": "zstd"}
    table = pa.table({"x": pa.array([0.0] * (4 << 20))})
    pq.write_table(table, tmp_path / "rows.parquet", **options, write_batch_size=8 << 20, max_rows_per_page=1 << 30)
    assert (tmp_path / "rows.parquet").stat().st_size < 88_000
    with pytest.raises(DataError, match=r"column x: found a page that says it is .*rows\.parquet"):
        next(storage.read_batches("rows.parquet"))
