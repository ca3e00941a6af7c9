"""Whether predictions and their inputs arrive at all: freshness, volume, missing values, latency and errors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow_mlops.core.monitoring.performance.outcomes import JoinedOutcomes
from airflow_mlops.core.monitoring.performance.prediction_log import LoggedPredictions
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.records.performance import DataHealth
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.model import ModelSpec


def health_of(
    logged: LoggedPredictions, joined: JoinedOutcomes, newest: datetime | None, as_of: datetime
) -> DataHealth:
    """Put together what was counted while predictions and rows were read."""
    import numpy as np

    latency = {}
    if len(logged.latency):
        p50, p99 = np.quantile(logged.latency, [0.5, 0.99])
        latency = {"p50": float(p50), "p99": float(p99)}
    return DataHealth(
        newest=newest,
        age_seconds=None if newest is None else (as_of - newest).total_seconds(),
        rows=joined.read,
        predicted=joined.scored,
        missing=joined.missing,
        latency_ms=latency,
        errors=logged.errors,
    )


def newest_row(spec: ModelSpec, store: DataStore, as_of: datetime) -> datetime | None:
    """Event time of the source's newest row before as-of; None where there is none, or that is not to be had.

    The monitoring window is looked at first; only if it is empty, the whole source. Rows after as-of are not known
    yet.
    """
    import pyarrow.compute as pc

    time = spec.data.time
    found: Any = None
    for batch in store.read(Window(start=as_of - spec.monitoring.window, end=as_of), time, [time]):
        latest = pc.max(batch.column(time)).as_py()
        found = latest if found is None or (latest is not None and latest > found) else found
    if found is not None:
        return found.astimezone(UTC)  # type: ignore[no-any-return]
    bounds = store.bounds(time)
    return bounds[1].astimezone(UTC) if bounds is not None and bounds[1] < as_of else None
