"""Every store of rows counts a window exactly as counting its values one by one does."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
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
from airflow_mlops.core.profiles.build import profile_batches
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.sql.profile import _parts, _wanted
from airflow_mlops.stores.sql.profile_columns import ask
from airflow_mlops.stores.sql.store import SqlStore

START = datetime(2024, 3, 1, tzinfo=UTC)
HOURS = 120
INF = math.inf
Rows = dict[str, list[Any]]


def values() -> Rows:
    """Two rows an hour with everything that columns hold; nothing lies outside of hours 0 to 120."""
    n = HOURS * 2
    cycle = [0.0, -0.0, 0.1, 0.2, 0.30000000000000004, 5e-324, 1.7976931348623157e308, 0.7, 2.5, -1.0, 1e16, None]
    return {
        "dep": [START + timedelta(minutes=30 * i) for i in range(n)],
        "f": [cycle[i % len(cycle)] for i in range(n)],
        "i": [None if i % 13 == 0 else (i * 37) % 50 - 10 for i in range(n)],
        "big": [2**53 + i % 3 if i % 5 else -(2**62) for i in range(n)],
        "b": [None if i % 17 == 0 else i % 3 == 0 for i in range(n)],
        "d": [None if i % 19 == 0 else Decimal(i % 40) / 100 for i in range(n)],
        "s": [None if i % 11 == 0 else ["AA", "aa", "AA ", "", "ä", "5", "x,y'"][i % 7] for i in range(n)],
        "none": [None] * n,
    }


NUMBERS = [-1.0, 0.0, 2.2250738585072014e-308, 0.1, 0.2, 0.3, 0.30000000000000004, 0.7, 2.0, 9.0, 2.0**53, 1e300]


def column(name: str, role: Any, **given: Any) -> ColumnProfile:
    return ColumnProfile(name=name, role=role, counts=(), **given)


REFERENCE = Profile(
    model="m",
    window=Window(start=START - timedelta(days=30), end=START),
    rows=1,
    columns=(
        *(column(name, "numeric", edges=tuple(NUMBERS)) for name in ("f", "i", "big", "b", "d")),
        column("none", "numeric", edges=(1.0,)),
        column("f#", "categorical", categories=("0", "2.5", "0.1", "0.10", "10000000000000000", "inf", "nan")),
        column("i#", "categorical", categories=("5", "-10", "07", "5.0", "AA", str(2**70))),
        column("big#", "categorical", categories=(str(2**53), str(2**53 + 1), str(-(2**62)))),
        column("b#", "categorical", categories=("True", "False", "true")),
        column("d#", "categorical", categories=("0.1", "0", "0.10", "0.39")),
        column("s", "categorical", categories=("AA", "aa", "", "ä", "x,y'", "zz"), kind="text"),
        column("none#", "categorical", categories=("a",), kind="text"),
    ),
)


def twice(rows: Rows) -> Rows:
    """The rows with a column for each of the reference's."""
    return rows | {c.name: rows[c.name.removesuffix("#")] for c in REFERENCE.columns}


def written(value: Any) -> str:
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value).rstrip("0") if isinstance(value, Decimal) and "." in str(value) else str(value)


def by_hand(reference: ColumnProfile, found: Sequence[Any]) -> tuple[tuple[int, ...], int, int]:
    known = [value for value in found if value is not None and value == value]  # noqa: PLR0124
    missing, counts = len(found) - len(known), Counter[int]()
    if reference.role == "categorical":
        for value in known:
            text = written(value)
            counts[reference.categories.index(text) if text in reference.categories else -1] += 1
        return tuple(counts[i] for i in [*range(len(reference.categories)), -1]), missing, 0
    finite = [float(value) for value in known if math.isfinite(value)]
    for number in finite:
        counts[bisect_right(reference.edges, number)] += 1
    return tuple(counts[i] for i in range(len(reference.edges) + 1)), missing, len(known) - len(finite)


def table(rows: Rows, **types: pa.DataType) -> pa.Table:
    plain = {"dep": pa.timestamp("us", tz="UTC"), "none": pa.float64(), "none#": pa.string()} | types
    return pa.table({name: pa.array(found, plain.get(name)) for name, found in twice(rows).items()})


