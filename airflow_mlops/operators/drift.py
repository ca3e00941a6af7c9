"""Compare the champion's window with its frozen reference."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_mlops._loop_context import open_records

if TYPE_CHECKING:
    from airflow_mlops.core.ports import DataStore, Storage
    from airflow_mlops.core.records.drift import DriftReport
    from airflow_mlops.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class ObservedDrift:
    """A recorded report, and where it can be seen; an address is empty where there is none."""

    report: DriftReport
    run_url: str
    page_url: str
    """Evidently's report of the window."""
    version_url: str


def observed(spec: ModelSpec, as_of: datetime, store: DataStore, storage: Storage) -> ObservedDrift:
    """Compare the monitoring window as of an instant with the champion's reference profile, and record the report.

    Raises
    ------
    RecordError
        NO_CHAMPION, if no version serves yet; or a record that is not whole.
    DataError
        If the source is missing or cannot be read at all.
    StoreUnavailableError
        If a store does not answer.
    """
    from airflow_mlops.core.monitoring.drift import evidently_page, observe
    from airflow_mlops.core.promotion import released_spans
    from airflow_mlops.stores.mlflow.monitoring import DRIFT_PAGE

    with open_records(spec) as records:
        champion = records.require_champion(spec)
        reference = records.lineage.profile(champion.run_id)
        history = records.windows.drift_history(
            spec.experiment, spec.name, before=as_of, limit=spec.monitoring.drift.of
        )
        released = released_spans(records.trail.events(spec.registered_model))
        sources = (store, storage, as_of)
        report = observe(spec, champion, reference, *sources, history=history, released=released)
        page = evidently_page(spec, champion, store, storage, report)  # empty: not asked for
        run_id = records.windows.record_drift(spec.experiment, report, page)
        return ObservedDrift(
            report=report,
            run_url=records.run_url(run_id),
            page_url=records.artifact_url(run_id, DRIFT_PAGE) if page else "",
            version_url=records.version_url(spec.registered_model, champion.version),
        )
