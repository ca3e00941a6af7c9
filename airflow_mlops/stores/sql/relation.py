"""What a database holds under a table's name or a query: its columns, and the SQL that takes a window of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.columns import one_of
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.suggest import did_you_mean
from airflow_mlops.stores.event_times import AS_WRITTEN, TimeRules, micros
from airflow_mlops.stores.files.part import duplicated
from airflow_mlops.stores.sql.engine import query_failed, reading
from airflow_mlops.stores.sql.query import around, column_ends, day_prefixes, window_binds
from airflow_mlops.stores.sql.types import declared_type, no_time, postgres_types

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

_SOME_WINDOW = Window(start=datetime(1970, 1, 1, tzinfo=UTC), end=datetime(1970, 1, 2, tzinfo=UTC))
_SQLITE_SECOND = re.compile(r"^(.+):\d+$")
Statement = tuple[Any, dict[str, Any]]


class Relation:
    """A table, a view, or the rows of a query that is bounded by a window.

    Parameters
    ----------
    engine
        Of the database.
    table, query
        One of them; the query without a semicolon.
    description
        The source in words.
    rules
        How it writes its times.
    """

    def __init__(
        self,
        engine: sa.Engine,
        table: str | None,
        query: str | None,
        description: str,
        rules: TimeRules = AS_WRITTEN,
    ) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self.is_query = query is not None
        self._query = query or ""
        self._table = table or ""
        self._description = description
        self.rules = rules
        self._numbers: dict[str, Any] = {}

    @cached_property
    def types(self) -> dict[str, pa.DataType | None]:
        """Columns with their Arrow types; None where only the values tell.

        Raises
        ------
        DataError
            If there is no such table, the query fails, or two of its columns have the same name.
        """
        if self.is_query:
            return self._types_of_query()
        text_times = self.dialect == "sqlite"
        return {name: declared_type(type_, text_times=text_times) for name, type_ in self._declared.items()}

    def select(self, window: Window, time: str, columns: Sequence[str], *, ordered: bool) -> Statement:
        """Return the statement for rows of a window, or of somewhat more, and its parameters.

        Raises
        ------
        DataError
            If the event-time column of a table is of a type that does not compare with times.
        """
        window = self._asked(window)
        order = [name for name in dict.fromkeys([time, *columns]) if self._sortable(name)] if ordered else []
        if self.is_query:
            import sqlalchemy as sa

            quote = self.engine.dialect.identifier_preparer.quote
            text = around(self._query, map(quote, columns), order=map(quote, order))
            return sa.text(text), window_binds(window, self.dialect)
        chosen = self._select(*map(column, columns)).where(self._within(window, time))
        return chosen.order_by(*map(column, order)), {}

    def select_counts(self, window: Window, time: str, counts: Sequence[Any], *, where: Any = None) -> Statement:
        """Return the statement for aggregates over a window, and its parameters.

        Parameters
        ----------
        where
            What else must hold: of a query and of SQLite's times, the window's exact ends.
        """
        import sqlalchemy as sa

        window = self._asked(window)
        if self.is_query:
            rows = sa.text(f"(\n{self._query}\n) AS source_rows")
            chosen, binds = sa.select(*counts).select_from(rows), window_binds(window, self.dialect)
        else:
            chosen, binds = self._select(*counts).where(self._within(window, time)), {}
        return (chosen if where is None else chosen.where(where)), binds

    def native(self, name: str) -> Any:
        """Return the database's own type of a column: SQLAlchemy's class, or PostgreSQL's number; None if unknown."""
        return self._numbers.get(name) if self.is_query else self._declared[name]

    def _asked(self, window: Window) -> Window:
        """Of times in a zone of their own, days around the window are asked for: instants are compared once read."""
        apart = timedelta(days=1 if self.rules.zone is not None else 0)
        return Window(start=window.start - apart, end=window.end + apart)

    def _within(self, window: Window, time: str) -> Any:
        if self.rules.unit is not None:
            per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[self.rules.unit]
            first, last = (-(-micros(moment) * per // 10**6) for moment in (window.start, window.end))
            return (column(time) >= first) & (column(time) < last)
        # SQLite's times are texts, in any ISO form: whole days are compared here, instants after they are read.
        ends = day_prefixes(window) if self.dialect == "sqlite" else column_ends(window, self.types[time])
        if ends is None:
            subject = f"{self._description}, window {window}"
            raise no_time(time, self.types[time] or self._declared[time], subject)
        return (column(time) >= ends[0]) & (column(time) < ends[1])

    def select_all(self, columns: Sequence[str]) -> Statement:
        """Return the statement for all rows of a table.

        Raises
        ------
        DataError
            If it is a query, which cannot run without its window.
        """
        if self.is_query:
            raise query_failed("no window, which the query binds", self._description)
        return self._select(*map(column, columns)), {}

    def select_bounds(self, time: str) -> Any:
        """Return the statement for a table's earliest and latest time."""
        from sqlalchemy import func

        return self._select(func.min(column(time)), func.max(column(time)))

    def select_undated(self, time: str) -> Any:
        """Return the statement that counts a table's rows without a time."""
        from sqlalchemy import func

        return self._select(func.count()).where(column(time).is_(None))

    def _select(self, *what: Any) -> Any:
        import sqlalchemy as sa

        schema, table = self._place
        return sa.select(*what).select_from(sa.table(table, schema=schema))

    @property
    def _place(self) -> tuple[str | None, str]:
        schema, _, table = self._table.rpartition(".")
        return schema or None, table

    @cached_property
    def _declared(self) -> dict[str, Any]:
        import sqlalchemy as sa

        schema, table = self._place
        with reading(self.engine, self._description) as connection:
            inspector = sa.inspect(connection)
            if not inspector.has_table(table, schema=schema):
                raise self._no_table(inspector)
            return {item["name"]: item["type"] for item in inspector.get_columns(table, schema=schema)}

    def _no_table(self, inspector: sa.Inspector) -> DataError:
        schema, table = self._place
        names = [*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)]
        return DataError(
            Problem(
                code=ReasonCode.SOURCE_MISSING,
                field="data.source.table",
                found=f"no table '{self._table}'",
                allowed=one_of(names),
                fix=did_you_mean(table, names) or "check the name and the schema",
            ),
            subject=self._description,
        )

    def _types_of_query(self) -> dict[str, pa.DataType | None]:
        import sqlalchemy as sa

        with reading(self.engine, self._description) as connection:
            statement = sa.text(around(self._query, ["*"], where="1 = 0"))
            result = connection.execute(statement, window_binds(_SOME_WINDOW, self.dialect))
            names, description = list(result.keys()), list(result.cursor.description) if result.cursor else []
        plain = names
        if self.dialect == "sqlite":  # It gives a second column `a` of a subquery the name `a:1`.
            plain = [m[1] if (m := _SQLITE_SECOND.match(name)) and m[1] in names else name for name in names]
        if len(set(plain)) < len(plain):
            raise duplicated(self._description, plain)
        postgres = self.dialect == "postgresql"
        self._numbers = {item[0]: item[1] for item in description} if postgres else {}
        known = postgres_types(description) if postgres else {}
        return {name: known.get(name) for name in names}

    def _sortable(self, name: str) -> bool:
        """Whether rows can be ordered by a column: not every database can by JSON, bytes and types of its own."""
        import sqlalchemy as sa

        if self.dialect == "sqlite":
            return True
        type_ = self.types.get(name)
        is_json = not self.is_query and isinstance(self._declared[name], sa.JSON)
        return type_ is not None and str(type_) != "binary" and not is_json


def column(name: str) -> sa.ColumnClause[Any]:
    """Return a column without a type, so that SQLAlchemy hands over what the driver gives."""
    import sqlalchemy as sa

    return sa.column(name)
