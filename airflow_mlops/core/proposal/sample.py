"""A look at a source of which nothing is known: which column is its time, how far it reaches, and its newest rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.core.rows.columns import missing_columns, one_of
from airflow_mlops.core.rows.event_times import time_bounds
from airflow_mlops.core.rows.frames import to_frame
from airflow_mlops.core.rows.types import kind_of_type
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd

ENOUGH_ROWS = 50_000
"""Rows that tell kinds, shares and rates well enough: a share of 1 % is known to 0.1 points (two standard errors)."""
MOST_ROWS = 200_000
"""Rows in memory at most."""
_LONGER = 4
"""The span that is read grows by this, until it holds enough rows: at most a third is read for nothing."""
_TICK = timedelta(microseconds=1)

_EVENT = re.compile(
    r"(^|_)(event|transaction|order|purchase|pickup|departure|scheduled|start|measured|observed|sample)(ed)?"
    r"(_|$)?.*(time|date|at|ts|day)|^(timestamp|datetime|event_time|time|date|ts|ds|dt|day|when|at)$",
    re.IGNORECASE,
)
_TIME = re.compile(r"time|date|(^|_)(ts|dt|at|on|day|week|month|hour|wave|period)($|_)", re.IGNORECASE)
_LATER = re.compile(
    r"updat|modif|load|ingest|insert|process|export|extract|arriv|deliver|clos|resolv|end|finish|complet|return|cancel|"
    r"cohort|birth|dob|signup|regist|expir|due",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceSample:
    """What was seen of a source."""

    columns: tuple[Column, ...]
    time: str
    time_reason: str
    """Why that column is the event time."""
    frame: pd.DataFrame
    """The newest rows, every column, sorted by event time; at most `MOST_ROWS`."""
    first: datetime
    last: datetime
    """Event times of the oldest and newest row of the whole source."""
    since: datetime
    """`frame` holds the rows from here on."""
    rows: int
    """Rows from `since` on: as many as `frame`, or more where those were too many."""

    @property
    def whole(self) -> bool:
        """Whether the sample is the whole source."""
        return self.since <= self.first and self.rows == len(self.frame)

    @property
    def per_day(self) -> float:
        """Rows a day of the sampled span."""
        span = max(self.last - max(self.since, self.first), timedelta(hours=1))
        return self.rows / (span / timedelta(days=1))

    @property
    def history(self) -> timedelta:
        """From the first row to the last."""
        return self.last - self.first


def take_sample(store: DataStore, *, time: str | None = None) -> SourceSample:
    """Find the event time, and read the newest rows until they are enough.

    Parameters
    ----------
    time
        The event-time column, where a person names it.

    Raises
    ------
    DataError
        If the source cannot be read, no column can be the event time, or there is no row.
    """
    columns = store.schema()
    names = [column.name for column in columns]
    if time is not None:
        problems = missing_columns({time: "--time"}, names, where=store.description)
        if problems:
            raise DataError(problems)
    name, reason, (first, last) = _event_time(store, columns, time)
    since, span = last, timedelta(days=1)
    frame, rows = None, 0
    while frame is None or (rows < ENOUGH_ROWS and since > first):
        since = max(first, last - span)
        frame, rows = _read(store, Window(start=since, end=last + _TICK), name, names)
        span *= _LONGER
    return SourceSample(
        columns=columns,
        time=name,
        time_reason=reason,
        frame=frame.sort_values(name, kind="stable", ignore_index=True),
        first=first,
        last=last,
        since=since,
        rows=rows,
    )


def _read(store: DataStore, window: Window, time: str, names: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """Rows of a window as the stages see them, and how many there are; what is beyond `MOST_ROWS` is counted only."""
    import pyarrow as pa

    kept, rows = [], 0
    for batch in store.read(window, time, names):
        if rows < MOST_ROWS:
            kept.append(batch.slice(0, MOST_ROWS - rows))
        rows += batch.num_rows
    return to_frame(pa.Table.from_batches(kept)), rows


def _event_time(
    store: DataStore, columns: Sequence[Column], named: str | None
) -> tuple[str, str, tuple[datetime, datetime]]:
    """Return the event-time column, why it is that one, and the ends of its values."""
    if named is not None:
        return named, "named by you", time_bounds(store, named)
    refused: list[str] = []
    for name, reason in _candidates(columns):
        try:
            found = store.bounds(name)
        except DataError:  # a column of another kind than its name says: the next one is asked
            refused.append(name)
            continue
        if found is not None:
            return name, reason, found
    raise DataError(
        Problem(
            code=ReasonCode.TIME_INVALID,
            field="data.time",
            found="no column that can be read as times" + (f" (tried: {', '.join(refused)})" if refused else ""),
            allowed=f"a column with the time of each row's event; there are: {one_of(c.name for c in columns)[8:]}",
            fix="name it: --time COLUMN; or add one to the source",
        ),
        subject=store.description,
    )


def _candidates(columns: Sequence[Column]) -> Iterator[tuple[str, str]]:
    """Yield columns that may be the event time with the reason, the likeliest first."""
    times = [column.name for column in columns if kind_of_type(column.type) == "time"]
    others = [
        column.name
        for column in columns
        if column.name not in times
        and kind_of_type(column.type) in ("text", "number", "other")
        and _TIME.search(column.name)
    ]
    for names, what in ((times, "its values are times"), (others, "its name says time, and its values are times")):
        ranked = sorted(names, key=lambda name: (not _EVENT.search(name), bool(_LATER.search(name))))
        alone = len(names) == 1
        for name in ranked:
            rest = [other for other in ranked if other != name]
            if alone:
                yield name, f"{what}, and those of no other column are"
            elif _EVENT.search(name):
                yield name, f"{what}, and it is named as an event; others: {', '.join(rest[:5])}"
            else:
                yield name, f"{what}; others: {', '.join(rest[:5])}"