def parquet(folder: Path, request: Any, rows: Rows) -> DataStore:
    for name, part in (("a", slice(0, 100)), ("b", slice(100, None))):
        cut = {key: found[part] for key, found in rows.items()}
        money = pa.decimal128(12, 4)
        pq.write_table(table(cut, d=money, **{"d#": money}), folder / f"{name}.parquet", row_group_size=31)
    return FileStore(str(folder))


def parquet_other_types(folder: Path, request: Any, rows: Rows) -> DataStore:
    texts = pa.dictionary(pa.int8(), pa.large_string())
    made = table(rows, s=texts, i=pa.int16(), dep=pa.timestamp("ns"), **{"i#": pa.int8(), "none#": pa.null()})
    pq.write_table(made, folder / "a.parquet")
    return FileStore(str(folder / "a.parquet"))


def csv(folder: Path, request: Any, rows: Rows) -> DataStore:
    # A CSV file knows no empty text beside missing, and cuts blanks off numbers only.
    pacsv.write_csv(table(rows), folder / "a.csv")
    return FileStore(str(folder / "a.csv"))


def in_sqlite(folder: Path, rows: Rows, types: dict[str, str]) -> sa.Engine:
    return filled(sa.create_engine(f"sqlite:///{folder}/a.db", poolclass=sa.NullPool), "flights", rows, types)


def filled(engine: sa.Engine, name: str, rows: Rows, types: dict[str, str]) -> sa.Engine:
    quoted = ", ".join(f'"{key}" {type_}' for key, type_ in types.items())
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {name} ({quoted})"))
        target = sa.table(name, *map(sa.column, types))
        found = [dict(zip(types, one, strict=True)) for one in zip(*(rows[key] for key in types), strict=True)]
        connection.execute(target.insert(), found)
    return engine


SQLITE = {"f": "DOUBLE", "i": "INTEGER", "big": "BIGINT", "b": "BOOLEAN", "d": "NUMERIC(12, 4)", "s": "VARCHAR(9)"}
POSTGRES = {
    "f": "double precision",
    "i": "smallint",
    "big": "bigint",
    "b": "boolean",
    "d": "numeric(12, 4)",
    "s": "text",
}


def typed(types: dict[str, str], time: str) -> dict[str, str]:
    whole = {name: types[name.removesuffix("#")] for c in REFERENCE.columns if (name := c.name)[:4] != "none"}
    return {"dep": time, **whole, "none": types["f"], "none#": types["s"]}


def for_sqlite(rows: Rows, write: Callable[[datetime], str] = lambda t: t.replace(tzinfo=None).isoformat(" ")) -> Rows:
    plain = {key: [float(v) if isinstance(v, Decimal) else v for v in found] for key, found in twice(rows).items()}
    return plain | {"dep": [write(moment) for moment in rows["dep"]]}


def sqlite_table(folder: Path, request: Any, rows: Rows) -> DataStore:
    return SqlStore(in_sqlite(folder, for_sqlite(rows), typed(SQLITE, "TIMESTAMP")), table="flights")


def sqlite_zoned(folder: Path, request: Any, rows: Rows) -> DataStore:
    return SqlStore(in_sqlite(folder, for_sqlite(rows, datetime.isoformat), typed(SQLITE, "TEXT")), table="flights")


QUERY = "SELECT * FROM flights WHERE dep >= :window_start AND dep < :window_end -- bounded\n;"


def sqlite_query(folder: Path, request: Any, rows: Rows) -> DataStore:
    return SqlStore(in_sqlite(folder, for_sqlite(rows), typed(SQLITE, "TIMESTAMP")), query=QUERY)


def in_postgres(request: Any, rows: Rows, time: str, driver: str) -> tuple[sa.Engine, str]:
    url, name = request.getfixturevalue("postgres_url"), f"profile_{uuid4().hex[:8]}"
    engine = sa.create_engine(url.replace("psycopg2", driver), poolclass=sa.NullPool)
    zoned = time.endswith("tz")
    times = [moment if zoned else moment.replace(tzinfo=None) for moment in rows["dep"]]
    return filled(engine, name, twice(rows) | {"dep": times}, typed(POSTGRES, time)), name


