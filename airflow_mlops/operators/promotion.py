"""Promote an accepted candidate, and only that."""

from __future__ import annotations

from typing import Any

from airflow_mlops.links import MLflowRunLink, ModelVersionLink, ReportLink
from airflow_mlops.operators._base import LoopOperator


class PromoteOperator(LoopOperator):
    """Register the candidate, and make it champion if the gate accepted it against the champion that still serves.

    Returns the :class:`~airflow_mlops.core.model.PromotionRecord` as JSON and emits the `Model` asset event. For a
    candidate that was not accepted, the version is registered with its decision, the task log says what was wrong
    and where to look, and the task ends as skipped: no event, and no failure.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    candidate
        What TrainOperator returned.
    decision
        What EvaluateGateOperator returned. The decision that counts is the one in MLflow; this one must be the same.
    """

    template_fields = ("candidate", "decision")
    operator_extra_links = (
        MLflowRunLink(),
        ReportLink(),
        ModelVersionLink(),
    )

    def __init__(self, *, candidate: Any, decision: Any, **kwargs: Any) -> None:
        # MLflow cannot compare and swap an alias: tasks of several runs must not promote at the same time.
        kwargs.setdefault("max_active_tis_per_dag", 1)
        super().__init__(**kwargs)
        self.candidate = candidate
        self.decision = decision

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Promote; raise a skip when the answer was no."""
        from airflow.sdk.exceptions import AirflowSkipException

        from airflow_mlops.core.model import Candidate, GateDecision
        from airflow_mlops.core.promotion import promote
        from airflow_mlops.provenance import provenance

        spec, candidate = self.model_spec(context), Candidate.from_json(self.candidate)
        with self.records(spec) as records:
            decision = records.decision(candidate.run_id, expected=GateDecision.from_json(self.decision))
            self.remember_links(records, candidate, "gate/decision.html")
            record = promote(
                decision, candidate, records, registered_model=spec.registered_model, tags=provenance(context)
            )
            records.record_promotion(candidate.run_id, record)
            self.version_url = records.version_url(spec.registered_model, record.version)
        if not record.promoted:
            context["ti"].xcom_push(key="return_value", value=record.to_json())
            message = "\n  ".join((f"{record.verdict}: version {record.version} does not serve", *record.reasons))
            self.log.warning("%s\n  the whole decision: %s", message, self.report_url)
            raise AirflowSkipException(record.reasons[0] if record.reasons else str(record.verdict))
        self._announce(context, record.to_json())
        self.log.info("version %s serves now, before it %s", record.version, record.previous_version)
        return record.to_json()

    def _announce(self, context: Any, record: dict[str, Any]) -> None:
        extra = {name: record[name] for name in ("model", "version", "run_id", "as_of", "previous_version")}
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = extra
