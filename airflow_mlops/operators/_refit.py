"""Train an accepted candidate again on all rows, and decide about that model: what `training.refit` asks for."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.operators._base import LoopOperator
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore


@dataclass(frozen=True, kw_only=True)
class RefittedCandidate:
    """A refitted model, and the decision about it."""

    candidate: Candidate
    decision: GateDecision


def refit_accepted(  # noqa: PLR0917 - who refits, in which run, with which records, by what, and what was judged
    operator: LoopOperator,
    context: Mapping[str, Any],
    records: MLflowStore,
    spec: ModelSpec,
    candidate: Candidate,
    decision: GateDecision,
    version: int,
) -> RefittedCandidate | str:
    """Refit, record it in a run of its own below that of what was judged, and decide; done again, it finds what it did.

    Parameters
    ----------
    candidate, decision, version
        What was judged and accepted, and its version.

    Returns
    -------
    RefittedCandidate or str
        In words why there is none: then what was judged serves.

    Raises
    ------
    StoreUnavailableError
        If a store does not answer: the task is tried again.
    """
    from airflow_mlops.core.errors import DataError, RecordError, TrainingError

    try:
        made = _train(operator, context, records, spec, candidate)
        return RefittedCandidate(candidate=made, decision=_decide(records, spec, made, decision, version))
    except (DataError, RecordError, TrainingError) as refusal:
        operator.log.warning("the refit failed, and what was judged serves: %s", refusal)
        return f"not refitted on all rows: {refusal.problems[0]}"


def run_has_served(records: MLflowStore, spec: ModelSpec, candidate: Candidate) -> bool:
    """Whether what a run trained serves or has served, or the refitted model that repeats it."""
    from airflow_mlops.core.promotion import has_served

    model = spec.registered_model
    judged = records.registry.version_of(model, candidate.run_id)
    versions = records.registry.loop_versions(model, candidate.loop_run)
    return any(one.attempt == judged and has_served(records.registry, model, one.number) for one in versions)


def _train(
    operator: LoopOperator, context: Mapping[str, Any], records: MLflowStore, spec: ModelSpec, judged: Candidate
) -> Candidate:
    from airflow_mlops.core.records.attempt import inputs_of, refit_run
    from airflow_mlops.core.snapshot import read_snapshot, require_rows_of
    from airflow_mlops.core.training import refit, refitted_profile
    from airflow_mlops.provenance import provenance
    from airflow_mlops.stores.mlflow.runs import REFIT_OF

    loop_run, snapshot = refit_run(judged.loop_run), records.lineage.snapshot_of(judged.run_id)
    origin = {**provenance(context), REFIT_OF: judged.run_id, "mlflow.parentRunId": judged.run_id}
    inputs = inputs_of(snapshot.fingerprint, spec.fingerprint)
    run_id = records.attempts.open_attempt(spec, loop_run, inputs=inputs, tags=origin)
    standing = records.candidates.find_candidate(run_id)
    if standing is not None and standing.refit_of is not None and standing.refit_of.model_uri == judged.model_uri:
        return standing
    with records.runs.failing(run_id):
        require_rows_of(judged, snapshot)  # the run's copy of the manifest has no seal of its own
        frame = read_snapshot(snapshot, operator.storage())
        fitted = refit(spec, snapshot, frame, judged, records.load_pipeline(judged, spec=spec))
        for warning in fitted.warnings:
            operator.log.warning("the estimator warned: %s", warning)
        profile = refitted_profile(spec, snapshot, fitted, records.lineage.profile(judged.run_id))
        return records.candidates.record_candidate(
            run_id, fitted, snapshot, spec, loop_run=loop_run, provenance=origin, profile=profile
        )


def _decide(
    records: MLflowStore, spec: ModelSpec, refitted: Candidate, judged: GateDecision, version: int
) -> GateDecision:
    """Serve the refitted model in a fresh interpreter, as the gate did with what was judged, and decide."""
    from airflow_mlops.core.gate import advice_of, decide_refit, sections_of
    from airflow_mlops.core.records.decision import Verdict
    from airflow_mlops.reports.decision.page import render
    from airflow_mlops.stores.serving_check.check import start_serving_check

    standing = records.decisions.find_decision(refitted.run_id)
    if standing is not None and standing.verdict is Verdict.ACCEPT and _is_about(standing, judged):
        return standing
    wanted = "off" not in (spec.gate.mode, spec.gate.serving.mode)
    with start_serving_check(records, refitted, spec) if wanted else nullcontext() as trial:
        served = None if trial is None else trial.report
        made = decide_refit(spec, refitted, judged, version, served=served, now=datetime.now(UTC))
    page = render(made, refitted, advice_of(made), evidence=sections_of(spec, refitted, made))
    records.decisions.record_decision(refitted.run_id, made, page_html=page)
    return made


def _is_about(decision: GateDecision, judged: GateDecision) -> bool:
    return decision.refit_of is not None and decision.refit_of.decision == judged.digest
