"""Whether a numeric label is put together from features: a sum, a difference, a product or a ratio of few of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_mlops.core.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

EXACT = 1e-3
"""Largest part of the label's standard deviation that a fit leaves open, where it also keeps within rounding."""
NEARLY = 1e-2
"""So much may be left open for the question whether the features are known before."""
MOST_ROWS = 4_000
"""Rows that a fit is made on; it is held against as many others."""
MOST_COLUMNS = 200
LEAST_ROWS = 50
COMPLETE = 0.8
"""Share of the rows in which a column must have a value."""
SINGLE = 1e-6
"""Relative error of a number that went through single precision, with room."""


@dataclass(frozen=True, kw_only=True)
class Combination:
    """Features that the label is put together from."""

    names: tuple[str, ...]
    how: Literal["sum", "product"]
    left: float
    """Standard deviation of what the fit leaves open on rows that it has not seen, over that of the label."""
    exact: bool
    """Whether nothing is left open but rounding."""


def combination_of(train: tuple[pd.DataFrame, Array], holdout: tuple[pd.DataFrame, Array]) -> Combination | None:
    """Find the fewest numeric columns whose linear combination the label is, or the logarithms of both.

    Ordinary least squares on all columns at once: if the label is a combination of any of them, nothing is left open.
    Then columns are taken out one by one, the least telling first, as long as nothing is left open. Fitted on the
    first part and held against the second: with few rows and many columns a fit is always exact, its forecast not.

    "Exact" is what rounding leaves: every residual within one unit of the last decimal of the label and, by their
    coefficients, of the columns; and at most `EXACT` of the label's spread, since a coarse label has no room for more.

    Parameters
    ----------
    train, holdout
        Numeric columns, missing values NaN, and labels.

    Returns
    -------
    Combination or None
        None where more than `NEARLY` stays open, or for fewer than two columns: one alone is :mod:`.exact`'s.
    """
    found: list[Combination] = []
    for how, known, new in _layouts(train, holdout):
        one = _search(how, known, new)
        if one is not None:
            found.append(one)
    return min(found, key=lambda each: (not each.exact, len(each.names)), default=None)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Numbers as they are fitted; n rows, p columns."""

    names: tuple[str, ...]
    x: Array
    y: Array
    x_unit: Array
    """What a column may be off by rounding, shape (n, p)."""
    y_unit: Array
    """The label, shape (n,)."""

    def columns(self, chosen: Sequence[int]) -> _Layout:
        where = list(chosen)
        return _Layout(
            tuple(self.names[one] for one in where), self.x[:, where], self.y, self.x_unit[:, where], self.y_unit
        )


def _layouts(
    train: tuple[pd.DataFrame, Array], holdout: tuple[pd.DataFrame, Array]
) -> Iterator[tuple[Literal["sum", "product"], _Layout, _Layout]]:
    for fill in (False, True):
        if fill and not (train[0].isna().any(axis=None) or holdout[0].isna().any(axis=None)):
            break
        parts = [_thinned(frame.fillna(0.0) if fill else frame, label) for frame, label in (train, holdout)]
        for how in ("sum", "product"):
            known, new = (_layout(frame, label, how) for frame, label in parts)
            names = [name for name in known.names if name in new.names]
            if len(names) > 1:
                sides = [one.columns([one.names.index(name) for name in names]) for one in (known, new)]
                yield how, *map(_whole, sides)  # type: ignore[misc]


def _thinned(frame: pd.DataFrame, label: Array) -> tuple[pd.DataFrame, Array]:
    step = -(-len(label) // MOST_ROWS) or 1
    return frame.iloc[::step], label[::step]


def _layout(frame: pd.DataFrame, label: Array, how: str) -> _Layout:
    """Columns that vary and mostly have values, as numbers or logarithms of their size."""
    import numpy as np

    x, y = frame.to_numpy(dtype=float), np.asarray(label, dtype=float)
    x_unit = np.array([unit_of(column) for column in x.T]) + SINGLE * np.abs(x) if len(y) else x
    y_unit = unit_of(y) + SINGLE * np.abs(y)
    if how == "product":
        with np.errstate(divide="ignore", invalid="ignore"):
            x_unit, y_unit = x_unit / np.abs(x), y_unit / np.abs(y)
            x, y = np.log(np.abs(x)), np.log(np.abs(y))
        x, y = np.where(np.isfinite(x), x, np.nan), np.where(np.isfinite(y), y, np.nan)
    there = np.isfinite(x)
    good = np.flatnonzero(there.mean(axis=0) >= COMPLETE) if len(y) else np.array([], dtype=int)
    vary = [one for one in good if np.ptp(x[there[:, one], one]) > 0][:MOST_COLUMNS]
    return _Layout(tuple(map(str, frame.columns[vary])), x[:, vary], y, x_unit[:, vary], y_unit)


def _whole(layout: _Layout) -> _Layout:
    """Rows without a gap."""
    import numpy as np

    rows = np.isfinite(layout.x).all(axis=1) & np.isfinite(layout.y)
    return _Layout(layout.names, layout.x[rows], layout.y[rows], layout.x_unit[rows], layout.y_unit[rows])


def _search(how: Literal["sum", "product"], known: _Layout, new: _Layout) -> Combination | None:
    """Fewest columns that leave as little open as all of them."""
    if min(len(known.y), len(new.y)) < max(LEAST_ROWS, 2 * len(known.names)):
        return None
    left, exact = _left_open(known, new)
    if not (exact or left <= NEARLY):
        return None
    chosen = list(range(len(known.names)))
    for one in _least_telling(known):
        fewer = [other for other in chosen if other != one]
        again = _left_open(known.columns(fewer), new.columns(fewer)) if fewer else (1.0, False)
        if again[1] or (not exact and again[0] <= NEARLY):
            chosen, left = fewer, again[0]
    if len(chosen) < 2:  # noqa: PLR2004 - see the docstring
        return None
    return Combination(names=tuple(known.names[one] for one in chosen), how=how, left=left, exact=exact)


def _least_telling(layout: _Layout) -> Array:
    import numpy as np

    slopes, spread = _fit(layout)[0], layout.x.std(axis=0)
    return np.argsort(np.abs(slopes) * spread, kind="stable")


def _fit(layout: _Layout) -> tuple[Array, Array, float]:
    """Slopes, the columns' means, and the label's."""
    import numpy as np

    middle, level = layout.x.mean(axis=0), float(layout.y.mean())
    spread = layout.x.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    slopes = np.linalg.lstsq((layout.x - middle) / spread, layout.y - level, rcond=None)[0] / spread
    return slopes, middle, level


def _left_open(known: _Layout, new: _Layout) -> tuple[float, bool]:
    """What is left open on the new rows, over the label's spread, and whether that is rounding."""
    import numpy as np

    slopes, middle, level = _fit(known)
    rest = new.y - level - (new.x - middle) @ slopes
    spread = float(new.y.std())
    if spread == 0:
        return 1.0, False
    left = float(np.sqrt((rest**2).mean())) / spread
    room = new.y_unit + new.x_unit @ np.abs(slopes)
    return left, bool(left <= EXACT and (np.abs(rest) <= room).all())


def unit_of(values: Array) -> float:
    """Largest power of ten, from 1,000 to 1e-6, that all values are whole multiples of; 0 where none is.

    >>> unit_of([1.25, 3.0]), unit_of([1200.0, 300.0]), unit_of([1 / 3])
    (0.01, 100.0, 0.0)
    """
    import numpy as np

    numbers = np.asarray(values, dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    for power in range(3, -7, -1):
        counts = numbers / 10.0**power
        if len(numbers) and bool(
            (np.abs(counts - np.round(counts)) <= np.clip(1e-9 * np.abs(counts), 1e-9, 1e-2)).all()
        ):
            return float(10.0**power)
    return 0.0
