"""Every store of rows, crossed with every type of column, missing values, and every rule by which types are joined."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from pyarrow import orc

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.profiles.build import build_profile, profile_batches
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.categories import written
from airflow_mlops.core.rows.frames import to_frame
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.sql.store import SqlStore

START = datetime(2024, 3, 1, tzinfo=UTC)
ALWAYS = Window(start=START - timedelta(days=1), end=START + timedelta(days=9))
COLUMNS: dict[str, tuple[list[Any], pa.DataType]] = {
    "whole": ([1, 2, 3, -4], pa.int64()),
    "small": ([1, 2, 3, 4], pa.int8()),
    "id": ([2**60 + 1, 2**60 + 2, 2**60 + 3, 2**53 + 1], pa.int64()),
    "fraction": ([0.5, 1.0, -2.25, 1e-7], pa.float64()),
    "flag": ([True, False, True, False], pa.bool_()),
    "word": (["ab", "AB ", "ä", "x,y"], pa.string()),
    "code": (["007", "7", "0070", "07"], pa.string()),
    "money": ([Decimal("0.10"), Decimal("5.00"), Decimal("12.34"), Decimal("-0.50")], pa.decimal128(9, 2)),
    "day": ([date(2024, 1, 1), date(2024, 1, 2), date(2023, 12, 31), date(2024, 2, 29)], pa.date32()),
    "at": ([datetime(2024, 1, 1, 5), datetime(2024, 1, 2), datetime(2024, 1, 3), datetime(2024, 1, 4, 1, 2, 3)],
           pa.timestamp("us")),
    "rare": ([None, None, None, None], pa.int64()),
}  # fmt: skip
NAMES = list(COLUMNS)


def rows(*, gaps: bool) -> pa.Table:
    """Four rows with everything, and with gaps four more in which nothing is."""
    values = {name: pa.array(found + [None] * 4 * gaps, type_) for name, (found, type_) in COLUMNS.items()}
    times = [START + timedelta(hours=hour) for hour in range(4 + 4 * gaps)]
    return pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), **values})


def parquet(folder: Path, table: pa.Table, request: Any) -> DataStore:
    pq.write_table(table, folder / "a.parquet")
    return FileStore(str(folder))


def parquet_encoded(folder: Path, table: pa.Table, request: Any) -> DataStore:
    coded = [
        table[name].dictionary_encode() if name in {"word", "code"} else table[name] for name in table.schema.names
    ]
    pq.write_table(pa.table(coded, names=table.schema.names), folder / "a.parquet")
    return FileStore(str(folder))


def hive(folder: Path, table: pa.Table, request: Any) -> DataStore:
    table.to_pandas(types_mapper=pd.ArrowDtype).to_parquet(folder / "h", partition_cols=["code"])
    return FileStore(str(folder / "h"), types={"code": "text"})


def orc_file(folder: Path, table: pa.Table, request: Any) -> DataStore:
    orc.write_table(table, folder / "a.orc")
    return FileStore(str(folder))


def csv_file(folder: Path, table: pa.Table, request: Any) -> DataStore:
    pacsv.write_csv(table, folder / "a.csv")
    return FileStore(str(folder), types={"code": "text"})


def csv_of_germany(folder: Path, table: pa.Table, request: Any) -> DataStore:
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame.astype({"money": "float64"}).to_csv(folder / "a.csv", index=False, sep=";", decimal=",")
    return FileStore(str(folder), delimiter=";", decimal=",", text={"code"})


def json_lines(folder: Path, table: pa.Table, request: Any) -> DataStore:
    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return float(value)
        return value.isoformat() if isinstance(value, date) else value

    lines = ({name: plain(value) for name, value in row.items()} for row in table.to_pylist())
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return FileStore(str(folder), types={"rare": "integer"})


def delta(folder: Path, table: pa.Table, request: Any) -> DataStore:
    from deltalake import write_deltalake

    write_deltalake(str(folder / "d"), table)
    return FileStore(str(folder / "d"))


_SQL = {
    "whole": "BIGINT", "small": "SMALLINT", "id": "BIGINT", "fraction": "DOUBLE PRECISION", "flag": "BOOLEAN",
    "word": "TEXT", "code": "TEXT", "money": "NUMERIC(9, 2)", "day": "DATE", "at": "TIMESTAMP", "rare": "BIGINT",
}  # fmt: skip


def sqlite(folder: Path, table: pa.Table, request: Any) -> DataStore:
    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.replace(tzinfo=None).isoformat(" ")
        return float(value) if isinstance(value, Decimal) else str(value) if isinstance(value, date) else value

    columns = ", ".join(f"{name} {_SQL.get(name, 'TIMESTAMP')}" for name in table.schema.names)
    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute(f"CREATE TABLE a ({columns})")
        marks = ", ".join("?" * table.num_columns)
        values = [tuple(map(plain, row.values())) for row in table.to_pylist()]
        connection.executemany(f"INSERT INTO a VALUES ({marks})", values)
    connection.close()
    return SqlStore(f"sqlite:///{folder}/a.db", table="a")


def postgres(folder: Path, table: pa.Table, request: Any) -> DataStore:
    url, name = request.getfixturevalue("postgres_url"), f"types_{uuid4().hex[:8]}"
    columns = ", ".join(f"{one} {_SQL.get(one, 'TIMESTAMP WITH TIME ZONE')}" for one in table.schema.names)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {name} ({columns})"))
        marks = ", ".join(f":{one}" for one in table.schema.names)
        connection.execute(sa.text(f"INSERT INTO {name} VALUES ({marks})"), table.to_pylist())
    return SqlStore(url, table=name)


STORES = [parquet, parquet_encoded, hive, orc_file, csv_file, csv_of_germany, json_lines, delta, sqlite, postgres]
Maker = Callable[[Path, pa.Table, Any], DataStore]


def plain(value: Any) -> Any:
    """One form for a value, whatever type carries it: a date and its midnight, a number of any width."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat()
    return f"{value}T00:00:00" if isinstance(value, date) else written(value)


