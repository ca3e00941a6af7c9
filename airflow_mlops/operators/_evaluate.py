"""Judge a candidate: the gate task's work, and that of a promotion whose decision has become stale."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_mlops.core.records.candidate import Candidate, Champion
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.core.records.snapshot import Snapshot
    from airflow_mlops.operators._base import LoopOperator
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore

DECISION_PAGE = "gate/decision.html"
_TOLD = {"accept": "accepted", "reject": "rejected", "inconclusive": "inconclusive"}


def judge(  # noqa: PLR0917 - who judges, in which run, with which records, by what, on what, and whom
    operator: LoopOperator,
    context: Mapping[str, Any],
    records: MLflowStore,
    spec: ModelSpec,
    snapshot: Snapshot,
    candidate: Candidate,
) -> GateDecision:
    """Evaluate against the champion of now, decide, record, and tell those who want to know.

    The stored candidate is tried in a fresh interpreter meanwhile, because both take about as long.
    """
    from airflow_mlops.core.gate import advice_of, decide, evaluate, sections_of
    from airflow_mlops.core.snapshot import read_snapshot, require_rows_of
    from airflow_mlops.operators._rule_changes import rule_changes
    from airflow_mlops.provenance import overridden_fields, triggered_by
    from airflow_mlops.reports.decision.page import render
    from airflow_mlops.spec.governing_rules import governing_rules
    from airflow_mlops.stores.serving_check.check import start_serving_check

    wanted = "off" not in (spec.gate.mode, spec.gate.serving.mode)
    with start_serving_check(records, candidate, spec) if wanted else nullcontext() as trial:
        require_rows_of(candidate, snapshot)
        frame = read_snapshot(snapshot, operator.storage())
        pipeline = records.load_pipeline(candidate, spec=spec)
        champion = records.find_champion(spec)
        evaluation = evaluate(
            spec,
            candidate,
            pipeline,
            champion,
            _champion_pipeline(operator, records, champion, spec),
            frame,
            snapshot=snapshot,
            served=None if trial is None else trial.report,
            packages=_packages(records, candidate, champion),
        )
    decided = decide(spec, candidate, evaluation, now=datetime.now(UTC))
    changed, earlier = rule_changes(records, spec, candidate)
    decision = replace(
        decided,
        overrides=overridden_fields(context, operator.own_spec()),
        overridden_by=triggered_by(context),
        judged_by=governing_rules(spec),
        rules_changed=changed,
        earlier_changes=earlier,
    )
    page = render(decision, candidate, advice_of(decision), evidence=sections_of(spec, candidate, decision))
    records.decisions.record_decision(candidate.run_id, decision, page_html=page)
    operator.remember_links(records, candidate, DECISION_PAGE)
    operator.log.info("%s: %s", decision.verdict.upper(), "\n  ".join(decision.reasons))
    operator.tell(spec, _TOLD[decision.verdict.value], context, decision.reasons, as_of=candidate.as_of)
    return decision


def standing_decision(
    records: MLflowStore, spec: ModelSpec, candidate: Candidate, expected: GateDecision | None
) -> GateDecision:
    """Return the decision that stands in MLflow, made anew from its evaluation before anything follows from it.

    By the specification of now or, where that was changed since, by the one that the run was trained by.

    Raises
    ------
    RecordError
        DECISION_CONTRADICTORY, if neither gives its verdict; otherwise as
        :meth:`~airflow_mlops.stores.mlflow.decisions.MLflowDecisions.decision`.
    """
    from airflow_mlops.core.gate import require_derived

    decision = records.decisions.decision(candidate.run_id, expected=expected)
    require_derived(decision, candidate, [spec, records.lineage.spec_of(candidate.run_id)])
    return decision


def _champion_pipeline(operator: LoopOperator, records: MLflowStore, champion: Champion | None, spec: ModelSpec) -> Any:
    """Load the champion; None when it is broken, gone or not trusted: the gate rejects then, and says so.

    A store that is away is something else: the task is tried again.
    """
    from airflow_mlops.core.errors import RecordError
    from airflow_mlops.spec.problems import ReasonCode

    if champion is None:
        return None
    try:
        return records.load_pipeline(champion.candidate, spec=spec)
    except RecordError as refusal:
        unusable = {ReasonCode.TYPE_UNTRUSTED, ReasonCode.RECORD_CONFLICT}
        if not all(problem.code in unusable for problem in refusal.problems):
            raise
        operator.log.warning("the champion, version %s, cannot be read: %s", champion.version, refusal)
        return None


def _packages(
    records: MLflowStore, candidate: Candidate, champion: Champion | None
) -> tuple[Mapping[str, str], Mapping[str, str]] | None:
    """Package versions of both trainings, to say what changed; None when there is nothing to compare."""
    if champion is None:
        return None
    return records.lineage.environment_of(candidate.run_id), records.lineage.environment_of(champion.run_id)
