"""What a database is asked about one column, so that its answers are the counts of a profile.

Everything is asked as "how many rows fulfil this condition?". The conditions are those that count alike in databases
where NaN is above all numbers (PostgreSQL) and in those where it compares with none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.profiles.counting import counted_as, type_problem
from airflow_mlops.core.records.profile import ColumnProfile
from airflow_mlops.core.rows.categories import written
from airflow_mlops.spec.problems import Problem

if TYPE_CHECKING:
    import pyarrow as pa

Shape = Literal["whole", "fraction", "boolean", "text"]
Answer = ColumnProfile | Problem | None
_MAX = sys.float_info.max
_INT64, _EXACT = 2**63 - 1, 2**53
_REAL4, _PADDED = 700, 1042
"""PostgreSQL's numbers of `real` and `char(n)`."""
_BINARY = {"sqlite": "BINARY", "postgresql": "C", "mssql": "Latin1_General_100_BIN2"}
"""Collations that tell all texts apart. MySQL's have none for every character set: it compares bytes."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Conditions on one column, and what their counts mean."""

    conditions: tuple[Any, ...]
    read: Callable[[Sequence[int], int], Answer]
    """From the counts and the number of rows: the column, or what is wrong with its type. None: there are values that
    this column should not have, so that only reading them tells what is to be said."""


def ask(reference: ColumnProfile, type_: pa.DataType | None, native: Any, dialect: str) -> Asked | None:
    """Say what to ask about a column; None when database and Python write its values differently (times, JSON, ...).

    Parameters
    ----------
    type_
        The Arrow type that its values are read as; None if it is not declared.
    native
        `Relation.native`.
    """
    if type_ is None:
        return _undeclared(reference) if dialect == "sqlite" else None
    shape = shape_of(type_)
    if shape is None:
        return None
    x, strange = _value(reference.name, shape, native, dialect), _strange(reference.name, shape, dialect)
    numeric = reference.role == "numeric"
    problem = type_problem(reference, type_)
    if problem:
        numeric = shape == "fraction"  # all that matters is whether there are values: NaN is none
        bare = replace(reference, role="numeric" if numeric else "categorical", edges=(), categories=())
        asked = _numbers(bare, x) if numeric else _categories(bare, x, shape)
    elif numeric:
        asked = _numbers(reference, _as_number(x, shape, native, dialect))
    else:
        asked = _categories(reference, x, shape)

    def read(counts: Sequence[int], rows: int) -> Answer:
        if any(counts[: len(strange)]):
            return None
        found = asked.read(counts[len(strange) :], rows)
        if not isinstance(found, ColumnProfile) or found.missing == rows:
            return _column(reference, missing=rows)
        return problem or _of_kind(reference, found, type_)

    return Asked(conditions=(*strange, *asked.conditions), read=read)


def shape_of(type_: pa.DataType) -> Shape | None:
    """Return how values of an Arrow type are counted; None when not in a database."""
    import pyarrow.types as t

    kinds: tuple[tuple[Callable[[Any], bool], Shape], ...] = (
        (t.is_integer, "whole"),
        (t.is_floating, "fraction"),
        (t.is_boolean, "boolean"),
        (t.is_string, "text"),
    )
    return next((shape for is_kind, shape in kinds if is_kind(type_)), None)


def _column(
    reference: ColumnProfile, *, missing: int, counts: Sequence[int] = (), non_finite: int = 0
) -> ColumnProfile:
    """Return the column with these counts; no counts are zeros."""
    bins = len(reference.edges if reference.role == "numeric" else reference.categories) + 1
    return replace(reference, counts=tuple(counts) or (0,) * bins, missing=missing, non_finite=non_finite, by_day=None)


def _of_kind(reference: ColumnProfile, found: ColumnProfile, type_: pa.DataType) -> ColumnProfile:
    kind = "number" if reference.role == "numeric" else counted_as(type_) or ""
    return replace(found, kind=reference.kind or kind)


def _numbers(reference: ColumnProfile, x: Any) -> Asked:
    """Ask for numbers: minus and plus infinity, everything up to the largest number, below each edge."""
    conditions = (x < _number(-_MAX), -x < _number(-_MAX), x <= _number(_MAX))
    below = tuple(x < _number(edge) for edge in reference.edges)

    def read(counts: Sequence[int], rows: int) -> Answer:
        under, over, reached = counts[:3]
        bounds = [under, *counts[3:], reached]
        bins = [after - before for before, after in pairwise(bounds)]
        return _column(reference, missing=rows - reached - over, counts=bins, non_finite=under + over)

    return Asked(conditions=(*conditions, *below), read=read)


def _categories(reference: ColumnProfile, x: Any, shape: Shape) -> Asked:
    """Ask for the values that are known, and for each category that values of this shape can be written as."""
    known = (x <= _number(_MAX), -x < _number(-_MAX)) if shape == "fraction" else (x.is_not(None),)
    values = [_reads(category, shape) for category in reference.categories]
    conditions = tuple(x == value for value in values if value is not None)

    def read(counts: Sequence[int], rows: int) -> Answer:
        there, hits = sum(counts[: len(known)]), iter(counts[len(known) :])
        bins = [0 if value is None else next(hits) for value in values]
        return _column(reference, missing=rows - there, counts=[*bins, there - sum(bins)])

    return Asked(conditions=(*known, *conditions), read=read)