@pytest.mark.parametrize("make", STORES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("gaps", [False, True])
def test_every_type_comes_as_it_was_written_to_the_last_digit(
    tmp_path: Path, make: Maker, gaps: bool, request: pytest.FixtureRequest
) -> None:
    table = rows(gaps=gaps)
    store = make(tmp_path, table, request)
    found = pa.Table.from_batches(store.read(ALWAYS, "t", ["t", *NAMES])).sort_by("t")
    assert found.num_rows == table.num_rows
    for name in NAMES:
        assert list(map(plain, found[name].to_pylist())) == list(map(plain, table[name].to_pylist())), name


@pytest.mark.parametrize("make", STORES, ids=lambda make: make.__name__)
def test_categories_are_the_same_in_training_and_in_every_window(
    tmp_path: Path, make: Maker, request: pytest.FixtureRequest
) -> None:
    names = ["whole", "small", "id", "flag", "word", "code", "money"]
    features = [Feature(name=name, role="categorical") for name in names]
    table = rows(gaps=True)
    store = make(tmp_path, table, request)
    batches = list(store.read(ALWAYS, "t", names))
    frame = as_features(to_frame(pa.Table.from_batches(batches)), features)
    reference = build_profile("m", frame, features, ALWAYS)
    counted = store.profile(reference, ALWAYS, "t")
    assert len(reference.columns) == len(names)
    for one, other in zip(reference.columns, counted.columns, strict=True):
        assert one.counts == other.counts == (1,) * len(one.categories) + (0,) or one.name == "flag", one.name
        assert other.missing == 4
    assert counted.columns == profile_batches(reference, iter(batches), ALWAYS).columns
    assert set(reference.columns[2].categories) == {str(number) for number in COLUMNS["id"][0]}


def one_column(values: list[Any], type_: pa.DataType | None) -> pa.Table:
    array = pa.array(values, type_)
    return pa.table({"t": pa.array([START] * len(values), pa.timestamp("us", "UTC")), "x": array})


def write_parquet(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path.with_suffix(".parquet"))


def write_orc(path: Path, table: pa.Table) -> None:
    orc.write_table(table, path.with_suffix(".orc"))


JOINED: list[tuple[str, tuple[list[Any], Any], tuple[list[Any], Any], str]] = [
    ("int with float", ([1, 2], pa.int64()), ([0.5, None], pa.float64()), "double"),
    ("int8 with int64", ([1], pa.int8()), ([2**40], pa.int64()), "int64"),
    ("int with decimal", ([1], pa.int32()), ([Decimal("0.50")], pa.decimal128(12, 2)), "decimal128(12, 2)"),
    ("decimals", ([Decimal("0.5")], pa.decimal128(9, 1)), ([Decimal("0.25")], pa.decimal128(9, 2)),
     "decimal128(10, 2)"),
    ("date with timestamp", ([date(2024, 1, 1)], pa.date32()), ([datetime(2024, 1, 1, 5)], pa.timestamp("us")),
     "timestamp[us]"),
    ("null with text", ([None], pa.null()), (["a"], pa.string()), "string"),
    ("null with list", ([None], pa.null()), ([[1]], pa.list_(pa.int64())), "list<item: int64>"),
    ("text with large text", (["a"], pa.string()), (["b"], pa.large_string()), "string"),
]  # fmt: skip


@pytest.mark.parametrize("write", [write_parquet, write_orc], ids=["parquet", "orc"])
@pytest.mark.parametrize(("first", "second", "joined"), [each[1:] for each in JOINED], ids=[each[0] for each in JOINED])
@pytest.mark.parametrize("turned", [False, True])
def test_types_of_two_files_are_joined(
    tmp_path: Path, write: Callable[[Path, pa.Table], None], first: Any, second: Any, joined: str, turned: bool
) -> None:
    if write is write_orc and (first[1] == pa.null() or second[1] == pa.large_string()):
        # ORC has no such type: its file says another.
        first = (first[0], second[1]) if first[1] == pa.null() else first
    for name, (values, type_) in zip("ba" if turned else "ab", (first, second), strict=True):
        write(tmp_path / name, one_column(values, type_))
    found = pa.Table.from_batches(FileStore(str(tmp_path)).read(ALWAYS, "t", ["x"]))
    got = str(found.schema.field("x").type).replace("timestamp[ns]", "timestamp[us]").replace("element", "item")
    assert got == joined
    expected = second[0] + first[0] if turned else first[0] + second[0]
    assert [repr(plain(v)) for v in found["x"].to_pylist()] == [repr(plain(v)) for v in expected]


@pytest.mark.parametrize(
    ("ending", "number", "text"),
    [
        ("csv", "t,x\n2024-03-01,1\n", "t,x\n2024-03-01,one\n"),
        ("jsonl", '{"t": "2024-03-01", "x": 1}', '{"t": "2024-03-01", "x": "one"}'),
        ("parquet", one_column([1], None), one_column(["one"], None)),
        ("orc", one_column([1.5], None), one_column(["one"], None)),
    ],
)
def test_text_and_numbers_of_two_files_are_refused_naming_the_file(
    tmp_path: Path, ending: str, number: Any, text: Any
) -> None:
    for name, content in (("a", number), ("b", text)):
        if isinstance(content, str):
            (tmp_path / f"{name}.{ending}").write_text(content)
        else:
            (write_orc if ending == "orc" else write_parquet)(tmp_path / name, content)
    with pytest.raises(
        DataError, match=rf"column x: found type string in .*b\.{ending}, but .* in .*a\.{ending}"
    ) as caught:
        list(FileStore(str(tmp_path)).read(ALWAYS, "t", ["x"]))
    assert [problem.code for problem in caught.value.problems] == [ReasonCode.COLUMN_RETYPED]
    assert sum(batch.num_rows for batch in FileStore(str(tmp_path)).read(ALWAYS, "t", ["t"])) == 2
