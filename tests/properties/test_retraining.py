"""What a decision to retrain keeps to, whatever the case: limits are monotone and the invariants hold."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.retraining import LONGEST, History, MonitoringInput, RetrainDecision, as_line
from tests.support.retrain_cases import (
    DAY,
    FAULT,
    NOW,
    WORLD,
    ask,
    challenge,
    champion,
    drift,
    logged,
    performance,
    spec,
)
from tests.support.retraining_decisions import ONE, decide

VERDICTS = ["drift", "ok", "unknown", "invalid"]


@st.composite
def cases(draw):
    """Anything that monitoring may see, of any history."""
    drifts = draw(st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=5))
    outcomes = draw(st.lists(st.sampled_from(["decay", "ok", "unknown", "invalid"]), max_size=4))
    estimates = [draw(st.sampled_from(["", "decay", "ok", "unknown"])) for _ in outcomes]
    hints = draw(st.sampled_from([(), (FAULT,), (WORLD,)]))
    urgent = draw(st.booleans()) and outcomes[:1] == ["decay"]
    asked = draw(st.lists(st.sampled_from([ask(), ask("event"), ask("event", "unknown")]), max_size=2))
    looks = [
        drift(verdict, NOW - n * DAY, prediction=draw(st.sampled_from(VERDICTS))) for n, verdict in enumerate(drifts)
    ]
    cohorts = [
        performance(verdict, NOW - n * DAY, estimate, urgent=urgent and n == 0)
        for n, (verdict, estimate) in enumerate(zip(outcomes, estimates, strict=True))
    ]
    verdicts = st.sampled_from([None, Verdict.REJECT, Verdict.ACCEPT, Verdict.INCONCLUSIVE])
    challenges = sorted(draw(st.lists(st.floats(0, 90), max_size=4, unique=True)))
    decisions = sorted(draw(st.lists(st.floats(0.1, 90), max_size=5, unique=True)))
    actions = st.sampled_from([("retrain", "signal"), ("block", "invalid_data"), ("escalate", "escalate_after")])
    history = History(
        drift=tuple(looks[1:]),
        performance=tuple(cohorts[1:]),
        challenges=tuple(challenge(at, draw(verdicts), promoted=draw(st.booleans())) for at in challenges),
        decisions=tuple(logged(at, *draw(actions), number=len(decisions) - n) for n, at in enumerate(decisions)),
    )
    seen = MonitoringInput(
        drift=replace(looks[0], hints=hints) if draw(st.booleans()) else None,
        performance=cohorts[0] if cohorts else None,
        new_rows=draw(st.sampled_from([None, 0, 50, 500])),
        asked=tuple(asked),
        retired=draw(st.sampled_from([None, None, None, "replaced"])),
    )
    rules = {
        "cooldown": f"{draw(st.integers(0, 60))}d",
        "min_new_rows": draw(st.sampled_from([0, 0, 50, 51])),
        "on_volume": draw(st.sampled_from([None, None, 50])),
        "budget": {"runs": draw(st.integers(1, 4)), "per": f"{draw(st.integers(1, 60))}d"},
        "backoff": draw(st.sampled_from([1.0, 1.5, 2.0])),
        "escalate_after": draw(st.integers(1, 4)),
        **{name: draw(st.booleans()) for name in ("on_decay", "on_estimate", "on_drift")},
        "monitoring": draw(st.sampled_from([ONE, {}])),
    }
    return seen, history, rules, champion(as_of=NOW - draw(st.integers(0, 90)) * DAY)


def loosened(rules, draw_from):
    looser = {
        "budget runs": {"budget": {**rules["budget"], "runs": rules["budget"]["runs"] + 1}},
        "budget per": {"budget": {**rules["budget"], "per": "1h"}},
        "cooldown": {"cooldown": "0d"},
        "backoff": {"backoff": 1.0},
        "rows": {"min_new_rows": 0},
        "escalate": {"escalate_after": rules["escalate_after"] + 1},
    }
    return {**rules, **looser[draw_from]}


@given(case=cases(), loose=st.sampled_from(["budget runs", "budget per", "cooldown", "backoff", "rows", "escalate"]))
@settings(max_examples=400, deadline=None)
def test_what_retrains_still_does_when_a_limit_is_loosened(case, loose):
    seen, history, rules, who = case
    before = decide(seen, history, who=who, **rules)
    after = decide(seen, history, who=who, **loosened(rules, loose))
    if before.action == "retrain":
        assert after.action == "retrain"


@given(case=cases(), more=st.sampled_from(["decision", "challenge", "invalid", "fault", "retired"]))
@settings(max_examples=400, deadline=None)
def test_what_waits_still_does_when_more_speaks_against_it(case, more):
    seen, history, rules, who = case
    held = {
        "decision": (seen, replace(history, decisions=(logged(0.05, number=9), *history.decisions))),
        "challenge": (seen, replace(history, challenges=(challenge(0), *history.challenges))),
        "invalid": (replace(seen, drift=drift("invalid")), history),
        "fault": (replace(seen, drift=replace(seen.drift or drift("ok"), hints=(FAULT,))), history),
        "retired": (replace(seen, retired="replaced"), history),
    }[more]
    before = decide(seen, history, who=who, **rules)
    after = decide(*held, who=who, **rules)
    if before.action != "retrain":
        assert after.action != "retrain"
    if more in ("invalid", "retired"):
        assert after.action != "retrain"


@given(case=cases())
@settings(max_examples=300, deadline=None)
def test_the_same_case_gives_the_same_decision_that_keeps_the_invariants(case):
    seen, history, rules, who = case
    decision = decide(seen, history, who=who, **rules)
    assert decision == decide(seen, history, who=who, **rules)
    assert RetrainDecision.from_json(decision.to_text()).digest == decision.digest
    assert len(as_line(decision)) <= LONGEST
    assert decision.reasons
    assert decision.owner == "team"
    invalid = any(report is not None and report.verdict == "invalid" for report in (seen.drift, seen.performance))
    if decision.action == "retrain":
        assert decision.signal is not None
        assert not invalid
        assert not seen.retired
        manual = decision.signal == "manual"
        near = [one for one in history.decisions if one.action == "retrain"]
        per = spec(budget=rules["budget"]).retraining.budget.per
        assert manual or sum(abs(one.as_of - NOW) < per for one in near) < rules["budget"]["runs"]
        assert decision.urgent == (decision.rule == "urgent")
    if decision.action in ("block", "escalate"):
        assert decision.plan
