"""Compare what the champion achieves with what its gate promised."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops._loop_context import open_records
from airflow_mlops.links import MLflowRunLink, ModelVersionLink
from airflow_mlops.operators._base import LoopOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_mlops.core.ports import DataStore, Storage
    from airflow_mlops.core.records.candidate import Candidate, Champion
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.core.records.drift import DriftReport
    from airflow_mlops.core.records.fault import FaultySpan
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
    drift
        What DriftSensor returned as of the same instant: which rows are broken is then not looked for a second time.
        None: it is looked for here.
    """

    template_fields = ("drift",)
    operator_extra_links = (MLflowRunLink(), ModelVersionLink())

    def __init__(self, *, drift: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drift = drift

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Measure and record."""
        from airflow_mlops.core.records.drift import DriftReport

        spec = self.model_spec(context)
        seen: DriftReport | None = DriftReport.from_json(self.drift) if self.drift else None
        report, self.run_url = performed(spec, self.as_of(context), self.storage(), seen)
        self.version = report.champion_version
        with self.records(spec) as records:
            self.version_url = records.version_url(spec.registered_model, report.champion_version)
        self.log.info("%s: %s", report.verdict.upper(), "\n  ".join((*report.reasons, *report.problems)))
        return report.to_json()


def performed(
    spec: ModelSpec, as_of: datetime, storage: Storage, drift: DriftReport | None = None
) -> tuple[PerformanceReport, str]:
    """Measure the champion's performance as of an instant, and record it; return the report and its run's address.

    Parameters
    ----------
    drift
        What was seen of drift as of the same instant, if anything was.

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
    from airflow_mlops.core.monitoring.quarantine import left_out
    from airflow_mlops.stores.open_source import open_rows

    store = open_rows(spec, data_root=settings().data_root)
    with open_records(spec) as records:
        champion = records.require_champion(spec)
        spans = _broken_spans(spec, champion, records, store, storage, as_of, drift)
        report = measure_performance(
            spec,
            champion,
            lambda: records.load_pipeline(_judged_model(champion), spec=spec),
            store,
            storage,
            as_of,
            decision=_decision(records, champion),
            history=records.windows.performance_history(spec.experiment, spec.name, before=as_of, limit=_EARLIER),
            without=left_out(spans),
        )
        return report, records.run_url(records.windows.record_performance(spec.experiment, report))


def _judged_model(champion: Champion) -> Candidate | str:
    """The model that was judged: the champion's, or of a refitted one the address of that which it repeats."""
    return champion.candidate if champion.candidate.refit_of is None else champion.candidate.judged_uri


def _broken_spans(  # noqa: PLR0917 - the arguments of the scan, and what may spare it
    spec: ModelSpec,
    champion: Champion,
    records: MLflowStore,
    store: DataStore,
    storage: Storage,
    as_of: datetime,
    drift: DriftReport | None,
) -> Sequence[FaultySpan]:
    """Which rows are broken: as the look at drift found them, or by a scan of the newest weeks.

    A person may have released rows since that look, so that it counts only where nobody ever did.
    """
    from airflow_mlops.core.monitoring.quarantine import broken_spans
    from airflow_mlops.core.promotion import released_spans

    released = released_spans(records.trail.events(spec.registered_model))
    if drift is not None and not released and (drift.champion_version, drift.as_of) == (champion.version, as_of):
        return drift.quarantined
    history = records.windows.drift_history(spec.experiment, spec.name, before=as_of, limit=1)
    return broken_spans(spec, champion, store, storage, as_of, history=history, released=released)


def _decision(records: MLflowStore, champion: Champion) -> GateDecision | None:
    """The gate's decision about the champion; None where there is none, as for a version registered by hand.

    One that was edited after the fact is refused, as everywhere.
    """
    from airflow_mlops.stores.mlflow.decisions import DECISION, DECISION_SEAL

    there = records.artifacts.read_sealed(champion.run_id, DECISION, DECISION_SEAL) is not None
    return records.decisions.decision(champion.run_id) if there else None
