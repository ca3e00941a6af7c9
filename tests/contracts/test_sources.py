"""Every store of rows, crossed with everything that a store of rows promises."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.sql.store import SqlStore

START = datetime(2024, 3, 1, tzinfo=UTC)
HOURS = 240
UTC_TYPE = pa.timestamp("us", tz="UTC")


def rows() -> pa.Table:
    """Ten days, two rows an hour; some cells are null, and one column is null in the whole first half."""
    n = HOURS * 2
    return pa.table(
        {
            "dep": pa.array([START + timedelta(hours=i // 2) for i in range(n)], UTC_TYPE),
            "id": pa.array(range(n), pa.int64()),
            "dist": pa.array([None if i % 7 == 0 else i * 1.5 for i in range(n)], pa.float64()),
            "Carrier": pa.array([None if i % 11 == 0 else "AB C"[i % 4] + "ä" for i in range(n)], pa.string()),
            "late": pa.array([i % 3 == 0 for i in range(n)], pa.bool_()),
            "rare": pa.array([None if i < n // 2 else i for i in range(n)], pa.int64()),
        }
    )


def naive(table: pa.Table) -> pa.Table:
    return table.set_column(0, "dep", table["dep"].cast(pa.timestamp("us")))


def retimed(table: pa.Table, type_: pa.DataType) -> pa.Table:
    return table.set_column(0, "dep", table["dep"].cast(type_))


def in_two(table: pa.Table) -> list[pa.Table]:
    return [table.slice(0, HOURS), table.slice(HOURS)]


def parquet_file(folder: Path, request: Any) -> DataStore:
    pq.write_table(naive(rows()), folder / "a.parquet", row_group_size=50)
    return FileStore(str(folder / "a.parquet"))


def parquet_folder_zoned(folder: Path, request: Any) -> DataStore:
    (folder / "deep").mkdir()
    first, second = in_two(retimed(rows(), pa.timestamp("ns", tz="America/New_York")))
    pq.write_table(first, folder / "a.parquet", row_group_size=50)
    pq.write_table(second, folder / "deep/b.pq")
    (folder / "_SUCCESS").write_text("")
    (folder / "README.md").write_text("flights")
    return FileStore(str(folder))


def parquet_dictionary(folder: Path, request: Any) -> DataStore:
    table = rows()
    pq.write_table(table.set_column(3, "Carrier", table["Carrier"].dictionary_encode()), folder / "a.parquet")
    return FileStore(f"file://{folder}")


def parquet_text_times(folder: Path, request: Any) -> DataStore:
    texts = pa.array([moment.as_py().isoformat() for moment in rows()["dep"]])
    pq.write_table(rows().set_column(0, "dep", texts), folder / "a.parquet")
    return FileStore(str(folder))


def csv_folder(folder: Path, request: Any) -> DataStore:
    for name, part in zip("ab", in_two(naive(rows())), strict=True):
        pacsv.write_csv(part, folder / f"{name}.csv")
    return FileStore(str(folder))


def csv_latin1(folder: Path, request: Any) -> DataStore:
    pacsv.write_csv(rows(), folder / "a.csv", pacsv.WriteOptions(delimiter=";"))
    text = (folder / "a.csv").read_text()
    (folder / "a.csv").write_bytes(text.encode("latin-1"))
    return FileStore(str(folder / "a.csv"), encoding="latin-1", delimiter=";")


def parquet_s3(folder: Path, request: Any) -> DataStore:
    return _uploaded(request.getfixturevalue("bucket"))


def parquet_memory(folder: Path, request: Any) -> DataStore:
    return _uploaded(request.getfixturevalue("memory"))


def _uploaded(root: str) -> DataStore:
    from airflow_mlops.stores.storage.storage import open_storage

    storage = open_storage(root)
    for name, part in zip("ab", in_two(naive(rows())), strict=True):
        storage.write_batches(f"flights/{name}.parquet", iter(part.to_batches(max_chunksize=50)), part.schema)
    return FileStore(f"{root}/flights")


def _sqlite(folder: Path, times: Callable[[datetime], str]) -> str:
    path = folder / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            'CREATE TABLE flights (dep TIMESTAMP, id INTEGER, dist REAL, "Carrier" TEXT, late BOOLEAN, rare BIGINT)'
        )
        shuffled = sorted(rows().to_pylist(), key=lambda row: (row["id"] * 7919) % 1009)
        values = [(times(row["dep"]), *list(row.values())[1:]) for row in shuffled]
        connection.executemany("INSERT INTO flights VALUES (?, ?, ?, ?, ?, ?)", values)
    connection.close()
    return f"sqlite:///{path}"


def sqlite_table(folder: Path, request: Any) -> DataStore:
    return SqlStore(_sqlite(folder, lambda t: t.replace(tzinfo=None).isoformat(" ")), table="flights")


def sqlite_table_iso(folder: Path, request: Any) -> DataStore:
    return SqlStore(_sqlite(folder, datetime.isoformat), table="flights")


QUERY = "SELECT * FROM flights WHERE dep >= :window_start AND dep < :window_end -- bounded\n;"


def sqlite_query(folder: Path, request: Any) -> DataStore:
    query = QUERY.replace("*", '*, CASE WHEN late THEN 1.0 ELSE 2.0 END AS "Ratio"')
    return SqlStore(_sqlite(folder, lambda t: t.replace(tzinfo=None).isoformat(" ")), query=query)


def _postgres(url: str, driver: str, type_: str) -> tuple[str, str]:
    name = f"flights_{uuid4().hex[:8]}"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(f"SET TIME ZONE '{'America/New_York' if 'with ' in type_ else 'UTC'}'"))
        connection.execute(
            sa.text(
                f'CREATE TABLE {name} (dep {type_}, id bigint, dist numeric(10, 2), "Carrier" text, late boolean,'
                " rare integer, extra json)"
            )
        )
        zoned = "with " in type_
        for row in sorted(rows().to_pylist(), key=lambda row: (row["id"] * 7919) % 1009):
            row["dep"] = row["dep"] if zoned else row["dep"].replace(tzinfo=None)
            connection.execute(
                sa.text(f"INSERT INTO {name} VALUES (:dep, :id, :dist, :Carrier, :late, :rare, '{{}}')"), row
            )
    return url.replace("psycopg2", driver), name


def postgres_table(folder: Path, request: Any) -> DataStore:
    url, name = _postgres(request.getfixturevalue("postgres_url"), "psycopg2", "timestamp with time zone")
    return SqlStore(url, table=f"public.{name}")


def postgres_table_naive_psycopg3(folder: Path, request: Any) -> DataStore:
    url, name = _postgres(request.getfixturevalue("postgres_url"), "psycopg", "timestamp")
    return SqlStore(url, table=name)


def postgres_query(folder: Path, request: Any) -> DataStore:
    url, name = _postgres(request.getfixturevalue("postgres_url"), "psycopg2", "timestamp with time zone")
    return SqlStore(url, query=QUERY.replace("flights", name))


def postgres_query_naive_psycopg3(folder: Path, request: Any) -> DataStore:
    url, name = _postgres(request.getfixturevalue("postgres_url"), "psycopg", "timestamp")
    return SqlStore(url, query=QUERY.replace("flights", name))


STORES = [
    parquet_file,
    parquet_folder_zoned,
    parquet_dictionary,
    parquet_text_times,
    csv_folder,
    csv_latin1,
    parquet_s3,
    parquet_memory,
    sqlite_table,
    sqlite_table_iso,
    sqlite_query,
    postgres_table,
    postgres_table_naive_psycopg3,
    postgres_query,
    postgres_query_naive_psycopg3,
]


@pytest.fixture(params=STORES, ids=lambda make: make.__name__)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DataStore:
    made: DataStore = request.param(tmp_path, request)
    return made


def window(first: int, last: int) -> Window:
    return Window(start=START + timedelta(hours=first), end=START + timedelta(hours=last))


def expected(first: int, last: int, columns: list[str]) -> list[dict[str, Any]]:
    return rows().slice(first * 2, (last - first) * 2).select(columns).to_pylist()


COLUMNS = ["dep", "id", "dist", "Carrier", "late"]


def test_a_window_gives_exactly_its_rows_in_order(store: DataStore) -> None:
    table = pa.Table.from_batches(store.read(window(30, 90), "dep", COLUMNS, chunk_rows=17))
    assert table.to_pylist() == expected(30, 90, COLUMNS)
    assert [str(field.type) for field in table.schema] == [
        "timestamp[us, tz=UTC]",
        "int64",
        "double",
        "string",
        "bool" if table.schema.field("late").type == pa.bool_() else "int64",
    ]


def test_ends_are_start_in_and_end_out_to_the_microsecond(store: DataStore) -> None:
    tick = timedelta(microseconds=1)
    for start, end, want in [
        (START, START + tick, 2),
        (START + tick, START + timedelta(hours=1), 0),
        (START + tick, START + timedelta(hours=1) + tick, 2),
        (START - timedelta(days=9), START, 0),
    ]:
        read = store.read(Window(start=start, end=end), "dep", ["id"])
        assert sum(batch.num_rows for batch in read) == want, (start, end)


def test_only_the_columns_asked_for_in_the_order_asked_for(store: DataStore) -> None:
    first = next(store.read(window(0, 5), "dep", ["late", "id"]))
    assert first.schema.names == ["late", "id"]
    assert sorted(first.column("id").to_pylist()) == list(range(10))


def test_batches_are_at_most_a_chunk_and_share_one_schema(store: DataStore) -> None:
    batches = list(store.read(window(0, HOURS), "dep", ["dep", "rare"], chunk_rows=31))
    assert max(batch.num_rows for batch in batches) <= 31
    assert {str(batch.schema) for batch in batches} == {str(pa.schema({"dep": UTC_TYPE, "rare": pa.int64()}))}
    assert sum(batch.num_rows for batch in batches) == HOURS * 2


def test_the_size_of_chunks_changes_nothing(store: DataStore) -> None:
    def read(chunk: int) -> pa.Table:
        return pa.Table.from_batches(store.read(window(3, 77), "dep", [*COLUMNS, "rare"], chunk_rows=chunk))

    assert read(7).combine_chunks() == read(100_000).combine_chunks()


def test_an_empty_window_yields_no_batch(store: DataStore) -> None:
    assert list(store.read(window(-50, -20), "dep", COLUMNS)) == []
    assert not store.has_rows(window(-50, -20), "dep")
    assert store.has_rows(window(-50, 1), "dep")


def test_a_window_in_another_zone_is_the_same_window(store: DataStore) -> None:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("Asia/Kolkata")
    same = Window(start=window(30, 40).start.astimezone(zone), end=window(30, 40).end.astimezone(zone))
    table = pa.Table.from_batches(store.read(same, "dep", COLUMNS))
    assert table.to_pylist() == expected(30, 40, COLUMNS)


def test_a_missing_column_is_named_with_what_there_is(store: DataStore) -> None:
    with pytest.raises(DataError) as caught:
        list(store.read(window(0, 1), "dep", ["id", "carier", "zzz"]))
    assert [problem.code for problem in caught.value.problems] == [
        ReasonCode.COLUMN_RENAMED,
        ReasonCode.COLUMN_MISSING,
    ]
    assert "did you mean 'Carrier'?" in str(caught.value)
    assert store.description in str(caught.value)
    assert str(window(0, 1)) in str(caught.value)


def test_a_missing_time_column_is_the_field_data_time(store: DataStore) -> None:
    for act in (lambda: list(store.read(window(0, 1), "depp", ["id"])), lambda: store.has_rows(window(0, 1), "depp")):
        with pytest.raises(DataError, match=r"data\.time: found no column 'depp'"):
            act()


def test_a_column_that_is_no_time_is_refused(store: DataStore) -> None:
    if isinstance(store, SqlStore) and store.description.startswith("query"):
        with pytest.raises(DataError, match="time_invalid"):
            list(store.read(window(0, 1), "Carrier", ["id", "Carrier"]))
        return
    with pytest.raises(DataError, match="time_invalid"):
        list(store.read(window(0, 1), "Carrier", ["id"])) or store.bounds("Carrier")


def test_the_schema_says_what_columns_there_are(store: DataStore) -> None:
    names = [column.name for column in store.schema()]
    assert names[:6] == ["dep", "id", "dist", "Carrier", "late", "rare"]


def test_bounds_and_undated_tell_or_say_that_they_cannot(store: DataStore) -> None:
    last = START + timedelta(hours=HOURS - 1)
    is_query = store.description.startswith("query")
    assert store.bounds("dep") == (None if is_query else (START, last))
    assert store.undated("dep") == (None if is_query else 0)


def test_the_query_for_the_manifest_names_window_and_columns(store: DataStore) -> None:
    text = store.query(window(0, 1), "dep", ["id"])
    assert START.isoformat() in text
    assert "id" in text
