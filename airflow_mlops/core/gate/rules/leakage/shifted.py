"""Whether a feature is the label of another row: of an earlier one, which may be known, or of a later one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

MOST_STEPS = 400
"""Rows back or ahead that are looked at: a year of days, two weeks of hours."""
PRESENT = 0.5
"""Share of the rows in which the feature must have a value."""
_PROBES = 64


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A feature that is the label of another row."""

    steps: int
    """Rows from there to here; negative: the other row is later."""
    apart: timedelta
    """Least time between the two rows."""
    within: str
    """Column whose rows are counted; empty: all rows."""

    @property
    def later(self) -> bool:
        """Whether the feature is the label of a later row."""
        return self.steps < 0


def shifts_of(
    features: Sequence[str], parts: Sequence[tuple[pd.DataFrame, pd.Series[Any]]], time: str, entities: Sequence[str]
) -> dict[str, Shift]:
    """Features that equal the label of the row some steps before, or behind, in every row of every part.

    Parameters
    ----------
    parts
        Rows with features, event time and entities, and their labels, each part without gaps in itself.
    entities
        Columns whose rows are counted apart, beside all rows together.
    """
    import numpy as np

    found: dict[str, Shift] = {}
    for within in ("", *entities):
        series = [_Series(*part, time, within) for part in parts]
        if any(len(one.label) <= _PROBES for one in series):
            continue
        for name in features:
            columns = [one.column(name) for one in series]
            if name in found or any(column is None or _missing(column).mean() > 1 - PRESENT for column in columns):
                continue
            most = min(MOST_STEPS, min(len(one.label) for one in series) // 2)
            # Nearly all steps are ruled out by a few rows of one part.
            likely = set.intersection(*(one.likely(c, most) for one, c in zip(series, columns, strict=True)))
            for steps in (step for step in _both_ways(most) if step in likely):
                if all(one.matches(column, steps) for one, column in zip(series, columns, strict=True)):
                    apart = min(one.apart(steps) for one in series)
                    found[name] = Shift(
                        steps=steps, apart=timedelta(seconds=float(apart / np.timedelta64(1, "s"))), within=within
                    )
                    break
    return found


def _both_ways(most: int) -> Iterator[int]:
    """Back before ahead: a state that hardly ever changes is the label of both."""
    yield from range(1, most + 1)
    yield from range(-1, -most - 1, -1)


class _Series:
    """Rows of one part in order."""

    def __init__(self, frame: pd.DataFrame, labels: pd.Series[Any], time: str, within: str) -> None:
        import numpy as np
        import pandas as pd

        groups = pd.factorize(frame[within])[0] if within else np.zeros(len(frame), dtype=int)
        times = pd.to_datetime(frame[time], utc=True).to_numpy(dtype="datetime64[us]")
        self.order = np.lexsort((times, groups))
        self.groups, self.times = groups[self.order], times[self.order]
        self.frame = frame
        self.numeric = pd.api.types.is_numeric_dtype(labels.dtype)
        self.label = self._plain(labels)
        self._steps: list[int] = []
        self._known: tuple[Array, Array, Array] | None = None

    def _plain(self, values: pd.Series[Any]) -> Array:
        if self.numeric:
            return values.to_numpy(dtype=float)[self.order]
        return values.astype(object).to_numpy()[self.order]

    def column(self, name: str) -> Array | None:
        import pandas as pd

        values = self.frame[name]
        return self._plain(values) if pd.api.types.is_numeric_dtype(values.dtype) == self.numeric else None

    def likely(self, column: Array, most: int) -> set[int]:
        """Steps that some rows do not rule out: all steps at once, as there are hundreds for each column."""
        import numpy as np

        here, there, inside = self._probes(most)
        fits = ~inside | _missing(column)[here] | (column[here] == self.label[there])
        return {self._steps[place] for place in np.flatnonzero(fits.all(axis=1)).tolist()}

    def _probes(self, most: int) -> tuple[Array, Array, Array]:
        """Rows, those so many steps from them, and whether both are of one group; shape (steps, probes)."""
        import numpy as np

        if self._known is None:
            rows = len(self.label)
            self._steps = list(_both_ways(most))
            steps = np.array(self._steps)[:, None]
            first, last = np.maximum(steps, 0), rows + np.minimum(steps, 0)
            here = first + np.arange(0, rows, max(1, rows // _PROBES))[None, :]
            here = np.where(here < last, here, first)  # what would lie outside is asked of the first row again
            self._known = here, here - steps, self.groups[here] == self.groups[here - steps]
        return self._known

    def matches(self, column: Array, steps: int) -> bool:
        here, there = _ends(steps)
        inside = self.groups[here] == self.groups[there]
        moved = self.label[here][inside] != self.label[there][inside]
        return bool(inside.any() and moved.any()) and self._equal(column, here, there)

    def _equal(self, column: Array, here: slice, there: slice) -> bool:
        mine, other = column[here], self.label[there]
        counts = (self.groups[here] == self.groups[there]) & ~_missing(mine)
        return bool((mine[counts] == other[counts]).all())

    def apart(self, steps: int) -> Any:
        here, there = _ends(steps)
        inside = self.groups[here] == self.groups[there]
        return abs(self.times[here] - self.times[there])[inside].min()


def _ends(steps: int) -> tuple[slice, slice]:
    """The rows, and those that are so many steps before them."""
    return (slice(steps, None), slice(None, -steps)) if steps > 0 else (slice(None, steps), slice(-steps, None))


def _missing(values: Array) -> Array:
    import pandas as pd

    found: Array = pd.isna(values)
    return found
