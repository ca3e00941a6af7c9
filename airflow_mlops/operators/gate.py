"""Judge a candidate against the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlops.links import MLflowRunLink, ReportLink
from airflow_mlops.operators._base import LoopOperator

if TYPE_CHECKING:
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore


class EvaluateGateOperator(LoopOperator):
    """Score candidate and champion on identical rows that neither was trained on, and decide.

    Returns the :class:`~airflow_mlops.core.records.decision.GateDecision` as JSON: accept, reject or inconclusive, with
    every rule. A rejection is an answer, not a failure: PromoteOperator draws the consequence. The decision is an
    artifact of the candidate's MLflow run before this task returns.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    snapshot
        What SnapshotOperator returned.
    candidate
        What TrainOperator returned.
    """

    trains = True
    template_fields = ("snapshot", "candidate")
    operator_extra_links = (
        MLflowRunLink(),
        ReportLink(),
    )

    def __init__(self, *, snapshot: Any, candidate: Any, **kwargs: Any) -> None:
        # A candidate is judged against the champion of now: of two judged at once, the second decision is stale.
        kwargs.setdefault("max_active_tis_per_dag", 1)
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.candidate = candidate

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Evaluate, decide, record, tell."""
        from airflow_mlops.core.records.candidate import Candidate
        from airflow_mlops.core.records.snapshot import Snapshot
        from airflow_mlops.operators._evaluate import judge

        spec, candidate = self.model_spec(context), Candidate.from_json(self.candidate)
        with self.records(spec) as records:
            records.require_owner(spec)
            decision = self._standing(records, candidate, spec)
            if decision is not None:
                self.log.info("this run's model serves, or has served, by the decision of %s", decision.decided_at)
                return decision.to_json()
            decision = judge(self, context, records, spec, Snapshot.from_json(self.snapshot), candidate)
        return decision.to_json()

    def _standing(self, records: MLflowStore, candidate: Candidate, spec: ModelSpec) -> GateDecision | None:
        """Return the decision that this run's version, or its refit, serves or has served by, if one has.

        No champion is judged against itself, and what a version was promoted by is not overwritten afterwards.
        """
        from airflow_mlops.operators._evaluate import DECISION_PAGE
        from airflow_mlops.operators._refit import run_has_served

        version = records.registry.version_of(spec.registered_model, candidate.run_id)
        if version is None or not run_has_served(records, spec, candidate):
            return None
        self.remember_links(records, candidate, DECISION_PAGE)
        return records.decisions.decision(candidate.run_id)
