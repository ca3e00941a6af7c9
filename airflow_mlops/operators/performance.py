"""Compare what the champion achieves with what its gate promised."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops._loop_context import open_records
from airflow_mlops.links import MLflowRunLink, ModelVersionLink
from airflow_mlops.operators._base import LoopOperator

if TYPE_CHECKING:
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.core.records.candidate import Champion
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.core.records.performance import PerformanceReport
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore


_EARLIER = 3
"""Reports that are read: each keeps the blocks of those before it, and the newest may be of a broken window."""


class PerformanceOperator(LoopOperator):
    """Join the champion's predictions with their outcomes, and compare with what its gate promised.

    Returns the :class:`~airflow_mlops.core.records.performance.PerformanceReport` as JSON, and keeps it in the
    monitoring run of the window. A champion without a score log, or whose outcomes are not known yet, gives the
    verdict `unknown`: that is no failure. Nobody is told; what follows is for the retraining controller to decide.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    """

    operator_extra_links = (MLflowRunLink(), ModelVersionLink())

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Measure and record."""
        spec = self.model_spec(context)
        report, self.run_url = performed(spec, self.as_of(context), self.storage())
        self.version = report.champion_version
        with self.records(spec) as records:
            self.version_url = records.version_url(spec.registered_model, report.champion_version)
        self.log.info("%s: %s", report.verdict.upper(), "\n  ".join((*report.reasons, *report.problems)))
        return report.to_json()


def performed(spec: ModelSpec, as_of: datetime, storage: Storage) -> tuple[PerformanceReport, str]:
    """Measure the champion's performance as of an instant, and record it; return the report and its run's address.

    Raises
    ------
    RecordError
        NO_CHAMPION, if no version serves yet; or a record that is not whole.
    DataError
        If the source is missing or cannot be read at all.
    StoreUnavailableError
        If a store does not answer.
    """
    from airflow_mlops.config import settings
    from airflow_mlops.core.monitoring.performance import measure_performance
    from airflow_mlops.core.monitoring.quarantine import broken_spans, left_out
    from airflow_mlops.core.promotion import released_spans
    from airflow_mlops.stores.open_source import open_rows

    store = open_rows(spec, data_root=settings().data_root)
    with open_records(spec) as records:
        champion = records.require_champion(spec)
        history = records.windows.drift_history(spec.experiment, spec.name, before=as_of, limit=1)
        released = released_spans(records.trail.events(spec.registered_model))
        spans = broken_spans(spec, champion, store, storage, as_of, history=history, released=released)
        report = measure_performance(
            spec,
            champion,
            lambda: records.load_pipeline(champion.model_uri, spec=spec),
            store,
            storage,
            as_of,
            decision=_decision(records, champion),
            history=records.windows.performance_history(spec.experiment, spec.name, before=as_of, limit=_EARLIER),
            without=left_out(spans),
        )
        return report, records.run_url(records.windows.record_performance(spec.experiment, report))


def _decision(records: MLflowStore, champion: Champion) -> GateDecision | None:
    """The gate's decision about the champion; None where there is none, as for a version registered by hand.

    One that was edited after the fact is refused, as everywhere.
    """
    from airflow_mlops.stores.mlflow.decisions import DECISION, DECISION_SEAL

    there = records.artifacts.read_sealed(champion.run_id, DECISION, DECISION_SEAL) is not None
    return records.decisions.decision(champion.run_id) if there else None
