"""Rows in a database: a table, or a query that the window bounds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.profiles.build import profile_batches
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.spec.problems import Problem
from airflow_mlops.stores.event_times import (
    AS_WRITTEN,
    TimeReader,
    TimeRules,
    inside,
    said_of_times,
    time_advice,
    utc_microseconds,
)
from airflow_mlops.stores.sql.engine import make_engine, reading
from airflow_mlops.stores.sql.profile import pushed_down
from airflow_mlops.stores.sql.query import checked_query
from airflow_mlops.stores.sql.relation import Relation, Statement
from airflow_mlops.stores.sql.types import SeenTypes, to_array

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

    from airflow_mlops.core.records.profile import Profile

_PROBE = 1_000


class SqlStore:
    """A :class:`~airflow_mlops.core.ports.DataStore` over a database.

    Rows come ordered by event time, then by the other columns as they are asked for, so that two reads agree. They
    are streamed by a server-side cursor where the driver has one. Whatever a query returns, only rows of the window
    leave here.

    Parameters
    ----------
    database
        SQLAlchemy engine or URL. A URL's password is never shown.
    table
        Table or view, optionally with its schema: ``sales.flights``.
    query
        SQL text that uses ``:window_start`` and ``:window_end``. PostgreSQL gets instants (with the session's zone
        set to UTC), SQLite the text ``2013-03-01 05:00:00``, other databases times without a zone, in UTC.
    name
        The database in words, such as the connection's id.
    rules
        How it writes its times.

    Raises
    ------
    DataError
        If the query is not bounded by the window.

    Examples
    --------
    >>> SqlStore("sqlite:///flights.db", table="flights", name="connection warehouse").description
    'table flights of connection warehouse'
    """

    def __init__(
        self,
        database: str | sa.URL | sa.Engine,
        *,
        table: str | None = None,
        query: str | None = None,
        name: str = "the database",
        rules: TimeRules = AS_WRITTEN,
    ) -> None:
        if (table is None) == (query is None):
            raise ValueError("exactly one of table and query")
        self.description = f"table {table} of {name}" if table else f"query of {name}"
        self._table = table
        self._query = None if query is None else checked_query(query)
        self._database = database
        self._rules = rules
        self._doubtful = 0
        self._reader: TimeReader | None = None

    @cached_property
    def _relation(self) -> Relation:
        import sqlalchemy as sa

        database = self._database
        engine = database if isinstance(database, sa.Engine) else make_engine(database, self.description)
        return Relation(engine, self._table, self._query, self.description, self._rules)

    def schema(self, window: Window | None = None, time: str = "") -> tuple[Column, ...]:  # noqa: ARG002
        """Columns of the table or query; the type is ``unknown`` where only the values tell.

        Raises
        ------
        DataError
            If there is no such table, or the query fails, or the database's driver is not installed.
        StoreUnavailableError
            If the database does not answer.
        """
        return tuple(Column(name=name, type=str(type_ or "unknown")) for name, type_ in self._relation.types.items())

    def query(self, window: Window, time: str, columns: Sequence[str]) -> str:
        """The SQL that `read` runs, with the window's ends, for the manifest."""
        statement, _ = self._relation.select(window, time, columns, ordered=True)
        return f"{statement} -- window {window}"

    def read(
        self, window: Window, time: str, columns: Sequence[str], *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Rows of the window, in batches of at most `chunk_rows`.

        Raises
        ------
        DataError
            If the table or a column is missing, the query fails, or a value is not of its column's type; it names the
            source and the window.
        StoreUnavailableError
            If the database does not answer.
        """
        subject = self._subject(window)
        names = list(dict.fromkeys(columns))
        self._require({time: "data.time"} | {name: f"column {name}" for name in names if name != time}, subject)
        statement = self._relation.select(window, time, list(dict.fromkeys([*names, time])), ordered=True)
        others = [name for name in names if name != time]
        types = self._settled(
            others, lambda unknown: self._relation.select(window, time, unknown, ordered=False), subject
        )
        return self._batches(
            statement, names, types, TimeReader(time, subject, self._rules), window=window, chunk_rows=chunk_rows
        )

    def profile(self, reference: Profile, window: Window, time: str) -> Profile:
        """Have the window's rows counted in the bins of `reference` by the database, in one query.

        Rows are read and counted here where the database would count otherwise: a categorical column of times or JSON,
        a query's column or event time without a known type, values that are not of their column's type, SQLite's
        times with an offset.

        Raises
        ------
        DataError
            As :meth:`read`, and if a column is of another type than the reference's.
        StoreUnavailableError
            If the database does not answer.
        """
        subject = self._subject(window)
        names = list(dict.fromkeys(column.name for column in reference.columns))
        self._require({time: "data.time"} | {name: f"column {name}" for name in names if name != time}, subject)
        schema = self.schema()
        counted = pushed_down(self._relation, reference, window, time, schema=schema, subject=subject)
        if counted is not None:
            return counted
        try:
            return profile_batches(reference, self.read(window, time, names), window, schema=schema)
        except DataError as error:
            raise DataError(error.problems, subject=subject) from error

    def read_all(
        self, columns: Sequence[str], *, time: str | None = None, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Every row of a table, also those without an event time: for validating a source that has no window.

        Raises
        ------
        DataError
            If the source is a query, which needs its window, or as :meth:`read`.
        """
        names = list(dict.fromkeys(columns))
        self._require({name: f"column {name}" for name in names}, self.description)
        others = [name for name in names if name != time]
        types = self._settled(others, self._relation.select_all, self.description)
        reader = TimeReader(time, self.description, self._rules) if time in names else None
        statement = self._relation.select_all(names)
        return self._batches(statement, names, types, reader, window=None, chunk_rows=chunk_rows)

    def has_rows(self, window: Window, time: str) -> bool:
        """Whether the window holds any row; unsorted, so that the database can stop at the first."""
        subject = self._subject(window)
        self._require({time: "data.time"}, subject)
        statement = self._relation.select(window, time, [time], ordered=False)
        batches = self._batches(
            statement, [time], {}, TimeReader(time, subject, self._rules), window=window, chunk_rows=_PROBE
        )
        with closing(batches):
            return next(batches, None) is not None

    def bounds(self, time: str) -> tuple[datetime, datetime] | None:
        """Earliest and latest event time of a table; None for a query, which sees only its window."""
        if self._relation.is_query:
            return None
        with reading(self._relation.engine, self.description) as connection:
            ends = connection.execute(self._relation.select_bounds(time)).one()
        reader = TimeReader(time, self.description, self._rules)
        known = reader.convert(_times([end for end in ends if end is not None], reader)).to_pylist()
        return (known[0], known[-1]) if known else None

    def undated(self, time: str, window: Window | None = None) -> int | None:  # noqa: ARG002
        """Rows of a table without an event time; None for a query."""
        if self._relation.is_query:
            return None
        with reading(self._relation.engine, self.description) as connection:
            return int(connection.execute(self._relation.select_undated(time)).scalar_one())

    def issues(self) -> tuple[Problem, ...]:
        """How the times of the last read were read, where they do not say it."""
        return () if self._reader is None else said_of_times(self._reader, self._doubtful)

    def absent(self) -> tuple[str, ...]:
        """A table has its columns in every row."""
        return ()

    def _subject(self, window: Window) -> str:
        return f"{self.description}, window {window}"

    def _require(self, wanted: dict[str, str], subject: str) -> None:
        try:
            known = self._relation.types
        except DataError as error:
            raise DataError(error.problems, subject=subject) from error
        problems = missing_columns(wanted, known)
        if problems:
            raise DataError(problems, subject=subject)

    def _settled(
        self, names: list[str], select: Callable[[list[str]], Statement], subject: str
    ) -> dict[str, pa.DataType]:
        """Types of columns; those that are not declared are seen in a pass over their values.

        The pass comes first because all batches share one schema, and the first may hold nothing but nulls.
        """
        types = {name: t for name in names if (t := self._relation.types[name]) is not None}
        seen = {name: SeenTypes(name, subject) for name in names if name not in types}
        if seen:
            for rows in self._fetch(select(list(seen)), list(seen), 10 * _PROBE, subject):
                for name, values in rows.items():
                    seen[name].add(values)
        return types | {name: column.type for name, column in seen.items()}

    def _batches(
        self,
        statement: Statement,
        names: list[str],
        types: dict[str, pa.DataType],
        reader: TimeReader | None,
        *,
        window: Window | None,
        chunk_rows: int,
    ) -> Generator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.compute as pc

        time, subject = (reader.column, reader.subject) if reader else (None, self.description)
        fetched = [*names, time] if time is not None and time not in names else names
        self._doubtful, self._reader = 0, reader
        kept = pa.schema([(name, utc_microseconds() if name == time else types[name]) for name in names])
        for rows in self._fetch(statement, fetched, chunk_rows, subject):
            times = reader.convert(_times(rows[reader.column], reader)) if reader else None
            arrays = [times if name == time else to_array(rows[name], types[name], name, subject) for name in names]
            batch = pa.RecordBatch.from_arrays(arrays, schema=kept)
            if window is not None:
                chosen = inside(times, window)
                batch = batch.filter(chosen)
                if reader is not None and reader.doubtful is not None:
                    self._doubtful += int(pc.sum(pc.and_(chosen, reader.doubtful)).as_py() or 0)
            if batch.num_rows:
                yield batch

    def _fetch(
        self, statement: Statement, names: Sequence[str], chunk_rows: int, subject: str
    ) -> Iterator[dict[str, Sequence[Any]]]:
        """Run a statement and return chunks, column by column, as the driver's values."""
        text, binds = statement
        with reading(self._relation.engine, subject) as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=chunk_rows)
            with closing(streaming.execute(text, binds)) as result:
                for rows in result.partitions(chunk_rows):
                    yield dict(zip(names, zip(*rows, strict=True), strict=True))


_NUMBERS = frozenset({"int", "float", "Decimal"})


def _times(values: Sequence[Any], reader: TimeReader) -> pa.Array:
    """Return the driver's event times as an array that the reader converts."""
    import pyarrow as pa

    kinds = {type(value).__name__ for value in values if value is not None}
    if reader.rules.unit is not None and kinds <= _NUMBERS:
        return pa.array(values, pa.float64() if "float" in kinds else None)
    if not kinds <= {"datetime", "date", "str"} or len(kinds) > 1:
        numbers = [float(value) for value in values if value is not None] if kinds <= _NUMBERS else []
        told = time_advice(pa.array(numbers, pa.float64()))
        fix = f"{told}, or make times of them in the query, where there is one" if told else ""
        raise reader.refuse(f"column '{reader.column}' of the Python types {', '.join(sorted(kinds))}", fix)
    zoned = {value.tzinfo is not None for value in values if isinstance(value, datetime)}
    return pa.array(values, utc_microseconds()) if zoned == {True} else pa.array(values)
