"""Cut rows into slices: by the values of a column, or by quantile bins of a numeric one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

MISSING = "missing"
"""Name of the slice of rows that have no value."""
WHOLE_VALUES = 20
"""A column of whole numbers with at most so many values is cut by value, otherwise into bins."""
LARGEST = 100
"""Slices of one column that are judged at most; the others are counted together."""


@dataclass(frozen=True, eq=False)
class SliceSource:
    """The rows of one slice."""

    column: str
    value: str
    index: Array
    """Their positions, ascending, shape (rows,)."""
    low: float = math.nan
    high: float = math.nan
    """Of a bin: the largest value of the bin before, and its own."""

    def holds(self, wanted: Any) -> bool:
        """Whether a value of the specification means this slice: its value in words, or a number inside the bin.

        >>> SliceSource("distance", "12 to 40", [], 12.0, 40.0).holds(20), SliceSource("origin", "JFK", []).holds("EWR")
        (True, False)
        """
        number = isinstance(wanted, int | float) and not isinstance(wanted, bool)
        return in_words(wanted) == self.value or (number and self.low < wanted <= self.high)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """A column's slices, largest first."""

    judged: tuple[SliceSource, ...]
    """Those with the fewest rows asked for, at most `LARGEST`."""
    small: tuple[SliceSource, ...]
    """Those with fewer."""
    others: tuple[SliceSource, ...]
    """Large enough, but beyond `LARGEST`."""


def cut(values: pd.Series[Any], bins: int, min_rows: int, required: Sequence[Any] = ()) -> Cut:
    """Cut a column into slices.

    Parameters
    ----------
    values
        The column, shape (n,); rows without a value are a slice of their own.
    bins
        Quantile bins of a numeric column; whole numbers with at most `WHOLE_VALUES` values are cut by value.
    min_rows
        Fewest rows to judge a slice on.
    required
        Values that are judged however many larger slices there are.

    Examples
    --------
    >>> import pandas as pd
    >>> found = cut(pd.Series(["a", "b", None, "a"], name="c"), 4, 2)
    >>> [(rows.value, len(rows.index)) for rows in found.judged + found.small]
    [('a', 2), ('b', 1), ('missing', 1)]
    """
    numbers = as_numbers(values)
    slices = _by_value(values) if numbers is None else _by_bin(str(values.name), numbers, bins)
    asked = {id(rows) for rows in slices if any(rows.holds(value) for value in required)}
    ordered = sorted(slices, key=lambda rows: (id(rows) not in asked, -len(rows.index), rows.value))
    large = [rows for rows in ordered if len(rows.index) >= min_rows]
    small = tuple(rows for rows in ordered if len(rows.index) < min_rows)
    return Cut(judged=tuple(large[:LARGEST]), small=small, others=tuple(large[LARGEST:]))


def as_numbers(values: pd.Series[Any], few: int = WHOLE_VALUES) -> Array | None:
    """Numbers of a column that is cut into bins, NaN where missing; None for one that is cut by value.

    Whole numbers with at most `few` values are cut by value.
    """
    import numpy as np
    import pandas as pd

    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind not in {"integer", "floating", "mixed-integer-float", "decimal"}:
        return None
    numbers = pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan)
    distinct = np.unique(numbers[~np.isnan(numbers)])
    whole = len(distinct) <= few and bool((distinct == np.floor(distinct)).all())
    return None if whole else numbers


def in_words(value: Any) -> str:
    """Write a value of a row, or of a specification, so that both are the same text.

    >>> in_words(True), in_words(3.0), in_words("EWR"), in_words(None), in_words("missing")
    ('true', '3', 'EWR', 'missing', "'missing'")
    """
    if value is None:
        return MISSING
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "true" if value else "false"
    try:
        number = None if isinstance(value, str) else float(value)
    except (TypeError, ValueError):  # a date, a list: its own text will do
        number = None
    if number is not None:
        return f"{number:.0f}" if number % 1 == 0 else f"{number:.12g}"
    text = str(value)
    return repr(text) if text == MISSING else text


def words_of(values: pd.Series[Any]) -> tuple[Array, list[str]]:
    """Values in words: the number of each row's, shape (n,), -1 where missing, and the words."""
    import numpy as np
    import pandas as pd

    known = values.notna().to_numpy()
    plain = values.astype(object)[known]
    try:
        raw, found = pd.factorize(plain)
    except TypeError:  # lists and the like cannot be told apart but by their text
        raw, found = pd.factorize(plain.map(str))
    codes, words = pd.factorize(np.array([in_words(value) for value in found], dtype=object))
    numbers = np.full(len(values), -1)
    numbers[known] = codes[raw]
    return numbers, [str(word) for word in words]


def _by_value(values: pd.Series[Any]) -> list[SliceSource]:
    import numpy as np

    codes, words = words_of(values)
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(words) + 1))
    column = str(values.name)
    slices = [SliceSource(column, word, order[ends[at] : ends[at + 1]]) for at, word in enumerate(words)]
    return [*slices, *_without(column, codes < 0)]


def _by_bin(column: str, numbers: Array, bins: int) -> list[SliceSource]:
    """Edges are values of the rows, so that infinite ones do no harm; equal edges are one."""
    import numpy as np

    known = np.flatnonzero(~np.isnan(numbers))
    values = numbers[known]
    inner = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf"))
    place = np.searchsorted(inner, values, side="left")
    found = []
    before = math.nextafter(float(values.min()), -math.inf) if len(values) else math.nan
    for number in np.unique(place):
        mine = values[place == number]
        low, high = float(mine.min()), float(mine.max())
        found.append(SliceSource(column, f"{_edge(low)} to {_edge(high)}", known[place == number], before, high))
        before = high
    return [*found, *_without(column, np.isnan(numbers))]


def _without(column: str, unknown: Array) -> list[SliceSource]:
    import numpy as np

    return [SliceSource(column, MISSING, np.flatnonzero(unknown))] if bool(unknown.any()) else []


def _edge(value: float) -> str:
    return f"{value:,.0f}" if value % 1 == 0 else f"{value:,.6g}"
