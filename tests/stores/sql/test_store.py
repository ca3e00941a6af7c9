"""Databases as they are: SQLite that types nothing, PostgreSQL that types everything, and what goes wrong."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_mlops.core.errors import DataError, StoreUnavailableError
from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.event_times import TimeRules
from airflow_mlops.stores.sql.query import checked_query
from airflow_mlops.stores.sql.store import SqlStore

DAY = Window(start=datetime(2024, 3, 1, tzinfo=UTC), end=datetime(2024, 3, 2, tzinfo=UTC))
BOUNDED = "SELECT * FROM t WHERE at >= :window_start AND at < :window_end"


def sqlite(folder: Path, columns: str, *rows: tuple[Any, ...]) -> str:
    path = folder / "a.db"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE t ({columns})")
    for row in rows:
        connection.execute(f"INSERT INTO t VALUES ({', '.join('?' * len(row))})", row)
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


def read(store: SqlStore, *columns: str, window: Window = DAY, **options: Any) -> pa.Table:
    return pa.Table.from_batches(store.read(window, "at", columns, **options))


def test_sqlite_times_in_every_iso_form_are_instants(tmp_path: Path) -> None:
    forms = [
        ("2024-03-01T00:00:00Z", "2024-03-01T00:00:00+00:00"),
        ("2024-03-01T13:30:00+13:30", "2024-03-01T00:00:00+00:00"),
        ("2024-02-29 12:00:00-12:00", "2024-03-01T00:00:00+00:00"),
        ("2024-03-02T10:00:00+14:00", "2024-03-01T20:00:00+00:00"),
        ("2024-03-02T00:00:00Z", None),
        ("2024-02-29T23:59:59.999999Z", None),
    ]
    store = SqlStore(
        sqlite(tmp_path, "at TIMESTAMP, n INTEGER", *[(t, i) for i, (t, _) in enumerate(forms)]), table="t"
    )
    found = {row["n"]: row["at"].isoformat() for row in read(store, "n", "at").to_pylist()}
    assert found == {i: want for i, (_, want) in enumerate(forms) if want}


@pytest.mark.parametrize("written", ["2024-03-01 00:00:00", "2024-03-01 00:00:00.000000"])
def test_a_query_compares_texts_at_the_windows_ends(tmp_path: Path, written: str) -> None:
    end = written.replace("03-01", "03-02")
    store = SqlStore(sqlite(tmp_path, "at TIMESTAMP, n", (written, 1), (end, 2)), query=BOUNDED)
    assert read(store, "n").to_pylist() == [{"n": 1}]
    ticked = Window(start=DAY.start, end=DAY.end + timedelta(microseconds=1))
    assert read(store, "n", window=ticked).num_rows == 2


def test_a_query_that_returns_more_than_the_window_is_cut(tmp_path: Path) -> None:
    url = sqlite(tmp_path, "at TIMESTAMP, n INTEGER", ("2024-03-01", 1), ("2024-03-05", 2))
    store = SqlStore(url, query="SELECT * FROM t WHERE :window_start < :window_end")
    assert read(store, "n").to_pylist() == [{"n": 1}]


def test_types_that_sqlite_does_not_declare_come_from_all_values(tmp_path: Path) -> None:
    rows = [(f"2024-03-01 00:{i // 60:02d}:{i % 60:02d}", None, i, None) for i in range(3000)]
    rows[-1] = ("2024-03-01 23:00:00", "x", 2.5, None)
    store = SqlStore(sqlite(tmp_path, "at, s, f, n", *rows), table="t")
    table = read(store, "s", "f", "n", chunk_rows=100)
    assert [str(field.type) for field in table.schema] == ["string", "double", "null"]
    assert table.slice(2999).to_pylist() == [{"s": "x", "f": 2.5, "n": None}]


def test_the_order_is_that_of_time_and_then_of_the_columns(tmp_path: Path) -> None:
    rows = [("2024-03-01 01:00:00", n) for n in (3, 1, 2)] + [("2024-03-01 00:00:00", 9)]
    store = SqlStore(sqlite(tmp_path, "at TIMESTAMP, n INTEGER", *rows), table="t")
    assert read(store, "n")["n"].to_pylist() == [9, 1, 2, 3]


BAD_QUERIES = {
    "SELECT * FROM t": [":window_start and :window_end"],
    "SELECT * FROM t WHERE at >= :window_start": ["without :window_end"],
    "SELECT * FROM t -- :window_start :window_end": ["without :window_start and :window_end"],
    "SELECT ':window_start' FROM t /* :window_end */": ["without :window_start and :window_end"],
    BOUNDED + " AND n = :n": ["a query with :n"],
    "SELECT * FROM t WHERE at >= :window_begin": ["without :window_start and :window_end", "with :window_begin"],
}


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_a_query_that_the_window_does_not_bound_is_refused(query: str) -> None:
    with pytest.raises(DataError) as caught:
        SqlStore("sqlite:///x.db", query=query)
    for part in BAD_QUERIES[query]:
        assert part in str(caught.value)


def test_casts_and_times_of_day_are_no_parameters() -> None:
    query = BOUNDED + " AND at::date > '2024-01-01 12:30:00'"
    assert checked_query(query + " ;\n") == query


def broken(folder: Path) -> dict[str, tuple[SqlStore, ReasonCode, str]]:
    url = sqlite(folder, "at TIMESTAMP, n INTEGER, ok BOOLEAN", ("2024-03-01 01:00:00", "secret", 7))
    mixed = folder / "mixed"
    mixed.mkdir()
    zones = sqlite(mixed, "at TIMESTAMP, n", ("2024-03-01 01:00:00", 1), ("2024-03-01T02:00:00Z", 2))
    kinds = folder / "kinds"
    kinds.mkdir()
    values = sqlite(kinds, "at TIMESTAMP, n", ("2024-03-01 01:00:00", 1), ("2024-03-01 02:00:00", "secret"))
    epochs = folder / "epochs"
    epochs.mkdir()
    seconds = sqlite(epochs, "at INTEGER, n", (1709251200, 1))
    query = "SELECT {} FROM {} WHERE at >= :window_start AND at < :window_end OR 1"
    return {
        "no file": (SqlStore(f"sqlite:///{folder}/none.db", table="t"), ReasonCode.SOURCE_MISSING, "no SQLite file"),
        "no table": (
            SqlStore(url, table="tt"),
            ReasonCode.SOURCE_MISSING,
            "no table 'tt'; allowed: one of: t; did you",
        ),
        "no such column": (
            SqlStore(url, query=query.format("at, m", "t")),
            ReasonCode.QUERY_FAILED,
            "no such column: m",
        ),
        "no such table": (SqlStore(url, query=query.format("*", "u")), ReasonCode.QUERY_FAILED, "no such table: u"),
        "syntax": (SqlStore(url, query=query.format("*,", "t")), ReasonCode.QUERY_FAILED, "syntax error"),
        "text in a number": (
            SqlStore(url, table="t"),
            ReasonCode.COLUMN_RETYPED,
            "column n: found .* types str; .*int64",
        ),
        "twice": (
            SqlStore(url, query=query.format("at, n, n", "t")),
            ReasonCode.COLUMN_DUPLICATED,
            "2 columns named 'n'",
        ),
        "mixed zones": (SqlStore(zones, table="t"), ReasonCode.TIME_INVALID, "that carry a zone and times that do not"),
        "mixed values": (SqlStore(values, table="t"), ReasonCode.COLUMN_RETYPED, "values of the types int64, string"),
        "epochs": (
            SqlStore(seconds, query=query.format("*", "t")),
            ReasonCode.TIME_INVALID,
            "of the Python types int; .+time_unit: s, or make times of them in the query",
        ),
        "no driver": (SqlStore("nodb://x/y", table="t"), ReasonCode.SOURCE_UNREADABLE, "no driver"),
        "no url": (SqlStore("hunter2", table="t"), ReasonCode.SOURCE_UNREADABLE, "no database URL"),
    }


CASES = [
    *("no file", "no table", "no such column", "no such table", "syntax", "text in a number", "twice"),
    *("mixed zones", "mixed values", "epochs", "no driver", "no url"),
]


@pytest.mark.parametrize("case", CASES)
def test_a_broken_database_source_is_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    cases = broken(tmp_path)
    assert set(cases) == set(CASES)
    store, code, message = cases[case]
    with pytest.raises(DataError, match=message) as caught:
        read(store, "n")
    assert {problem.code for problem in caught.value.problems} == {code}
    assert "secret" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert not (tmp_path / "none.db").exists()


def test_a_failing_query_names_source_and_window(tmp_path: Path) -> None:
    url = sqlite(tmp_path, "at TIMESTAMP, n INTEGER", ("2024-03-01 01:00:00", 7))
    store = SqlStore(url, query=BOUNDED.replace("*", "at, abs(-9223372036854775808 + n - 7) AS n"), name="connection w")
    with pytest.raises(DataError, match=r"query of connection w, window \[2024-03-01.*integer overflow"):
        read(store, "n")


def test_a_database_that_does_not_answer_is_unavailable_and_keeps_its_password() -> None:
    for driver in ("psycopg2", "psycopg"):
        store = SqlStore(f"postgresql+{driver}://u:hunter2@127.0.0.1:1/d", table="t", name="connection w")
        with pytest.raises(
            StoreUnavailableError, match="table t of connection w: .*no answer from the database"
        ) as caught:
            store.schema()
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in store.description


@pytest.fixture
def engine(postgres_url: str) -> sa.Engine:
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    name = f"s{uuid4().hex[:8]}"
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
        connection.execute(
            sa.text(
                f"CREATE TABLE {name}.t (at timestamptz, day date, i smallint, n numeric(6, 0), f real, u uuid,"
                " j jsonb, tags text[], b bytea, took interval, word varchar(9))"
            )
        )
        connection.execute(
            sa.text(
                f"INSERT INTO {name}.t VALUES (:at, '2024-03-01', 1, 123456, 1.5, :u, '{{\"b\": 1}}', ARRAY['x'],"
                " 'ab', '90 minutes', 'w'), (:at, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
            ),
            {"at": DAY.start, "u": uuid4()},
        )
    return engine.execution_options(schema_name=name)


def schema_of(engine: sa.Engine) -> str:
    return str(engine.get_execution_options()["schema_name"])


COLUMNS = ("at", "day", "i", "n", "f", "u", "j", "tags", "b", "took", "word")
TYPES = "timestamp[us, tz=UTC] date32[day] int64 int64 double string string string binary duration[us] string"


def test_postgresql_types_of_a_table(engine: sa.Engine) -> None:
    table = read(SqlStore(engine, table=f"{schema_of(engine)}.t"), *COLUMNS)
    assert " ".join(str(field.type) for field in table.schema) == TYPES
    row = next(row for row in table.to_pylist() if row["i"])
    assert (row["day"], row["n"], row["took"]) == (date(2024, 3, 1), 123456, timedelta(minutes=90))
    assert (row["j"], row["tags"], row["b"]) == ('{"b": 1}', '["x"]', b"ab")


def test_postgresql_types_of_a_query(engine: sa.Engine) -> None:
    store = SqlStore(engine, query=BOUNDED.replace(" t ", f" {schema_of(engine)}.t "))
    table = read(store, *COLUMNS)
    assert " ".join(str(field.type) for field in table.schema) == TYPES.replace("int64 int64", "int64 double")


def test_postgresql_reads_change_nothing(engine: sa.Engine) -> None:
    name = schema_of(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                f"CREATE FUNCTION {name}.wipe() RETURNS timestamptz LANGUAGE sql AS 'DELETE FROM {name}.t RETURNING at'"
            )
        )
    store = SqlStore(engine, query=f"SELECT {name}.wipe() AS at WHERE :window_start < :window_end")
    with pytest.raises(DataError, match="read-only transaction"):
        read(store, "at")


def test_postgresql_dates_as_event_time(engine: sa.Engine) -> None:
    store = SqlStore(engine, table=f"{schema_of(engine)}.t")
    assert store.has_rows(DAY, "day")
    later = Window(start=DAY.start + timedelta(microseconds=1), end=DAY.end)
    assert not store.has_rows(later, "day")
    assert store.undated("day") == 1


def test_a_value_that_postgresql_refuses_is_not_shown(engine: sa.Engine) -> None:
    query = BOUNDED.replace("*", "at, CAST(word || 'secret' AS int) AS n").replace(" t ", f" {schema_of(engine)}.t ")
    with pytest.raises(DataError, match=r"InvalidTextRepresentation \(SQLSTATE 22P02\)") as caught:
        read(SqlStore(engine, query=query), "n")
    assert "secret" not in str(caught.value)


def test_a_postgresql_table_in_the_wrong_schema_is_missing(engine: sa.Engine) -> None:
    with pytest.raises(DataError, match="no table 'public.t'"):
        SqlStore(engine, table="public.t").schema()


def test_every_row_of_a_table_without_window(tmp_path: Path) -> None:
    url = sqlite(tmp_path, "at TIMESTAMP, n", ("2024-03-01", 1), (None, 2))
    rows = [row for batch in SqlStore(url, table="t").read_all(["n", "at"], time="at") for row in batch.to_pylist()]
    assert rows == [{"n": 1, "at": DAY.start}, {"n": 2, "at": None}]
    with pytest.raises(DataError, match="no window, which the query binds"):
        list(SqlStore(url, query=BOUNDED).read_all(["n"]))


def test_either_a_table_or_a_query() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        SqlStore("sqlite:///x.db")


BERLIN = TimeRules(zone="Europe/Berlin")


def local_rows(folder: Path, type_: str, values: list[object]) -> str:
    with sqlite3.connect(folder / "local.db") as connection:
        connection.execute(f"CREATE TABLE a (t {type_}, x INTEGER)")
        connection.executemany("INSERT INTO a VALUES (?, ?)", [(value, place) for place, value in enumerate(values)])
    connection.close()
    return f"sqlite:///{folder}/local.db"


@pytest.mark.parametrize(
    "query", [None, "SELECT * FROM a WHERE t >= :window_start AND t < :window_end"], ids=["table", "query"]
)
def test_times_of_a_zone_are_read_in_it_and_its_doubtful_ones_counted(tmp_path: Path, query: str | None) -> None:
    texts = ["2024-10-26 23:30:00", "2024-10-27 00:30:00", "2024-10-27 02:30:00", "2024-10-28 00:30:00"]
    url = local_rows(tmp_path, "TIMESTAMP", list(texts))
    named = {"table": "a"} if query is None else {"query": query}
    store = SqlStore(url, **named, rules=BERLIN)
    day = Window(start=datetime(2024, 10, 26, 22, tzinfo=UTC), end=datetime(2024, 10, 27, 23, tzinfo=UTC))
    rows = [row for batch in store.read(day, "t", ["t", "x"]) for row in batch.to_pylist()]
    assert [row["x"] for row in rows] == [1, 2]
    assert rows[1]["t"] == datetime(2024, 10, 27, 1, 30, tzinfo=UTC)
    assert "1 rows with a time that the clock of Europe/Berlin shows twice" in str(store.issues()[0])
    reference = build_profile("m", pd.DataFrame({"x": [0.0, 1.0, 2.0]}), [Feature(name="x", role="numeric")], day)
    assert store.profile(reference, day, "t").rows == 2


@pytest.mark.parametrize(("unit", "per"), [("s", 1), ("ms", 1000)])
def test_numbers_since_1970_are_compared_in_the_database(tmp_path: Path, unit: str, per: int) -> None:
    start = datetime(2024, 3, 1, tzinfo=UTC)
    url = local_rows(tmp_path, "BIGINT", [int((start.timestamp() + 3600 * hour) * per) for hour in range(48)])
    store = SqlStore(url, table="a", rules=TimeRules(unit=unit))
    window = Window(start=start + timedelta(hours=3), end=start + timedelta(hours=7))
    rows = [row for batch in store.read(window, "t", ["t", "x"]) for row in batch.to_pylist()]
    assert [row["x"] for row in rows] == [3, 4, 5, 6]
    assert rows[0]["t"] == window.start
    assert store.has_rows(window, "t")


def test_whole_numbers_of_twenty_digits_stay_what_they_are(tmp_path: Path) -> None:
    url = sqlite(tmp_path, "at TIMESTAMP, id NUMERIC(20, 0), n NUMERIC(9, 0), m NUMERIC(9, 2)",
                 ("2024-03-01", 2**60 + 1, 7, 0.5), ("2024-03-01 01:00", None, None, None))  # fmt: skip
    table = read(SqlStore(url, table="t"), "id", "n", "m")
    assert [str(field.type) for field in table.schema] == ["decimal128(20, 0)", "int64", "double"]
    assert table["id"].to_pylist() == [2**60 + 1, None]
