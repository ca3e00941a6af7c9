"""The rows that an expectation is about: a parsed condition on a frame."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.rows.types import decoded
from airflow_mlops.spec.row_conditions import ColumnName, Comparison, Constant, RowCondition

if TYPE_CHECKING:
    import pandas as pd

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matching_rows(frame: pd.DataFrame, condition: RowCondition) -> pd.Series[bool]:
    """Return which rows of a frame a condition holds for, shape (n,).

    A row whose value is missing matches no comparison, and no set; it matches what is asked for missing values, and
    `not` of a comparison.

    Raises
    ------
    TypeError, ValueError
        If a column's values do not compare with what they are compared with.

    Examples
    --------
    >>> import pandas as pd
    >>> from airflow_mlops.spec.row_conditions import parse_condition
    >>> frame = pd.DataFrame({"a": [1.0, 2.0, None], "b": ["x", "y", "z"]})
    >>> matching_rows(frame, parse_condition("a > 1 or b == 'x'")).tolist()
    [True, True, False]
    """
    if isinstance(condition, Comparison):
        return _compared(frame, condition)
    parts = [matching_rows(frame, part) for part in condition.parts]
    if condition.operator == "not":
        return ~parts[0]
    return reduce(operator.and_ if condition.operator == "and" else operator.or_, parts)


def _compared(frame: pd.DataFrame, condition: Comparison) -> pd.Series[bool]:
    left, right = condition.left, condition.right
    if condition.operator in ("null", "not null"):
        missing: pd.Series[bool] = _series(frame, left).isna()
        return missing if condition.operator == "null" else ~missing
    if condition.operator in ("in", "not in"):
        series = _series(frame, left)
        found = series.isin([_like(series, value) for value in right.values]) if isinstance(right, Constant) else None
        if found is None:
            raise TypeError("a set is made of literals")
        return (found if condition.operator == "in" else ~found) & series.notna()
    first, second = _sides(frame, left, right)
    result = _OPERATORS[condition.operator](first, second)
    known = _known(first) & _known(second)
    holds: pd.Series[bool] = result.astype("boolean").fillna(False).astype(bool) & known
    return holds


def _sides(frame: pd.DataFrame, left: Any, right: Any) -> tuple[Any, Any]:
    """Both sides; of two columns both are series, else the literal is of the column's kind."""
    if isinstance(left, ColumnName):
        series = _series(frame, left)
        return series, _series(frame, right) if isinstance(right, ColumnName) else _like(series, right.values[0])
    series = _series(frame, right)
    return _like(series, left.values[0]), series


def _series(frame: pd.DataFrame, side: Any) -> pd.Series[Any]:
    series = frame[side.name]
    return decoded(series) if series.dtype == "category" else series


def _known(side: Any) -> Any:
    return side.notna() if hasattr(side, "notna") else True


def _like(series: pd.Series[Any], value: Any) -> Any:
    """Read a text as a time where the column holds times; without a zone it is UTC, as everywhere."""
    import pandas as pd

    if not isinstance(value, str) or not pd.api.types.is_datetime64_any_dtype(series.dtype):
        return value
    moment = pd.Timestamp(value)
    zoned = moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
    return zoned if series.dt.tz is not None else zoned.tz_localize(None)
