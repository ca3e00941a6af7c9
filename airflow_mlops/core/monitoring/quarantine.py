"""Which rows are no evidence of anything: those of days on which a feature of the champion is broken."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airflow_mlops.core.faults import Role, covering, sample_days
from airflow_mlops.core.monitoring.windows import scanned_window
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.fault import FaultySpan, ReleasedSpan
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.snapshot import KnownFaults
from airflow_mlops.spec.model import ModelSpec


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
    window, time = scanned_window(spec, champion, as_of), spec.data.time
    there = {column.name for column in store.schema(window, time)}
    roles: dict[str, Role] = {
        one.name: one.role for one in champion.candidate.features if one.name in there and one.role != "time"
    }
    if not roles:
        return ()
    seed, read = spec.training.seed, tuple(dict.fromkeys((time, *roles)))
    days = sample_days(store.read(window, time, read), time, tuple(roles), seed=seed)
    earlier = [report for report in history if report.as_of < as_of]
    return KnownFaults.of_champion(champion, storage, seed=seed, history=earlier, released=released).find(days, roles)


def left_out(spans: Sequence[FaultySpan]) -> tuple[Window, ...]:
    """Return the event times whose rows are left out of what outcomes are measured on."""
    return covering([span for span in spans if not span.before_release])
