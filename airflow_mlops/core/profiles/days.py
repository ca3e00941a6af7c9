"""The rows of a reference, day by day: what its bins held each day tells how far days differ by themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.profiles.counting import places
from airflow_mlops.core.records.profile import ColumnProfile, DayCounts
from airflow_mlops.core.records.snapshot import Window

if TYPE_CHECKING:
    import pandas as pd

LENGTHS = (1, 7, 28, 364)
"""Days of a span: whole weeks and years, so that each span has its share of working days, and of seasons."""
MAX_SPANS = 100
"""Spans that are kept: a profile stays readable, and more would say little more about how weeks differ."""


@dataclass(frozen=True, eq=False)
class Days:
    """The span that each row falls into."""

    number: Array
    """From 0, oldest first; shape (rows,)."""
    count: int
    length: int
    """Days of a span; the last one has what is left of the window beside."""


def days_of(times: pd.Series[Any], window: Window) -> Days:
    """Number the days of a window, from its start on, and the rows by them; spans of several days where there are many.

    Parameters
    ----------
    times
        Event time of each row, in UTC, shape (rows,); all within the window.

    Examples
    --------
    >>> import pandas as pd
    >>> from datetime import UTC, datetime
    >>> window = Window(start=datetime(2024, 1, 1, tzinfo=UTC), end=datetime(2024, 1, 4, 12, tzinfo=UTC))
    >>> times = pd.Series(pd.to_datetime(["2024-01-01T23:00Z", "2024-01-03T02:00Z", "2024-01-04T11:00Z"]))
    >>> days_of(times, window).number.tolist()
    [0, 2, 2]
    """
    import numpy as np
    import pandas as pd

    days = (window.end - window.start) / timedelta(days=1)
    length = next((each for each in LENGTHS if days <= each * MAX_SPANS), LENGTHS[-1])
    count = max(1, int(days // length))
    steps = ((times - pd.Timestamp(window.start)) // pd.Timedelta(days=length)).to_numpy()
    return Days(np.minimum(steps, count - 1).astype(np.int64), count, length)


def with_days(column: ColumnProfile, values: Any, days: Days) -> ColumnProfile:
    """Add what a column's bins held on each day; of a single day there is nothing to add.

    Parameters
    ----------
    values
        Those that the column was counted from, in the order of the days' rows: anything that pyarrow makes an array of.
    """
    import numpy as np
    import pyarrow as pa

    if days.count == 1:
        return column
    width = len(column.counts) + 2
    place = days.number * width + places(column, pa.array(values, from_pandas=True))
    counts = np.bincount(place, minlength=days.count * width).reshape(days.count, width)
    return replace(column, by_day=DayCounts(length=days.length, counts=tuple(map(tuple, counts.tolist()))))
