"""Files as they come: what is read anyway, and what is refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.files.store import FileStore
from tests.support.files import DAY, NOON, csv, read


@pytest.mark.parametrize(
    "type_",
    [
        pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns"), pa.date32(), pa.date64(),
        pa.timestamp("us", "America/New_York"), pa.timestamp("ns", "UTC"), pa.string(), pa.large_string(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)  # fmt: skip
def test_every_type_of_event_time_is_the_same_instant(tmp_path: Path, type_: pa.DataType) -> None:
    days = [DAY.start + timedelta(days=i) for i in range(-3, 4)]
    times = pa.array(days, pa.timestamp("us", "UTC"))
    naive = times.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(type_):
        column = times.cast(type_) if type_.tz else naive.cast(type_)
    elif pa.types.is_date(type_):
        column = naive.cast(type_)
    else:
        column = pa.array([day.strftime("%Y-%m-%d %H:%M:%S") for day in days]).cast(type_)
    pq.write_table(pa.table({"t": column, "x": range(7)}), tmp_path / "a.parquet", row_group_size=2)
    table = read(FileStore(str(tmp_path)), "t", "x")
    assert table.to_pylist() == [{"t": DAY.start, "x": 3}]
    assert str(table.schema.field("t").type) == "timestamp[us, tz=UTC]"


def write(folder: Path, name: str = "a.parquet", **columns: Any) -> None:
    pq.write_table(pa.table({"t": pa.array([NOON], pa.timestamp("us", "UTC")), **columns}), folder / name)


def no_folder(folder: Path) -> FileStore:
    return FileStore(str(folder / "none"))


def empty_folder(folder: Path) -> FileStore:
    return FileStore(str(folder))


def unknown_ending(folder: Path) -> FileStore:
    (folder / "a.xlsx").write_text("x")
    return FileStore(str(folder / "a.xlsx"))


def two_formats(folder: Path) -> FileStore:
    write(folder)
    return csv(folder, "t\n2024-03-01\n")


def truncated(folder: Path) -> FileStore:
    write(folder, x=["a"])
    (folder / "a.parquet").write_bytes((folder / "a.parquet").read_bytes()[:-20])
    return FileStore(str(folder))


def not_parquet(folder: Path) -> FileStore:
    (folder / "a.parquet").write_text("hello, hello, hello")
    return FileStore(str(folder))


def retyped(folder: Path) -> FileStore:
    write(folder, "a.parquet", x=[1])
    write(folder, "b.parquet", x=["1"])
    return FileStore(str(folder))


def zones_in_one_file_only(folder: Path) -> FileStore:
    write(folder, "a.parquet", x=[1])
    pq.write_table(pa.table({"t": [NOON.replace(tzinfo=None)], "x": [1]}), folder / "b.parquet")
    return FileStore(str(folder))


def duplicate_parquet(folder: Path) -> FileStore:
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]), folder / "a.parquet")
    return FileStore(str(folder))


BROKEN: dict[str, tuple[Callable[[Path], FileStore], ReasonCode, str]] = {
    "no folder": (no_folder, ReasonCode.SOURCE_MISSING, r"found no file at .*/none; allowed: a file, or a folder"),
    "empty folder": (empty_folder, ReasonCode.SOURCE_MISSING, "found no file at"),
    "unknown ending": (unknown_ending, ReasonCode.SOURCE_UNREADABLE, "1 files, none with a known ending"),
    "two formats": (two_formats, ReasonCode.SOURCE_UNREADABLE, "Parquet and CSV files together"),
    "truncated": (truncated, ReasonCode.SOURCE_UNREADABLE, r"not a whole Parquet file: .*a\.parquet"),
    "not parquet": (not_parquet, ReasonCode.SOURCE_UNREADABLE, r"not a whole Parquet file: .*a\.parquet"),
    "retyped": (
        retyped,
        ReasonCode.COLUMN_RETYPED,
        r"column x: found type string in .*b\.parquet, but int64 in .*a\.parquet",
    ),
    "zones in one file": (
        zones_in_one_file_only,
        ReasonCode.COLUMN_RETYPED,
        r"column t: found type timestamp\[us\] in .*b\.parquet, but timestamp\[us, tz=UTC\] in .*a\.parquet",
    ),
    "duplicate in parquet": (duplicate_parquet, ReasonCode.COLUMN_DUPLICATED, "2 columns named 'x'"),
    "duplicate in csv": (
        lambda folder: csv(folder, "t,x,x\n2024-03-01,1,2\n"),
        ReasonCode.COLUMN_DUPLICATED,
        "2 columns named 'x'",
    ),
    "no header": (lambda folder: csv(folder, ""), ReasonCode.SOURCE_UNREADABLE, "an empty CSV file"),
    "ragged": (
        lambda folder: csv(folder, "t,x\n2024-03-01,secret1\n2024-03-01,secret2,more\n"),
        ReasonCode.SOURCE_UNREADABLE,
        r"a ragged CSV file \(row 3 has 3 fields, the header 2\)",
    ),
    "other encoding": (
        lambda folder: csv(folder, "t,x\n2024-03-01,sécrèt\n".encode("latin-1")),
        ReasonCode.SOURCE_UNREADABLE,
        "CSV that is not encoded as utf-8: .*state its encoding as data.source.encoding",
    ),
    "other encoding in the header": (
        lambda folder: csv(folder, "t,x,sécrèt\n2024-03-01,1,1\n".encode("latin-1")),
        ReasonCode.SOURCE_UNREADABLE,
        "CSV that is not encoded as utf-8",
    ),
    "unknown encoding": (
        lambda folder: FileStore(csv(folder, "t,x\n2024-03-01,1\n")._path, encoding="utf-99"),
        ReasonCode.SOURCE_UNREADABLE,
        "encoding 'utf-99', which Python does not know",
    ),
    "no time": (
        lambda folder: csv(folder, "t,x\nsecret,1\n"),
        ReasonCode.TIME_INVALID,
        "column 't' of text that is not all times",
    ),
    "whole numbers for time": (
        lambda folder: csv(folder, "t,x\n20240301,1\n"),
        ReasonCode.TIME_INVALID,
        "column 't' of text that is not all times",
    ),
    "mixed zones": (
        lambda folder: csv(folder, "t,x\n2024-03-01T01:00:00Z,1\n2024-03-01T01:00:00,1\n"),
        ReasonCode.TIME_INVALID,
        "times that carry a zone and times that do not",
    ),
    "mixed zones in two files": (
        lambda folder: (csv(folder, "t,x\n2024-03-01T01:00Z,1\n"), csv(folder, "t,x\n2024-03-01,1\n", "b.csv"))[1],
        ReasonCode.COLUMN_RETYPED,
        "column t: found type timestamp",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_source_is_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    make, code, message = BROKEN[case]
    store = make(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        read(store, "x")
    assert {problem.code for problem in caught.value.problems} == {code}
    assert store.description in str(caught.value)
    assert str(DAY) in str(caught.value)
    for problem in caught.value.problems:
        assert problem.allowed
        assert problem.fix
    assert "secret" not in str(caught.value)
    assert "sécrèt" not in str(caught.value)


def test_one_file_of_any_ending_is_read_when_the_format_is_stated(tmp_path: Path) -> None:
    (tmp_path / "flights.txt").write_text("t|x\n2024-03-01|1\n")
    store = FileStore(str(tmp_path / "flights.txt"), format="csv", delimiter="|")
    assert read(store, "x").to_pylist() == [{"x": 1}]
    write(tmp_path, x=[2])
    csv(tmp_path, "t,x\n2024-03-01,3\n")
    assert read(FileStore(str(tmp_path), format="parquet"), "x").to_pylist() == [{"x": 2}]


def test_rows_without_a_time_are_counted(tmp_path: Path) -> None:
    write(tmp_path, x=[1])
    pq.write_table(pa.table({"t": pa.array([None, NOON], pa.timestamp("us", "UTC")), "x": [1, 2]}), tmp_path / "b.pq")
    store = FileStore(str(tmp_path))
    assert store.undated("t") == 1
    assert read(store, "x").num_rows == 2


def test_every_row_of_a_source_without_window(tmp_path: Path) -> None:
    store = csv(tmp_path, "t,x\n2024-03-01,1\n,2\n")
    assert [row for batch in store.read_all(["x"]) for row in batch.to_pylist()] == [{"x": 1}, {"x": 2}]
    dated = [row for batch in store.read_all(["t", "x"], time="t") for row in batch.to_pylist()]
    assert dated == [{"t": DAY.start, "x": 1}, {"t": None, "x": 2}]