def _reads(category: str, shape: Shape) -> Any:
    """Return the value that is written as this category, as a literal; None if there is none."""
    import sqlalchemy as sa

    if shape == "text":
        return sa.literal(category, sa.Text())
    if shape == "boolean":
        return {"True": sa.true(), "False": sa.false()}.get(category)
    try:
        value = int(category) if shape == "whole" else float(category)
    except ValueError:
        return None
    if written(value) != category or category == "nan" or (isinstance(value, int) and abs(value) > _INT64):
        return None  # a NaN is missing, and has no category
    return sa.literal(value, sa.BigInteger()) if isinstance(value, int) else _number(value)


def _value(name: str, shape: Shape, native: Any, dialect: str) -> Any:
    """Return a column as the value that Python gets."""
    import sqlalchemy as sa

    if shape == "boolean":
        return sa.column(name, sa.Boolean())
    x: Any = sa.column(name)
    if shape == "whole":
        return x
    if shape == "fraction":
        return _double(x, native, dialect)
    if dialect == "postgresql" and (native == _PADDED or isinstance(native, sa.CHAR)):
        # Casts cut the padding off, and Python sees it.
        x = sa.case((x.is_not(None), sa.func.format("%s", x)))
    elif dialect != "sqlite":
        x = sa.cast(x, sa.Text() if dialect == "postgresql" else sa.Unicode())
    if dialect in ("mysql", "mariadb"):
        return sa.cast(x, sa.LargeBinary())
    return sa.collate(x, _BINARY[dialect]) if dialect in _BINARY else x


def _as_number(x: Any, shape: Shape, native: Any, dialect: str) -> Any:
    import sqlalchemy as sa

    if shape == "boolean":
        return sa.case((x == sa.true(), 1.0), (x == sa.false(), 0.0))
    return _double(x, native, dialect) if shape == "whole" else x


def _double(x: Any, native: Any, dialect: str) -> Any:
    import sqlalchemy as sa

    if dialect == "sqlite":
        # It compares whole numbers with fractions exactly, and Python after rounding the whole ones.
        return x if isinstance(native, sa.Float) else sa.cast(x, sa.REAL())
    if dialect == "postgresql" and (native == _REAL4 or isinstance(native, sa.REAL)):
        x = sa.cast(x, sa.Text())  # the driver reads the shortest text of a `real`, which a cast to double is not
    return sa.cast(x, sa.Double())


def _number(value: float) -> Any:
    import sqlalchemy as sa

    return sa.literal(value, sa.Double())


def _strange(name: str, shape: Shape, dialect: str) -> tuple[Any, ...]:
    """Ask SQLite, which keeps anything in any column, for values that are not of the column's type."""
    import sqlalchemy as sa

    if dialect != "sqlite":
        return ()
    x: Any = sa.column(name)
    kind = sa.func.typeof(x)
    if shape == "boolean":
        return (x.is_not(None) & ((kind != "integer") | x.not_in([0, 1])),)
    fitting = {"whole": ["integer"], "fraction": ["integer", "real"], "text": ["text"]}[shape]
    return (kind.not_in(["null", *fitting]),)


def _undeclared(reference: ColumnProfile) -> Asked:
    """Ask SQLite about a column without a type: the values tell it."""
    import pyarrow as pa
    import sqlalchemy as sa

    x: Any = sa.column(reference.name)
    kind = sa.func.typeof(x)
    kinds = ("text", "integer", "real", "blob", "huge")
    huge = (kind == "integer") & ((x > _EXACT) | (x < -_EXACT))
    if reference.role == "numeric":
        asked = _numbers(reference, sa.cast(x, sa.REAL()))
    else:
        asked = _mixed_categories(reference, x)
    types = {"text": pa.string(), "real": pa.float64(), "integer": pa.int64()}

    def read(counts: Sequence[int], rows: int) -> Answer:
        seen = {name for name, count in zip(kinds, counts, strict=False) if count}
        # Beside fractions, whole numbers are read as such, and the largest are rounded.
        rounded = reference.role == "categorical" and {"huge", "real"} <= seen
        if "blob" in seen or rounded or ("text" in seen and len(seen) > 1):
            return None
        if not seen:
            return _column(reference, missing=rows)
        type_ = next(type_ for name, type_ in types.items() if name in seen)
        found = asked.read(counts[len(kinds) :], rows)
        return type_problem(reference, type_) or (found and _of_kind(reference, found, type_))  # type: ignore[arg-type]

    return Asked(conditions=(*(kind == name for name in kinds[:-1]), huge, *asked.conditions), read=read)


def _mixed_categories(reference: ColumnProfile, x: Any) -> Asked:
    """Ask for categories of a column that holds only texts, only whole numbers or only fractions."""
    import sqlalchemy as sa

    def condition(category: str) -> Any:
        # Without its kind a text might be compared as the number that it reads as.
        same = (sa.func.typeof(x) == "text") & (sa.collate(x, "BINARY") == sa.literal(category, sa.Text()))
        whole, fraction = _reads(category, "whole"), _reads(category, "fraction")
        number = fraction if whole is None else whole
        return same if number is None else same | (x == number)

    def read(counts: Sequence[int], rows: int) -> Answer:
        there, hits = counts[0], list(counts[1:])
        return _column(reference, missing=rows - there, counts=[*hits, there - sum(hits)])

    return Asked(conditions=(x.is_not(None), *map(condition, reference.categories)), read=read)
