"""Which event times monitoring looks at."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.windows import utc
from airflow_mlops.spec.model import ModelSpec

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