def postgres_table(folder: Path, request: Any, rows: Rows) -> DataStore:
    engine, name = in_postgres(request, rows, "timestamptz", "psycopg2")
    return SqlStore(engine, table=f"public.{name}")


def postgres_naive_psycopg3(folder: Path, request: Any, rows: Rows) -> DataStore:
    engine, name = in_postgres(request, rows, "timestamp", "psycopg")
    return SqlStore(engine, table=name)


def postgres_query(folder: Path, request: Any, rows: Rows) -> DataStore:
    engine, name = in_postgres(request, rows, "timestamptz", "psycopg2")
    return SqlStore(engine, query=QUERY.replace("flights", name))


STORES = [
    parquet,
    parquet_other_types,
    csv,
    sqlite_table,
    sqlite_zoned,
    sqlite_query,
    postgres_table,
    postgres_naive_psycopg3,
    postgres_query,
]
IN_DATABASES = [make for make in STORES if make.__name__.startswith(("sqlite", "postgres"))]


def window(first: float, last: float) -> Window:
    return Window(start=START + timedelta(hours=first), end=START + timedelta(hours=last))


def streamed(store: DataStore, reference: Profile, span: Window, chunk_rows: int = 50_000) -> Profile:
    names = [c.name for c in reference.columns]
    batches = store.read(span, "dep", names, chunk_rows=chunk_rows)
    return profile_batches(reference, batches, span, schema=store.schema())


@pytest.fixture
def nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row of a database may be read: the database counts."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("rows were read")

    monkeypatch.setattr(SqlStore, "read", refuse)


