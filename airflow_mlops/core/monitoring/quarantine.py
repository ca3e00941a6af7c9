"""Which rows are no evidence of anything: those of days on which a feature of the champion is broken."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airflow_mlops.core.faults import Role, covering, find_faults, sample_days
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.fault import FaultySpan, ReleasedSpan
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.windows import utc
from airflow_mlops.core.snapshot import snapshot_days
from airflow_mlops.spec.model import ModelSpec

WINDOWS = 4
"""Monitoring windows that are scanned at least: the newest day is held against the days before it."""


def scanned_window(spec: ModelSpec, as_of: datetime) -> Window:
    """Return the days that are scanned: :data:`WINDOWS` monitoring windows, and all of the cohort of outcomes."""
    monitoring, now = spec.monitoring, utc(as_of, "as-of")
    cohort = spec.data.label_delay + monitoring.performance.window
    return Window(start=now - max(WINDOWS * monitoring.window, cohort), end=now)


def broken_spans(
    spec: ModelSpec,
    champion: Champion,
    store: DataStore,
    storage: Storage | None,
    as_of: datetime,
    *,
    history: Sequence[DriftReport] = (),
    released: Sequence[ReleasedSpan] = (),
) -> tuple[FaultySpan, ...]:
    """Scan the newest days for broken features of the champion; see :func:`~airflow_mlops.core.faults.find_faults`.

    The rows are read once, and a few hundred of each day are kept. The champion's own days, from its snapshot, are
    sound; what the newest earlier report found goes on, until a sound day follows.

    Raises
    ------
    DataError, StoreUnavailableError
        As :meth:`~airflow_mlops.core.ports.DataStore.read`.
    """
    window, time = scanned_window(spec, as_of), spec.data.time
    there = {column.name for column in store.schema()}
    roles: dict[str, Role] = {one.name: one.role for one in champion.candidate.features if one.name in there}
    if not roles:
        return ()
    seed, names = spec.training.seed, tuple(roles)
    days = sample_days(
        store.read(window, time, [time, *(name for name in names if name != time)]), time, names, seed=seed
    )
    anchor = () if storage is None else snapshot_days(champion.candidate.snapshot_uri, storage, names, seed=seed)
    earlier = max((old for old in history if old.as_of < as_of), key=lambda old: old.as_of, default=None)
    known = () if earlier is None else tuple(span for span in earlier.quarantined if not span.before_release)
    return find_faults(days, roles, anchor=anchor, known=known, released=released)


def left_out(spans: Sequence[FaultySpan]) -> tuple[Window, ...]:
    """Return the event times whose rows are left out of what outcomes are measured on."""
    return covering([span for span in spans if not span.before_release])
