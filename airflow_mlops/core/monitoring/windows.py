"""Which event times monitoring looks at."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.windows import utc
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

WINDOWS = 4
"""Monitoring windows that are scanned for faults at least: the newest day is held against the days before it."""
_DAY = timedelta(days=1)


def monitoring_window(spec: ModelSpec, as_of: datetime) -> Window:
    """Return the window that monitoring looks at: `monitoring.window` long, up to as-of."""
    return Window(start=as_of - spec.monitoring.window, end=as_of)


def stretched_window(spec: ModelSpec, champion: Champion, as_of: datetime) -> Window:
    """Return the same, as many days longer as the champion's rows came too slowly to fill it.

    Between `monitoring.window` and `monitoring.longest_window`, so long that `monitoring.drift.min_rows` rows are
    expected, and a quarter more: counts of rows vary.
    """
    candidate, rule = champion.candidate, spec.monitoring
    rate = candidate.train_rows / ((candidate.train.end - candidate.train.start) / _DAY)
    days = math.ceil(1.25 * rule.drift.min_rows / rate) if rate else 0
    length = min(max(rule.window, days * _DAY), max(rule.window, rule.longest_window))
    return Window(start=as_of - length, end=as_of)


def scanned_window(spec: ModelSpec, champion: Champion, as_of: datetime) -> Window:
    """Return the days that are scanned for faults: some windows, the stretched one, and the cohort of outcomes."""
    monitoring, now = spec.monitoring, utc(as_of, "as-of")
    stretched = stretched_window(spec, champion, now)
    cohort = spec.data.label_delay + monitoring.performance.window
    return Window(start=min(stretched.start, now - max(WINDOWS * monitoring.window, cohort)), end=now)


def require_flowing(store: DataStore, window: Window, time: str) -> None:
    """Refuse to wait for rows of a source that has stopped: the run would hold the place of all others for days.

    Raises
    ------
    DataError
        WINDOW_EMPTY, if no row came for as long before the window either.
    """
    if store.has_rows(Window(start=window.start - (window.end - window.start), end=window.start), time):
        return
    ends = store.bounds(time)
    newest = "the source has no row at all" if ends is None else f"the newest row is of {ends[1].isoformat()}"
    raise DataError(
        Problem(
            code=ReasonCode.WINDOW_EMPTY,
            field="monitoring.window",
            found=f"no row in {window}, and none for as long before it: {newest}",
            allowed="a source into which rows still come",
            fix="look why they stopped; or, if the data is history, run this DAG as of a time that it reaches "
            "(`as_of`), and set schedule.end",
        ),
        subject=store.description,
    )