@pytest.mark.parametrize("make", STORES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("special", [False, True], ids=["finite", "nan and inf"])
def test_every_store_counts_as_by_hand(make: Any, special: bool, tmp_path: Path, request: Any) -> None:
    rows = values()
    if special:
        rows["f"] = [{0: math.nan, 1: INF, 2: -INF}.get(i % 9, v) for i, v in enumerate(rows["f"])]
    store = make(tmp_path, request, rows)
    if make in IN_DATABASES:
        request.getfixturevalue("nothing_read")
    for first, last in ((0, HOURS), (10, 33.5), (7, 7.25)):
        found = store.profile(REFERENCE, window(first, last), "dep")
        part = slice(math.ceil(first * 2), math.ceil(last * 2))
        assert found.rows == part.stop - part.start
        assert [column.name for column in found.schema] == [column.name for column in store.schema()]
        for reference, got in zip(REFERENCE.columns, found.columns, strict=True):
            here = rows[reference.name.removesuffix("#")][part]
            if make is csv and reference.name == "s":
                here = [value or None for value in here]
            want = by_hand(reference, [_as_read(store, reference, value) for value in here])
            assert (got.counts, got.missing, got.non_finite) == want, reference.name


def _as_read(store: DataStore, reference: ColumnProfile, value: Any) -> Any:
    """What a store makes of a value: SQLite's queries have no booleans, and only Parquet keeps exact numbers."""
    query = isinstance(store, SqlStore) and store.description.startswith("query")
    if query and isinstance(value, bool) and reference.role == "categorical" and "sqlite" in str(store._database):
        return int(value)
    if not isinstance(value, Decimal):
        return value
    kind = next(column.type for column in store.schema() if column.name == reference.name)
    return round(value, int(kind.rstrip(")").split(", ")[1])) if kind.startswith("decimal") else float(value)


def with_columns(*columns: ColumnProfile) -> Profile:
    return replace(REFERENCE, columns=columns)


def refusal(act: Callable[[], Any]) -> tuple[set[tuple[ReasonCode, str, str, str]], str]:
    with pytest.raises(DataError) as caught:
        act()
    return {(p.code, p.field, p.found, p.allowed) for p in caught.value.problems}, str(caught.value)


@pytest.mark.parametrize("make", STORES, ids=lambda make: make.__name__)
def test_retyped_columns_are_the_same_error_in_every_store(make: Any, tmp_path: Path, request: Any) -> None:
    store = make(tmp_path, request, values())
    if make in IN_DATABASES:
        request.getfixturevalue("nothing_read")
    reference = with_columns(
        column("s", "numeric", edges=(1.0,)),
        column("i#", "categorical", categories=("AA",), kind="text"),
        column("f#", "categorical", categories=("True",), kind="boolean"),
        column("i", "numeric", edges=(1.0,)),
    )
    found, text = refusal(lambda: store.profile(reference, window(0, 9), "dep"))
    assert {(code, field) for code, field, _, _ in found} == {
        (ReasonCode.COLUMN_RETYPED, name) for name in ("s", "i#", "f#")
    }
    assert store.description in text
    assert str(window(0, 9)) in text
    # Nothing is wrong with the type of what is not there.
    empty = with_columns(column("s", "numeric", edges=(1.0,)), column("none", "categorical", categories=("a",)))
    assert store.profile(empty, window(-9, -5), "dep").rows == 0
    nothing = with_columns(replace(column("none", "categorical", categories=("a",)), kind="text"))
    assert store.profile(nothing, window(0, 9), "dep").columns[0].missing == 18


@pytest.mark.parametrize("make", IN_DATABASES, ids=lambda make: make.__name__)
def test_the_errors_of_a_database_are_those_of_reading(make: Any, tmp_path: Path, request: Any) -> None:
    store = make(tmp_path, request, values())
    reference = with_columns(*(column(name, "numeric") for name in ("i", "zzz", "bigg")))
    names = [c.name for c in reference.columns]
    want = refusal(lambda: list(store.read(window(0, 9), "dep", names)))
    assert refusal(lambda: store.profile(reference, window(0, 9), "dep")) == want
    fine = with_columns(column("i", "numeric"))
    want = refusal(lambda: list(store.read(window(0, 9), "depp", ["i"])))
    assert refusal(lambda: store.profile(fine, window(0, 9), "depp")) == want


@pytest.mark.parametrize("make", STORES, ids=lambda make: make.__name__)
def test_missing_columns_are_refused_and_empty_windows_are_not(make: Any, tmp_path: Path, request: Any) -> None:
    store = make(tmp_path, request, values())
    found, _ = refusal(lambda: store.profile(with_columns(column("zzz", "numeric")), window(0, 9), "dep"))
    assert {code for code, *_ in found} == {ReasonCode.COLUMN_MISSING}
    empty = store.profile(REFERENCE, window(-9, -5), "dep")
    assert (empty.rows, sum(sum(c.counts) + c.missing for c in empty.columns)) == (0, 0)
    assert [c.kind for c in empty.columns] == [c.kind for c in REFERENCE.columns]


@pytest.mark.parametrize("make", STORES, ids=lambda make: make.__name__)
def test_counting_equals_streaming_to_the_last_field(make: Any, tmp_path: Path, request: Any) -> None:
    store = make(tmp_path, request, values())
    for chunk_rows in (7, 50_000):
        assert store.profile(REFERENCE, window(3, 50), "dep") == streamed(store, REFERENCE, window(3, 50), chunk_rows)


TIMES = {
    "blank": ["2024-03-01 00:00:00", "2024-03-01 05:30:00", "2024-03-01 23:59:59", "2024-03-02 00:00:00"],
    "lettered": ["2024-03-01T00:00:00", "2024-03-01T05:30:00.5", "2024-03-01T23:59:59.999999", "2024-03-02T00:00:00"],
    "zoned": ["2024-03-01T00:00:00Z", "2024-03-01T05:30:00.5Z", "2024-03-01 23:59:59.9+00:00", "2024-03-02T00:00:00Z"],
    "days": ["2024-03-01", "2024-02-29", "2024-03-02", None],
    "offsets": ["2024-03-01T00:00:00+05:30", "2024-03-01T05:30:00+05:30", "2024-03-02T01:00:00-02:00"],
    "minutes": ["2024-03-01 00:00", "2024-03-01 05:30", "2024-03-02 00:00"],
    "around": [" 2024-03-01 00:00:00", "2024-03-01 05:30:00 "],
    "long": ["2024-03-01 05:30:00.123456789", "2024-03-01 23:59:59.999999999", "2024-02-29 23:59:59.999999999"],
}
READ = {"offsets", "minutes", "around"}
"""Only Python reads these."""


@pytest.mark.parametrize("form", TIMES)
@pytest.mark.parametrize("hours", [(0, 24), (5.5, 24), (0, 5.5), (5, 23), (0.25, 24 - 1 / 3600)])
def test_sqlite_tells_its_texts_of_times_apart(form: str, hours: Any, tmp_path: Path, request: Any) -> None:
    found = {"dep": TIMES[form], "i": list(range(len(TIMES[form])))}
    engine = in_sqlite(tmp_path, found, {"dep": "TIMESTAMP", "i": "INTEGER"})
    reference = with_columns(column("i", "numeric", edges=(1.0, 2.0, 3.0)))
    for store in (SqlStore(engine, table="flights"), SqlStore(engine, query=QUERY)):
        want = streamed(store, reference, window(*hours))
        with pytest.MonkeyPatch.context() as patch:
            if form not in READ:
                patch.setattr(SqlStore, "read", None)
            assert store.profile(reference, window(*hours), "dep") == want


@pytest.mark.parametrize(
    "times",
    [
        ["2024-03-01 01:00:00", "2024-03-01T02:00:00Z"],
        ["2024-03-01 01:00:00", "2024-03-01 25:00:00"],
        ["2024-03-31 01:00:00", "2024-03-01 02:00:00x", "2024-03-01 01:00:00"],
        [1709251200, "2024-03-01 01:00:00"],
    ],
)
def test_times_that_are_refused_in_reading_are_refused_in_counting(times: list[Any], tmp_path: Path) -> None:
    store = SqlStore(in_sqlite(tmp_path, {"dep": times}, {"dep": "TEXT"}), query=QUERY.replace("dep <", "1 OR dep <"))
    reference = with_columns()
    want = refusal(lambda: list(store.read(window(0, 24), "dep", ["dep"])))
    assert refusal(lambda: store.profile(reference, window(0, 24), "dep")) == want


@pytest.mark.parametrize(
    ("type_", "found"),
    [
        ("INTEGER", [1, "secret"]),
        ("INTEGER", [1, 2.5]),
        ("DOUBLE", [1.5, "secret"]),
        ("BOOLEAN", [1, 7]),
        ("TEXT", ["a", b"b"]),
        ("", [1, "secret"]),
        ("", [1, 2.5, None]),
        ("", [2**60, 2.5]),
        ("", ["a", "5"]),
        ("DATE", ["2024-03-01", None]),
        ("NUMERIC(4, 2)", [1, 2.25, None]),
    ],
)
@pytest.mark.parametrize("role", ["numeric", "categorical"])
def test_whatever_sqlite_keeps_is_counted_or_refused_as_in_reading(
    type_: str, found: list[Any], role: Any, tmp_path: Path
) -> None:
    times = ["2024-03-01 01:00:00"] * len(found)
    store = SqlStore(in_sqlite(tmp_path, {"dep": times, "x": found}, {"dep": "TIMESTAMP", "x": type_}), table="flights")
    bins = {"edges": (1.0, 2.0)} if role == "numeric" else {"categories": ("1", "a", "2.5", "2.25", "5")}
    reference = with_columns(column("x", role, **bins))

    def outcome(act: Callable[..., Profile]) -> Any:
        try:
            return act()
        except DataError as error:
            return error.problems

    got = outcome(lambda: store.profile(reference, window(0, 24), "dep"))
    assert got == outcome(lambda: streamed(store, reference, window(0, 24)))
    assert "secret" not in str(got)


POSTGRES_TYPES = {
    "real": ([0.1, 0.2, 0.7, 16777216.0, math.nan, INF, None], "numeric"),
    "real#": ([0.1, 0.2, 0.7, 16777216.0, math.nan, None], "categorical"),
    "numeric": ([Decimal("0.1"), Decimal("0.7"), Decimal("NaN"), Decimal("1e300"), None], "numeric"),
    "char(3)": (["AA", "B", "ABC", None], "categorical"),
    "varchar(9)": (["AA", "AA ", "ABC", None], "categorical"),
    "uuid": (["00000000-0000-0000-0000-00000000000a", None], "categorical"),
    "mood": (["sad", "AA", None], "categorical"),
    "date": ([datetime(2024, 3, 1).date(), None], "categorical"),
    "jsonb": (['{"b": 1, "a": 2}', None], "categorical"),
    "double precision": ([0.1, -INF, math.nan], "categorical"),
}


@pytest.mark.parametrize("type_", POSTGRES_TYPES)
@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_every_type_of_postgresql_is_counted_as_it_is_read(type_: str, driver: str, postgres_url: str) -> None:
    url, name = postgres_url, f"types_{uuid4().hex[:8]}"
    engine = sa.create_engine(url.replace("psycopg2", driver), poolclass=sa.NullPool)
    found, role = POSTGRES_TYPES[type_]
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TYPE IF EXISTS mood CASCADE"))
        connection.execute(sa.text("CREATE TYPE mood AS ENUM ('AA', 'sad')"))
        sql_type = type_.rstrip("#")
        connection.execute(sa.text(f"CREATE TABLE {name} (dep timestamptz, x {sql_type})"))
        for value in found:
            given = {"t": START, "x": str(value) if isinstance(value, float | Decimal) else value}
            connection.execute(sa.text(f"INSERT INTO {name} VALUES (:t, CAST(:x AS {sql_type}))"), given)
    bins: Any = {"edges": (0.1, 0.2, 0.7, 1e10)}
    if role == "categorical":
        names = ("AA", "AA ", "B  ", "sad", "0.1", "0.7", "16777216", "-inf", "2024-03-01", str(found[0]))
        bins = {"categories": tuple(dict.fromkeys(names))}
    reference = with_columns(column("x", role, **bins))
    for store in (SqlStore(engine, table=name), SqlStore(engine, query=QUERY.replace("flights", name))):
        got = store.profile(reference, window(0, 1), "dep")
        assert got == streamed(store, reference, window(0, 1))
        assert got.rows == len(found)


@pytest.mark.parametrize("place", ["sqlite", "postgres"])
def test_more_counts_than_a_result_has_columns(place: str, tmp_path: Path, request: Any, nothing_read: None) -> None:
    """SQLite's results have at most 2,000 columns, PostgreSQL's 1,664."""
    rows: Rows = {"dep": [START.replace(tzinfo=None)] * 3} | {f"x{i}": [i, None, 1.5] for i in range(110)}
    types = {name: "timestamp" if name == "dep" else "double precision" for name in rows}
    engine, table_name = None, f"wide_{uuid4().hex[:8]}"
    if place == "sqlite":
        rows["dep"] = [moment.isoformat(" ") for moment in rows["dep"]]
        engine = filled(sa.create_engine(f"sqlite:///{tmp_path}/a.db", poolclass=sa.NullPool), table_name, rows, types)
    else:
        engine = filled(sa.create_engine(request.getfixturevalue("postgres_url")), table_name, rows, types)
    edges = tuple(float(edge) for edge in range(20))
    found = SqlStore(engine, table=table_name).profile(
        with_columns(*(column(f"x{i}", "numeric", edges=edges) for i in range(110))), window(0, 1), "dep"
    )
    assert [got.name for got in found.columns] == [f"x{i}" for i in range(110)]
    for i, got in enumerate(found.columns):
        assert (got.counts, got.missing) == by_hand(replace(got, counts=()), [i, None, 1.5])[:2]


@pytest.mark.parametrize("dialect", ["mysql", "mssql", "oracle"])
def test_other_databases_get_statements_in_their_own_words(dialect: str) -> None:
    """They are not run here: nothing of PostgreSQL's is in them, and no result has more columns than Oracle's."""
    from importlib import import_module

    asked = [
        ask(c, type_, sa.Double(), dialect)
        for c in REFERENCE.columns
        for type_ in (pa.float64(), pa.int64(), pa.bool_(), pa.string())
    ]
    questions = [one for one in asked if one is not None]
    parts = list(_parts(dialect, questions))
    assert sum(map(len, parts)) == len(questions) > 0
    module = import_module(f"sqlalchemy.dialects.{dialect}")
    made = module.dialect()
    made._support_float_cast = True  # of MySQL 8.0.17 and later, which a connection would tell
    for part in parts:
        counts = [count for question in part for count in _wanted(question, dialect)]
        assert len(counts) <= 900
        text = str(sa.select(*counts).select_from(sa.table("t")).compile(dialect=made))
        assert "FILTER" not in text
        assert "CASE WHEN" in text
