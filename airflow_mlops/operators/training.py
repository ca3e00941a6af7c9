"""Train a candidate."""

from __future__ import annotations

from typing import Any

from airflow_mlops.links import MLflowRunLink
from airflow_mlops.operators._base import LoopOperator, leaving_served


class TrainOperator(LoopOperator):
    """Train on the older part of a snapshot, measure on the newer part, and record it all in one MLflow run.

    Where the decision behind the run knows that something changed, the holdout lies behind the change, and the training
    part begins there if that is better.

    Returns the :class:`~airflow_mlops.core.records.candidate.Candidate` as JSON. A retry resumes the same MLflow run.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    snapshot
        What SnapshotOperator returned: ``snapshot_task.output``.
    """

    trains = True
    template_fields = ("snapshot",)
    operator_extra_links = (MLflowRunLink(),)

    def __init__(self, *, snapshot: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Fit, then record."""
        from airflow_mlops.asof import change_of
        from airflow_mlops.core.records.attempt import inputs_of
        from airflow_mlops.core.records.snapshot import Snapshot
        from airflow_mlops.core.snapshot import read_snapshot
        from airflow_mlops.core.training import fit, reference_profile
        from airflow_mlops.provenance import provenance

        spec, snapshot = self.model_spec(context), Snapshot.from_json(self.snapshot)
        loop_run, origin = self.loop_run(context), provenance(context)
        with self.records(spec) as records:
            inputs = inputs_of(snapshot.fingerprint, spec.fingerprint)
            with leaving_served(context):
                run_id = records.attempts.open_attempt(spec, loop_run, inputs=inputs, tags=origin)
            self.run_url = records.run_url(run_id)
            with records.runs.failing(run_id):
                frame = read_snapshot(snapshot, self.storage())
                fitted = fit(spec, snapshot, frame, changed=change_of(context))
                for warning in fitted.warnings:
                    self.log.warning("the estimator warned: %s", warning)
                profile = reference_profile(spec, snapshot, fitted)
                candidate = records.candidates.record_candidate(
                    run_id, fitted, snapshot, spec, loop_run=loop_run, provenance=origin, profile=profile
                )
        self.log.info("candidate %s: %s", candidate.model_uri, dict(candidate.metrics))
        report: dict[str, Any] = candidate.to_json()
        return report
