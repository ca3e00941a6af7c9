"""Whoever loosens gate, tier or approval does not do so unseen: it stands in the trail, page, form and card."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.operators import EvaluateGateOperator
from airflow_mlops.operators._card import MARKDOWN
from airflow_mlops.operators._evaluate import DECISION_PAGE
from airflow_mlops.spec import ModelSpec
from tests.support.judged_runs import GATE, Judged
from tests.support.loop import Run, answer, ask, promote_run

ASKS = {"risk_tier": "high", "promotion": {"approval": {"tiers": ["high"], "approvers": ["ada"]}}}
CHANGED = (
    'gate.mode: "off" -> "dry_run"',
    'promotion.approval.approvers: [] -> ["ada"]',
    'promotion.approval.tiers: [] -> ["high"]',
    'risk_tier: "medium" -> "high"',
    "gate.min_rows: 100 -> 120",
)


def changed(judged: Judged, **parts: Any) -> ModelSpec:
    body = judged.spec.model_dump(mode="json", exclude_unset=True)
    promotion = {**body["promotion"], **parts.pop("promotion", {})}
    return ModelSpec.model_validate({**body, **parts, "promotion": promotion})


def judge_as(judged: Judged, spec: ModelSpec, number: int) -> Run:
    run = judged.runs[number]
    seen = {key: run.reports[key] for key in ("snapshot", "train")}
    gate = EvaluateGateOperator(task_id="gate", spec=spec, snapshot=seen["snapshot"], candidate=seen["train"])
    return Run(run.run_id, {**seen, "gate": gate.execute(judged.context(number))})


@pytest.fixture
def loosened(judged: Judged) -> tuple[ModelSpec, Run]:
    """A champion, and a candidate that is judged by other rules than it was."""
    promote_run(judged.spec, judge_as(judged, judged.spec, 0), judged.context(0))
    spec = changed(judged, gate={**GATE, "mode": "dry_run", "min_rows": 120}, **ASKS)
    return spec, judge_as(judged, spec, 1)


def test_what_changed_is_an_event_and_stands_in_page_form_and_card(
    judged: Judged, loosened: tuple[ModelSpec, Run]
) -> None:
    spec, run = loosened
    decision = GateDecision.from_json(run.reports["gate"])
    assert decision.rules_changed == CHANGED
    form, parked = ask(spec, run, judged.context(1))
    page = judged.store.artifacts.read_text(decision.run_id, DECISION_PAGE)
    assert "Rules changed since the last approval" in form.body
    assert "Rules changed since the last approval" in page
    assert "gate.min" in form.body
    assert "100 -" in form.body
    (event,) = [event for event in judged.store.trail.events(judged.model) if event.kind == "rules_changed"]
    assert event.reason == "; ".join(decision.rules_changed)
    assert judged.kinds() == ["promoting", "promoted", "rules_changed", "registered"]
    ask(spec, run, judged.context(1))
    assert judged.kinds().count("rules_changed") == 1, "a task that is tried again finds the event"
    answer(spec, run, judged.context(1), "Approve", decision=parked["decision"])
    promote_run(spec, run, judged.context(1), approval=run.reports["approve"])
    assert judged.kinds()[4:] == ["promoting", "promoted"]
    assert "Rules changed since the last approval" in judged.store.artifacts.read_text(decision.run_id, MARKDOWN)


def test_rules_that_stay_are_no_event(judged: Judged) -> None:
    promote_run(judged.spec, judge_as(judged, judged.spec, 0), judged.context(0))
    # Written out as its default, and another description: nothing of the rules has changed.
    same = changed(judged, risk_tier="medium", description="said better")
    run = judge_as(judged, same, 1)
    assert GateDecision.from_json(run.reports["gate"]).other_rules == ""
    promote_run(same, run, judged.context(1))
    assert "rules_changed" not in judged.kinds()


def test_rules_that_cannot_be_read_any_more_are_a_change(judged: Judged) -> None:
    first = judge_as(judged, judged.spec, 0)
    promote_run(judged.spec, first, judged.context(0))
    run_id = first.reports["train"]["run_id"]
    judged.store.artifacts.write_text(run_id, "gate/decision.json", "{}")
    try:
        run = judge_as(judged, judged.spec, 1)
    finally:
        judged.store.decisions.record_decision(run_id, GateDecision.from_json(first.reports["gate"]))
    assert "the rules of version 1 cannot be read any more" in GateDecision.from_json(run.reports["gate"]).other_rules
