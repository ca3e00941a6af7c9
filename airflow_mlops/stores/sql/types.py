"""What a database calls a type, and what its driver hands over, as Arrow columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.event_times import TimeReader, utc_microseconds

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy.types import TypeEngine

_EXACT_DIGITS, _LONGEST_DIGITS = 18, 38
_POSTGRES = {
    16: "bool", 17: "binary", 20: "int64", 21: "int64", 23: "int64", 25: "string", 700: "double", 701: "double",
    1042: "string", 1043: "string", 1082: "date32", 1114: "naive", 1184: "zoned", 1186: "duration", 1700: "double",
    2950: "string",
}  # fmt: skip
"""Object ids of PostgreSQL's built-in types: ``SELECT oid, typname FROM pg_type``."""


def _named(name: str) -> pa.DataType:
    import pyarrow as pa

    special = {"naive": pa.timestamp("us"), "zoned": utc_microseconds(), "duration": pa.duration("us")}
    return special.get(name) or pa.type_for_alias(name)


def declared_type(type_: TypeEngine[Any], *, text_times: bool) -> pa.DataType | None:
    """Return the Arrow type of a column by its declared SQL type; None when only the values tell.

    Exact numbers with decimals are read as float64, which is what a model is trained on; whole ones of more than 18
    digits stay exact, as they may be ids.

    Parameters
    ----------
    text_times
        Whether the database keeps times as text (SQLite): such times are read like any other text of times.
    """
    import pyarrow as pa
    import sqlalchemy as sa

    if isinstance(type_, sa.Numeric) and not isinstance(type_, sa.Float):
        return _exact(type_.precision, type_.scale)
    if isinstance(type_, sa.DateTime):
        return utc_microseconds() if text_times or type_.timezone else pa.timestamp("us")
    kinds: tuple[tuple[type[Any], pa.DataType], ...] = (
        (sa.Boolean, pa.bool_()),
        (sa.Integer, pa.int64()),
        (sa.Float, pa.float64()),
        (sa.Date, pa.date32()),
        (sa.Time, pa.time64("us")),
        (sa.Interval, pa.duration("us")),
        (sa.String, pa.string()),
        (sa.Uuid, pa.string()),
        (sa.JSON, pa.string()),
        (sa.LargeBinary, pa.binary()),
    )
    return next((arrow for kind, arrow in kinds if isinstance(type_, kind)), None)


def _exact(precision: int | None, scale: int | None) -> pa.DataType:
    """Whole numbers of any length stay what they are, as they may be ids; others are trained on as fractions."""
    import pyarrow as pa

    if scale != 0 or precision is None or precision > _LONGEST_DIGITS:
        return pa.float64()
    return pa.int64() if precision <= _EXACT_DIGITS else pa.decimal128(precision, 0)


def postgres_types(description: Iterable[Any]) -> dict[str, pa.DataType | None]:
    """Return the types of a PostgreSQL cursor's columns, by its `description`; None where only the values tell."""
    return {item[0]: _named(_POSTGRES[item[1]]) if item[1] in _POSTGRES else None for item in description}


class SeenTypes:
    """The type of a column that declares none, from all of its values.

    Examples
    --------
    >>> seen = SeenTypes("x", "")
    >>> seen.add([1, None]); seen.add([2.5])
    >>> str(seen.type)
    'double'
    """

    _KINDS: tuple[tuple[type[Any], str], ...] = (
        (bool, "bool"), (int, "int64"), (float, "double"), (Decimal, "double"), (datetime, "naive"), (date, "date32"),
        (time, "time64[us]"), (timedelta, "duration"), (bytes, "binary"), (memoryview, "binary"),
    )  # fmt: skip

    def __init__(self, column: str, subject: str) -> None:
        self._column = column
        self._subject = subject
        self._kinds: set[str] = set()

    def add(self, values: Iterable[Any]) -> None:
        """Look at values; anything that has no Arrow type of its own becomes text."""
        for value in values:
            if isinstance(value, datetime) and value.tzinfo is not None:
                self._kinds.add("zoned")
            elif value is not None:
                self._kinds.add(next((name for kind, name in self._KINDS if isinstance(value, kind)), "string"))

    @property
    def type(self) -> pa.DataType:
        """The type that all values have.

        Raises
        ------
        DataError
            If there is none.
        """
        import pyarrow as pa

        kinds = self._kinds - {"int64"} if "double" in self._kinds else self._kinds
        if len(kinds) > 1:
            raise retyped(self._column, f"values of the types {', '.join(sorted(kinds))}", "one type", self._subject)
        return _named(next(iter(kinds))) if kinds else pa.null()


def to_array(values: Sequence[Any], type_: pa.DataType, column: str, subject: str) -> pa.Array:
    """Return driver values as an Arrow array of one type.

    Raises
    ------
    DataError
        If a value is not of that type (SQLite keeps anything in any column); the value is not shown.
    """
    import pyarrow as pa
    import pyarrow.types as t

    try:
        if t.is_timestamp(type_) and any(isinstance(value, str) for value in values):
            return TimeReader(column, subject).convert(pa.array(values, pa.string())).cast(type_)
        convert = _decimal if t.is_decimal(type_) else _CONVERT.get(str(type_))
        if convert is not None:
            values = [None if value is None else convert(value) for value in values]
        return pa.array(values, type_)
    except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        if isinstance(error, DataError):
            raise
        kinds = sorted({type(value).__name__ for value in values if value is not None})
        raise retyped(column, f"values of the Python types {', '.join(kinds)}", str(type_), subject) from error


def retyped(column: str, found: str, allowed: str, subject: str) -> DataError:
    """Return the error for a column whose values are not of its type."""
    return DataError(
        Problem(
            code=ReasonCode.COLUMN_RETYPED,
            field=f"column {column}",
            found=found,
            allowed=allowed,
            fix="cast it in a query, or mend the values",
        ),
        subject=subject,
    )


def no_time(column: str, type_: Any, subject: str) -> DataError:
    """Return the error for an event-time column that a database cannot compare with instants."""
    return DataError(
        Problem(
            code=ReasonCode.TIME_INVALID,
            field="data.time",
            found=f"column '{column}' of type {type_}",
            allowed="a column of timestamps or dates",
            fix="name another column as data.time, or cast it in data.source.query",
        ),
        subject=subject,
    )


def _whole(value: Any) -> int:
    if int(value) != value:
        raise ValueError("a fraction")
    return int(value)


def _decimal(value: Any) -> Decimal:
    return Decimal(_whole(value))


def _truth(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError("neither 0 nor 1")
    return bool(value)


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=str)
    return value if isinstance(value, str) else str(value)


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "int64": _whole,
    "double": lambda value: float(value) if not isinstance(value, str) else _refuse_text(),
    "bool": _truth,
    "string": _text,
    "binary": bytes,
    "date32[day]": lambda value: date.fromisoformat(value) if isinstance(value, str) else value,
    "time64[us]": lambda value: time.fromisoformat(value) if isinstance(value, str) else value,
}


def _refuse_text() -> float:
    raise TypeError("text where a number belongs")
