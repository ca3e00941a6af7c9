"""Compare the champion with a model of today's rows that serves nobody: what the retraining controller asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.core.records.candidate import Candidate, Champion
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.core.records.shadow import ShadowReport
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore


def challenged(
    spec: ModelSpec, as_of: datetime, champion: Champion, records: MLflowStore, storage: Storage
) -> ShadowReport:
    """Train on today's rows as a retraining would, ask the gate, and keep the answer in the window's run.

    Nothing is registered, and no run of a training is opened. Rows that do not pass the validation, or of which no
    model comes, give the verdict `untrained`.
    """
    from airflow_mlops.core.errors import DataError, TrainingError
    from airflow_mlops.core.retraining import judged_shadow, untrained_shadow

    records.require_owner(spec)
    records.claim_folder(spec, storage)
    try:
        decision = _decision(spec, as_of, champion, records, storage)
    except (DataError, TrainingError) as refusal:
        report = untrained_shadow(spec, champion, as_of, tuple(map(str, refusal.problems)))
    else:
        report = judged_shadow(champion, as_of, decision)
    records.windows.record_shadow(spec.experiment, report)
    return report


def _decision(
    spec: ModelSpec, as_of: datetime, champion: Champion, records: MLflowStore, storage: Storage
) -> GateDecision:
    """What the gate decides; that of a model which no run has is of no run."""
    from airflow_mlops.core.gate import decide, evaluate, unserved_spec
    from airflow_mlops.core.snapshot import read_snapshot
    from airflow_mlops.core.training import candidate_from, fit
    from airflow_mlops.core.validation import enforce, validate_snapshot
    from airflow_mlops.operators.snapshot import snapshot_for

    snapshot = snapshot_for(spec, as_of, champion, records, storage)
    frame = read_snapshot(snapshot, storage)
    enforce(validate_snapshot(spec, snapshot, frame))
    fitted = fit(spec, snapshot, frame, changed=champion.candidate.changed)
    candidate: Candidate = candidate_from(spec, snapshot, fitted, loop_run="", run_id="", model_uri="")
    asked = unserved_spec(spec)
    theirs = records.load_pipeline(champion.candidate, spec=spec)
    evaluation = evaluate(asked, candidate, fitted.pipeline, champion, theirs, frame, snapshot=snapshot)
    return decide(asked, candidate, evaluation, now=datetime.now(UTC))
