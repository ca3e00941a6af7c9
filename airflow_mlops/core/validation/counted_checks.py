"""The short names that Great Expectations counts: each gives steps to be run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.validation.plan import CheckedRows, Step
from airflow_mlops.core.validation.wording import names
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.validation import Expectation

if TYPE_CHECKING:
    import pandas as pd


def row_count(expectation: Expectation, rows: CheckedRows) -> Iterator[Step]:
    """Bound the number of rows."""
    low, high = (expectation.arguments.get(name) for name in ("min", "max"))
    yield Step(
        expectation=expectation,
        columns=tuple(map(str, rows.frame.columns[:1])),
        type="expect_table_row_count_to_be_between",
        kwargs={"min_value": low, "max_value": high},
        allowed=_bounds(low, high, "rows"),
        fix="look at the window and the source: rows are missing" if low else "look for rows that came twice",
        code=ReasonCode.EXPECTATION_FAILED if len(rows.frame) else ReasonCode.WINDOW_EMPTY,
    )


def _bounds(low: Any, high: Any, noun: str = "") -> str:
    low, high = (f"{bound:,}" if isinstance(bound, int) else bound for bound in (low, high))
    said = f"{low} to {high}" if None not in (low, high) else f"at least {low}" if high is None else f"at most {high}"
    return f"{said} {noun}".strip()


def _at_most(expectation: Expectation, nothing: str, some: str) -> str:
    left = round(100 * (1 - expectation.mostly), 6)
    return nothing if not left else f"at most {left:g} % {some}"


def not_null(expectation: Expectation, _: CheckedRows) -> Iterator[Step]:
    """Ask for values that are not empty."""
    for column in expectation.targets:
        yield Step(
            expectation=expectation,
            columns=(column,),
            about=column,
            type="expect_column_values_to_not_be_null",
            kwargs={"column": column, "mostly": expectation.mostly},
            broken="are empty",
            allowed=_at_most(expectation, "no empty value", "empty"),
            fix="fill the column at the source, or allow gaps with `mostly`",
        )


def unique(expectation: Expectation, rows: CheckedRows) -> Iterator[Step]:
    """Ask for values that come once: of one column, or of several together."""
    columns = expectation.targets
    key = set(columns) == set(rows.role("key"))
    one = len(columns) == 1
    yield Step(
        expectation=expectation,
        columns=columns,
        about=names(columns),
        type="expect_column_values_to_be_unique" if one else "expect_compound_columns_to_be_unique",
        kwargs={"column": columns[0]}
        if one
        else {"column_list": list(columns), "ignore_row_if": "any_value_is_missing"},
        broken="are not the only one with their value" if one else "are not the only one with their values together",
        allowed="each value once" if one else "each combination once",
        fix="drop the repeated rows at the source or by data.duplicates, or add a column to the key"
        if key
        else "drop the repeated rows",
        code=ReasonCode.KEY_DUPLICATED if key else ReasonCode.EXPECTATION_FAILED,
    )


def between(expectation: Expectation, rows: CheckedRows) -> Iterator[Step]:
    """Bound the values of numbers, texts or times."""
    low, high = (expectation.arguments.get(name) for name in ("min", "max"))
    for column in expectation.targets:
        is_time = rows.kinds.get(column) == "time"
        yield Step(
            expectation=expectation,
            columns=(column,),
            about=column,
            type="expect_column_values_to_be_between",
            kwargs={
                "column": column,
                "min_value": _instant(low, rows.frame[column]) if is_time else low,
                "max_value": _instant(high, rows.frame[column]) if is_time else high,
                "mostly": expectation.mostly,
            },
            broken="are outside",
            allowed=_bounds(low, high) + _at_most(expectation, "", "outside").replace("at most", "; at most"),
        )


def _instant(bound: Any, series: pd.Series) -> Any:
    """Give a bound the column's kind of time: pandas compares times with a zone only to times with a zone."""
    import pandas as pd

    if bound is None:
        return None
    instant = pd.Timestamp(bound)
    aware = pd.to_datetime(series.head(0)).dt.tz is not None
    zoned = instant.tz_localize("UTC") if instant.tz is None else instant.tz_convert("UTC")
    return (zoned if aware else zoned.tz_localize(None)).to_pydatetime()


def in_set(expectation: Expectation, _: CheckedRows) -> Iterator[Step]:
    """Ask for values of a set."""
    values = list(expectation.arguments["values"])
    for column in expectation.targets:
        yield Step(
            expectation=expectation,
            columns=(column,),
            about=column,
            type="expect_column_values_to_be_in_set",
            kwargs={"column": column, "value_set": values, "mostly": expectation.mostly},
            broken="are not in the set",
            allowed=f"one of {names(map(str, values))}" + _at_most(expectation, "", "others").replace("at", "; at", 1),
            fix="correct the rows at the source, or add the new values to the set",
        )


COMPARISONS: Mapping[str, tuple[str, bool, bool]] = {
    ">": ("expect_column_pair_values_a_to_be_greater_than_b", False, False),
    ">=": ("expect_column_pair_values_a_to_be_greater_than_b", False, True),
    "<": ("expect_column_pair_values_a_to_be_greater_than_b", True, False),
    "<=": ("expect_column_pair_values_a_to_be_greater_than_b", True, True),
    "==": ("expect_column_pair_values_to_be_equal", False, False),
    "!=": ("expect_select_column_values_to_be_unique_within_record", False, False),
}
"""Great Expectations' name, whether the sides change places, and whether equal values pass."""


def compare(expectation: Expectation, _: CheckedRows) -> Iterator[Step]:
    """Compare two columns, row by row; rows with either side empty do not count."""
    left, op, right = (str(expectation.arguments[name]) for name in ("left", "op", "right"))
    name, swap, or_equal = COMPARISONS[op]
    first, second = (right, left) if swap else (left, right)
    if op == "!=":
        kwargs: dict[str, Any] = {"column_list": [left, right], "ignore_row_if": "any_value_is_missing"}
    else:
        kwargs = {"column_A": first, "column_B": second, "ignore_row_if": "either_value_is_missing"}
    if op not in {"==", "!="}:
        kwargs["or_equal"] = or_equal
    yield Step(
        expectation=expectation,
        columns=(left, right),
        about=f"{left}, {right}",
        type=name,
        kwargs={**kwargs, "mostly": expectation.mostly},
        allowed=f"{left} {op} {right}" + _at_most(expectation, "", "others").replace("at", "; at", 1),
    )
