"""Compare the champion with a model of today's rows that serves nobody: what the retraining controller asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.core.records.candidate import Champion
    from airflow_mlops.core.records.shadow import ShadowReport
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore


def compare_with_shadow(
    spec: ModelSpec, as_of: datetime, champion: Champion, records: MLflowStore, storage: Storage
) -> ShadowReport:
    """Train on today's rows as a retraining would, ask the gate, and keep the answer in the window's run.

    Nothing is registered, and no run of a training is opened; the snapshot is the one that a retraining would take.
    """
    from airflow_mlops.config import settings
    from airflow_mlops.core.rehearsal import Against, rehearse
    from airflow_mlops.core.retraining import report_shadow
    from airflow_mlops.operators.snapshot import told_by_champion
    from airflow_mlops.stores.open_source import open_rows

    records.require_owner(spec)
    records.claim_folder(spec, storage)
    also, faults = told_by_champion(spec, as_of, champion, records, storage)
    pipeline = records.load_pipeline(champion.candidate, spec=spec)
    against = Against(champion=champion, pipeline=pipeline, also=also, faults=faults)
    store = open_rows(spec, data_root=settings().data_root)
    found = rehearse(spec, store, storage, as_of=as_of, now=datetime.now(UTC), against=against)
    report = report_shadow(spec, champion, as_of, found.decision, tuple(map(str, found.problems)))
    records.windows.record_shadow(spec.experiment, report)
    return report
