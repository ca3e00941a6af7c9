"""Our short expectation names, each with its arguments and how it is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from airflow_mlops.core.validation import counted_checks as counted
from airflow_mlops.core.validation import direct_checks as direct
from airflow_mlops.core.validation.counted_checks import COMPARISONS
from airflow_mlops.core.validation.direct_checks import TYPES
from airflow_mlops.core.validation.plan import Rule
from airflow_mlops.spec.problems import Problem, ReasonCode
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


_COLUMN = "column or columns"
RULES: Mapping[str, Rule] = {
    "row_count": Rule(
        wrong=wrong_row_count,
        takes="min, max or both: whole numbers, min not above max",
        plan=counted.row_count,
    ),
    "not_null": Rule(wrong=some_column, takes=_COLUMN, plan=counted.not_null),
    "unique": Rule(wrong=some_column, takes=_COLUMN, plan=counted.unique),
    "between": Rule(
        wrong=wrong_between,
        takes=f"{_COLUMN}; min, max or both: numbers, texts or dates, in order",
        plan=counted.between,
    ),
    "in_set": Rule(wrong=wrong_in_set, takes=f"{_COLUMN}; values: a list that is not empty", plan=counted.in_set),
    "type": Rule(wrong=wrong_type, takes=f"{_COLUMN}; type: one of {', '.join(direct.TYPES)}", plan=direct.check_type),
    "finite": Rule(wrong=lambda _: "", takes=f"{_COLUMN}, or none for every numeric column", plan=direct.check_finite),
    "freshness": Rule(
        wrong=lambda e: "" if e.max_age else "no max_age", takes="max_age, such as 2d", plan=direct.check_freshness
    ),
    "compare": Rule(
        wrong=wrong_compare,
        takes=f"left and right: column names; op: one of {' '.join(counted.COMPARISONS)}",
        plan=counted.compare,
    ),
    "columns": Rule(wrong=wrong_columns, takes="extra: forbid or allow", plan=direct.check_columns),
    "not_all_null": Rule(
        wrong=lambda _: "", takes=f"{_COLUMN}, or none for every column", plan=direct.check_not_all_null
    ),
    "not_future": Rule(
        wrong=lambda _: "", takes=f"{_COLUMN}, or none for the event time", plan=direct.check_not_future
    ),
}
"""Every short name of :data:`airflow_mlops.spec.validation.SHORT_NAMES`."""


def audit(expectation: Expectation) -> Problem | None:
    """Say what is wrong with a short expectation's arguments, before any row is read."""
    rule = RULES[expectation.expect]
    found = rule.wrong(expectation)
    if not found:
        return None
    return Problem(
        code=ReasonCode.SPEC_INVALID_VALUE,
        field=f"validation.{expectation.expect}",
        found=found,
        allowed=rule.takes,
        fix="correct the expectation's arguments",
    )
