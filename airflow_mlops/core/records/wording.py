"""Values of records as a person reads them."""

from __future__ import annotations

import math

from airflow_mlops.core.records.evidence import Interval
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.text import format_number
from airflow_mlops.spec.metrics import METRICS

STOP = "Do not override:"
"""How advice on a decision begins that a person must not pass over: it is told first, and no override is offered."""


def format_interval(found: Interval | None) -> str:
    """A value with its confidence interval.

    >>> format_interval(Interval(value=0.02, lower=0.01, upper=0.03)), format_interval(None)
    ('0.0200 (0.0100 to 0.0300)', 'none')
    """
    if found is None:
        return "none"
    if math.isnan(found.lower) and math.isnan(found.upper):
        return f"{format_number(found.value)} (no interval)"
    return f"{format_number(found.value)} ({format_number(found.lower)} to {format_number(found.upper)})"


def format_window(window: Window) -> str:
    """A window of event time: minutes are enough for a person."""
    return f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M %Z}"


def greater_is_better(metric: str) -> bool | None:
    """The direction of a metric; None for one that only the specification knows."""
    known = METRICS.get(metric)
    return None if known is None else known.greater_is_better


def metric_direction(metric: str) -> str:
    """The same in words."""
    return {True: "higher is better", False: "lower is better", None: ""}[greater_is_better(metric)]
