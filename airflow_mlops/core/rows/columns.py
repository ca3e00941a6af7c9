"""Column names against the columns that there are, and the few Arrow types that rows are kept in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 40


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` most likely stands for, if any is close.

    >>> did_you_mean("Origin", ["origin", "dest"])
    'origin'
    """
    by_lower = {other.lower(): other for other in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def one_of(names: Iterable[str]) -> str:
    """Return the names as a list for a message, cut where it would run over.

    >>> one_of(["dest", "origin"])
    'one of: dest, origin'
    """
    ordered = sorted(names)
    rest = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return f"one of: {', '.join(ordered[:_SHOWN])}{rest}" if ordered else "none: there are no names"


def missing_columns(wanted: Mapping[str, str], known: Iterable[str], *, where: str = "") -> list[Problem]:
    """Return a problem for every wanted column that is not known.

    Parameters
    ----------
    wanted
        Column name to the field of the specification that names it.
    known
        The columns that there are.
    where
        The source in words.
    """
    there = list(known)
    return [_missing(name, field, there, where) for name, field in wanted.items() if name not in there]


def _missing(name: str, field: str, known: list[str], where: str) -> Problem:
    near = did_you_mean(name, known)
    return Problem(
        code=ReasonCode.COLUMN_RENAMED if near else ReasonCode.COLUMN_MISSING,
        field=field,
        found=f"no column '{name}'",
        allowed=one_of(known),
        fix=f"did you mean '{near}'?" if near else "name a column of the source, or add it to the source",
        where=where,
    )


def plain_type(type_: pa.DataType) -> pa.DataType:
    """Return the type that values of `type_` are kept in, so that one value has one type wherever it was stored.

    Dictionaries are decoded, large and view variants of text and bytes become the plain ones, and the types that
    Parquet would change on its way (seconds, milliseconds, ``date64``, half floats) become the next larger one.
    """
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(type_):
        return plain_type(type_.value_type)
    if t.is_timestamp(type_) and type_.unit in ("s", "ms"):
        return pa.timestamp("us", tz=type_.tz)
    if t.is_map(type_):  # Parquet renames its parts
        return pa.map_(type_.key_type, type_.item_type)
    if t.is_time32(type_):
        return pa.time64("us")
    for is_kind, plain in (
        (t.is_large_string, pa.string()),
        (t.is_string_view, pa.string()),
        (t.is_large_binary, pa.binary()),
        (t.is_binary_view, pa.binary()),
        (t.is_date64, pa.date32()),
        (t.is_float16, pa.float32()),
    ):
        if is_kind(type_):
            return plain
    return type_


def require_columns(wanted: Iterable[str], found: Iterable[str]) -> None:
    """Refuse when a wanted column is not there, with the nearest name.

    Raises
    ------
    DataError
        One problem for each missing column.
    """
    from difflib import get_close_matches

    names = [str(name) for name in found]
    problems = []
    for column in wanted:
        if column in names:
            continue
        near = get_close_matches(column, names, n=1)
        problems.append(
            Problem(
                code=ReasonCode.COLUMN_MISSING,
                field=f"features.{column}",
                found=f"no column {column!r}",
                allowed=f"every feature column; there are: {', '.join(names[:40])}",
                fix=f"did you mean {near[0]!r}?"
                if near
                else "add the column to the source, or take it out of features",
            )
        )
    if problems:
        raise DataError(problems)
