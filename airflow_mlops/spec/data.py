"""Where a model's rows come from, and which columns mean what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import core_schema

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.fields import (
    REQUIRED,
    Field,
    character,
    choice,
    choices_by_name,
    duration,
    lists,
    part,
    refuse,
    scalar,
    text,
    texts,
)
from airflow_mlops.spec.value_checks import calendar_part, connection, import_path, location, timezone

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem


ColumnType = Literal["text", "integer", "number", "boolean", "time"]
TimeUnit = Literal["s", "ms", "us", "ns"]

_ZONE = "Zone of event times that carry none; UTC when left out."
_UNIT = "Unit of event times that are numbers since 1970-01-01T00:00Z."


def _separator(value: str) -> str:
    if value.isalnum() or value in "+-":
        refuse(None, "a character that is no letter, digit or sign", "write it like ',' or '.'")
    return value


class FileSource(SpecModel):
    """Parquet, CSV, JSON lines, ORC or a Delta table: one file, or every file below a folder."""

    path: str = text(doc="Local path, relative to `[mlops] data_root`, or object-store URI.", check=location)
    format: Literal["parquet", "csv", "json", "orc", "delta"] | None = choice(
        "parquet",
        "csv",
        "json",
        "orc",
        "delta",
        default=None,
        doc="Taken from the file endings, or the folder's `_delta_log`, when left out.",
    )
    conn_id: str | None = text(default=None, doc="Airflow connection of the object store.", check=connection)
    encoding: str = text(default="utf-8", doc="Text encoding of CSV files.")
    delimiter: str = character(default=",", doc="Column separator of CSV files.")
    quote: str | None = character(
        default='"', nullable=True, doc="What fields of CSV files are quoted with, doubled inside; null: nothing is."
    )
    escape: str | None = character(default=None, doc="What stands before a quote inside of a CSV field, such as `\\`.")
    decimal: str = character(default=".", check=_separator, doc="Decimal mark of numbers in CSV files.")
    thousands: str | None = character(
        default=None, check=_separator, doc="What groups the digits of numbers in CSV files: `,`, `.`, a space or `'`."
    )
    null_values: tuple[str, ...] | None = texts(
        default=None,
        words="list of texts",
        doc="Texts of CSV files that are missing values, quoted or not, beside the empty one. Left out: NA, N/A, NULL, "
        "NaN and the like where they are not quoted, and in columns of numbers, times and truth values also quoted.",
    )
    types: dict[str, ColumnType] = choices_by_name(
        "text",
        "integer",
        "number",
        "boolean",
        "time",
        doc="Columns that are to be of another type than the one found, such as `{zip: text}`, which keeps leading "
        "zeros. Columns of `data.key` are text in CSV files.",
    )
    time_zone: str | None = text(default=None, words="IANA time zone", check=timezone, doc=_ZONE)
    time_unit: TimeUnit | None = choice("s", "ms", "us", "ns", default=None, doc=_UNIT)
    time_format: str | None = text(
        default=None,
        words="strptime format",
        doc="How event times are written that are no ISO 8601 text, such as `%d.%m.%Y %H:%M`.",
    )

    def problems_within(self) -> Iterator[Problem]:
        """The marks of numbers differ, and event times are written in one way."""
        if self.decimal == self.thousands:
            yield wrong("thousands", f"{self.thousands!r}, also the decimal mark", "another character", "correct one")
        if self.time_unit is not None and self.time_format is not None:
            yield wrong("time_unit", "also a time_format", "numbers or a format", "remove one of them")


class SqlSource(SpecModel):
    """A table, or a query that binds ``:window_start`` and ``:window_end``."""

    conn_id: str = text(doc="Airflow connection of the database.", check=connection)
    table: str | None = text(default=None, doc="Table name, optionally with its schema: `sales.flights`.")
    query: str | None = text(
        default=None,
        max_length=100_000,
        doc="SQL text, or the path of a .sql file beside the specification, that uses :window_start and :window_end.",
    )
    time_zone: str | None = text(default=None, words="IANA time zone", check=timezone, doc=_ZONE)
    time_unit: TimeUnit | None = choice("s", "ms", "us", "ns", default=None, doc=_UNIT)

    def problems_within(self) -> Iterator[Problem]:
        """Exactly one of table and query; a query compares times."""
        if (self.table is None) == (self.query is None):
            yield wrong(
                field="",
                found="neither 'table' nor 'query'" if self.table is None else "both 'table' and 'query'",
                allowed="exactly one of 'table' and 'query'",
                fix="name a table, or write a query" if self.table is None else "remove one of them",
            )
        if self.time_unit is not None and self.query is not None:
            yield wrong(
                field="time_unit",
                found=f"{self.time_unit!r}, with a query, which compares its times with :window_start itself",
                allowed="a table, or a query that makes times of the numbers",
                fix="cast the column in the query",
            )


Source = FileSource | SqlSource


def _kind(value: Any) -> str | None:
    if isinstance(value, SpecModel):
        return "~sql" if isinstance(value, SqlSource) else "~file"
    if not isinstance(value, Mapping):
        return None
    if "path" in value:
        return "~file"
    return "~sql" if value.keys() & {"conn_id", "table", "query"} else None


def _source() -> Any:
    # The tags begin with ~ so that an error's place can be told without them: data.source.path.
    schema = core_schema.tagged_union_schema(
        {"~file": FileSource.core_schema(), "~sql": SqlSource.core_schema()}, discriminator=_kind
    )
    words = "[FileSource](#filesource) or [SqlSource](#sqlsource)"
    return Field(schema, words, REQUIRED, "Files ({path}) or a database ({conn_id, table} or {conn_id, query}).")


def source_from(data: Mapping[str, Any]) -> Source:
    """Build a source from what its ``model_dump(mode="json")`` gave, as a trigger carries it.

    Raises
    ------
    SpecError
        With every problem that was found.

    Examples
    --------
    >>> source_from({"conn_id": "warehouse", "table": "flights"}).table
    'flights'
    """
    return SqlSource.model_validate(data) if _kind(data) == "~sql" else FileSource.model_validate(data)


class LabelSpec(SpecModel):
    """Labels that arrive in a source of their own, and are joined to the rows as they were known at as-of."""

    source: Source = _source()
    key: tuple[str, ...] = texts(
        default=(),
        words="column or list of columns",
        single=True,
        doc="Columns of the labels' source that hold the row's key, in the order of `data.key`; of the same names when "
        "left out.",
    )
    time: str = text(
        words="column",
        doc="When the label became known. Labels of later than as-of are not looked at; of several for one row, the "
        "newest known by then counts.",
    )


class DataSpec(SpecModel):
    """The rows: source, the columns with a meaning, and the windows."""

    source: Source = _source()
    time: str = text(
        words="column", doc="Event-time column. Times without a zone are read in `source.time_zone`, else as UTC."
    )
    key: tuple[str, ...] = texts(
        words="column or list of columns", single=True, doc="Column or columns that identify a row."
    )
    label: str = text(words="column", doc="Column to predict.")
    positive: str | int | float | bool | None = scalar(
        doc="Of two classes, the one that metrics, `probability` and pages are about. Left out: the larger number, "
        "true, or the second of a pair such as no/yes; of other pairs of texts it must be named."
    )
    labels: LabelSpec | None = part(
        LabelSpec, default=None, doc="Where the label comes from, when it is not a column of the rows' own source."
    )
    label_delay: timedelta = duration(
        default="0d", positive=False, doc="How long after the event its outcome is known."
    )
    weight: str | None = text(
        default=None,
        words="column",
        doc="Column of row weights, >= 0: they count in training and in every metric. Not a feature.",
    )
    window: timedelta = duration(default="90d", doc="How far back from as-of a training window reaches.")
    duplicates: Literal["refuse", "drop_exact", "keep_last"] = choice(
        "refuse",
        "drop_exact",
        "keep_last",
        default="refuse",
        doc="Rows of one key in a window. refuse: training is refused. drop_exact: rows that are the same in every "
        "column count once, and others are refused. keep_last: the row with the newest event time counts, of several "
        "the one that stands last.",
    )


class FeatureSpec(SpecModel):
    """Which columns the model may see. All empty: every column that has no other role, by its type."""

    numeric: tuple[str, ...] = texts(default=(), words="list of columns", doc="Columns used as numbers.")
    categorical: tuple[str, ...] = texts(default=(), words="list of columns", doc="Columns used as categories.")
    exclude: tuple[str, ...] = texts(
        default=(), words="list of columns", doc="Columns never to use, when features are found by type."
    )
    calendar: dict[str, tuple[str, ...]] = lists(
        words="mapping of columns to lists",
        check=calendar_part,
        doc="Numbers that are made of dates and times, the event time included, inside the model: `{ordered_at: [hour, "
        "weekday], birth: [age_days]}`. Beside age_days (days until the event): minute, hour, weekday (Monday 0), "
        "weekend, day, day_of_year, week, month, quarter, year.",
    )
    time_zone: str = text(
        default="UTC",
        words="IANA time zone",
        check=timezone,
        doc="Zone in which `calendar` reads hours and days.",
    )
    transformer: str | None = text(
        default=None,
        words="import path",
        check=import_path,
        doc="A scikit-learn transformer, frame to frame, that runs first, in training and in serving. It may be given "
        "any column by listing it, dates, event time and key included.",
    )
    encoding: Literal["auto", "ordinal", "onehot"] = choice(
        "auto",
        "ordinal",
        "onehot",
        default="auto",
        doc="auto: ordinal codes for estimators that accept missing values, else impute, scale, one-hot.",
    )
