"""What the arguments of our short expectation names must be. No row is read here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from airflow_mlops.core.validation_counted import COMPARISONS
from airflow_mlops.core.validation_direct import TYPES
from airflow_mlops.spec.validation import Expectation


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - not NaN


def some_column(expectation: Expectation) -> str:
    """Say that no column is named."""
    return "" if expectation.targets else "no column"


def _wrong_bounds(given: Mapping[str, Any], fits: Callable[[Any], bool]) -> str:
    bounds = [given[name] for name in ("min", "max") if given.get(name) is not None]
    if not bounds:
        return "neither min nor max"
    if not all(fits(bound) for bound in bounds):
        return " and ".join(f"{type(bound).__name__} {bound!r}" for bound in bounds)
    if len(bounds) == 2:  # noqa: PLR2004
        try:
            return f"min {bounds[0]} above max {bounds[1]}" if bounds[0] > bounds[1] else ""
        except TypeError:
            return f"min and max of different types: {bounds[0]!r} and {bounds[1]!r}"
    return ""


def wrong_row_count(expectation: Expectation) -> str:
    """Check the bounds of a number of rows."""
    return _wrong_bounds(expectation.arguments, lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0)


def wrong_between(expectation: Expectation) -> str:
    """Check columns and bounds."""
    return some_column(expectation) or _wrong_bounds(
        expectation.arguments, lambda v: _number(v) or isinstance(v, str | date)
    )


def wrong_in_set(expectation: Expectation) -> str:
    """Check columns and the list of values."""
    values = expectation.arguments.get("values")
    listed = isinstance(values, list | tuple | set | frozenset) and len(values) > 0
    return some_column(expectation) or ("" if listed else "no list of values")


def wrong_type(expectation: Expectation) -> str:
    """Check columns and the name of the type."""
    kind = expectation.arguments.get("type")
    return some_column(expectation) or ("" if isinstance(kind, str) and kind in TYPES else f"type {kind!r}")


def wrong_compare(expectation: Expectation) -> str:
    """Check both sides and the operator."""
    given = expectation.arguments
    sides = [side for side in ("left", "right") if not isinstance(given.get(side), str) or not given[side]]
    if sides:
        return f"no column name as {' and '.join(sides)}"
    return "" if given.get("op") in COMPARISONS else f"op {given.get('op')!r}"


def wrong_columns(expectation: Expectation) -> str:
    """Check what is said about extra columns."""
    extra = expectation.arguments.get("extra")
    return "" if extra in {"forbid", "allow"} else f"extra {extra!r}"
