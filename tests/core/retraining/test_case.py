"""What was said once is not said again: watching, blocks and escalations are told when they begin."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.retraining import History, MonitoringInput
from airflow_mlops.spec.retraining import PLAYBOOK
from tests.support.retrain_cases import (
    DAY,
    FAULT,
    NOW,
    challenge,
    champion,
    drift,
    performance,
)
from tests.support.retraining_decisions import HOUR, answers, decide, month


def test_watching_is_told_when_it_begins():
    fine = performance("ok")
    began = decide(MonitoringInput(drift=drift(), performance=fine))
    assert began.evidence["watching_since"] == "2013-06-09T00:00:00+00:00"
    day_before = History(drift=(drift(at=NOW - DAY),), performance=(performance("ok", NOW - DAY),))
    assert "watching_since" not in decide(MonitoringInput(drift=drift(), performance=fine), day_before).evidence
    calm = History(drift=(drift("ok", at=NOW - DAY),), performance=(performance("ok", NOW - DAY),))
    assert "watching_since" in decide(MonitoringInput(drift=drift(), performance=fine), calm).evidence


def test_drift_that_comes_and_goes_is_told_once():
    """On every second day, while outcomes say that all is well: the windows that drift is counted among are one."""
    told, reports, outcomes = [], (), ()
    for day in range(40):
        at = NOW + day * DAY
        now = drift("drift" if day % 2 else "ok", at=at)
        fine = performance("ok", at=at)
        decision = decide(
            MonitoringInput(drift=now, performance=fine), History(drift=reports, performance=outcomes), as_of=at
        )
        reports, outcomes = (now, *reports)[:10], (fine, *outcomes)[:10]
        if "watching_since" in decision.evidence:
            told.append(day)
    assert told == [1]


@pytest.mark.parametrize(
    ("rule", "bad", "told"),
    [
        ("invalid_data", {"verdict": "invalid"}, [3, 20]),
        ("pipeline_fault", {"hints": (FAULT,)}, [3, 10, 17, 20, 27]),
    ],
)
def test_a_block_is_said_once_for_each_episode(rule, bad, told):
    """Bad on days 3 to 17 (with a gap of too few rows) and 20 to 29; the days between are good.

    The window is of 7 days: a fault that is still there when none of the rows told of is, is told again.
    """

    def seen(day, at):
        if 8 <= day < 10:
            return MonitoringInput(drift=drift("unknown", at))
        return MonitoringInput(
            drift=drift(**{"at": at, "verdict": "ok", **(bad if 3 <= day < 18 or day >= 20 else {})})
        )

    decided = month(seen)
    assert [day for day, decision in enumerate(decided) if decision.action == "block"] == told
    assert all(decision.rule == rule for day, decision in enumerate(decided) if 4 <= day < 8 or day >= 20)
    again = decided[5]
    assert again.action == "wait"
    assert again.plan == PLAYBOOK[rule]
    assert any("The owner was told as of 2013-06-12" in reason for reason in again.reasons)
    if rule == "pipeline_fault":  # the window of day 5, NOW + 5 days, holds rows until then
        assert "ends by itself at 2013-06-21T00:00:00+00:00" in again.reasons[0]


def test_invalid_outcomes_are_an_episode_of_their_own():
    def seen(day, at):
        return MonitoringInput(
            drift=drift("invalid" if day >= 2 else "ok", at),
            performance=performance("invalid" if day >= 6 else "ok", at),
        )

    blocked = [day for day, decision in enumerate(month(seen, 12)) if decision.action == "block"]
    assert blocked == [2, 6]


def test_an_escalation_is_said_once_for_each_champion_with_what_was_tried():
    rules = {"escalate_after": 3}
    tried = (challenge(1, Verdict.INCONCLUSIVE), challenge(20), challenge(40), challenge(60, None))
    history = answers(*tried, challenge(80, Verdict.ACCEPT, promoted=True), challenge(99))
    decided = month(lambda _, at: MonitoringInput(performance=performance(at=at)), 20, history, **rules)
    assert [decision.action for decision in decided] == ["escalate"] + ["wait"] * 19
    assert {decision.rule for decision in decided} == {"escalate_after"}
    assert decided[0].reasons[0] == (
        "3 challengers in a row did not replace the champion: inconclusive as of 2013-06-08 00:00, reject as of "
        "2013-05-20 00:00, reject as of 2013-04-30 00:00. The next attempt waits until 2013-07-08T00:00:00+00:00, or "
        "for a person."
    )
    escalated = replace(decided[0], number=1)
    later = NOW + 3 * DAY
    promoted = answers(*tried, decisions=(escalated,))
    next_one = champion(5)
    seen = MonitoringInput(performance=performance(at=later, champion_version=5))
    assert decide(seen, promoted, as_of=later, who=next_one, **rules).action == "escalate"


def test_a_promotion_ends_the_row_of_refused_challengers():
    promoted = challenge(30, Verdict.ACCEPT, promoted=True)
    history = answers(challenge(20), promoted, challenge(40), challenge(50))
    assert decide(history=history, escalate_after=2, cooldown="1d", budget={"runs": 9}).action == "retrain"
    forced = answers(challenge(20, promoted=True), challenge(40), challenge(50))
    assert decide(history=forced, escalate_after=1, cooldown="1d", budget={"runs": 9}).action == "retrain"


def test_what_a_schedule_trained_in_good_times_says_nothing_about_bad_ones():
    """Nine candidates of a monthly schedule were no better than a champion that was all right; now it decays."""
    monthly = tuple(challenge(30.0 * n, Verdict.INCONCLUSIVE) for n in range(1, 10))
    seen = MonitoringInput(performance=performance())
    assert decide(seen, History(challenges=monthly)).action == "retrain"
    assert decide(seen, answers(*monthly)).action == "escalate"
    two = answers(*monthly[:2])
    mixed = replace(two, challenges=(*two.challenges, *monthly[2:]))
    assert decide(seen, mixed, escalate_after=3).rule == "signal"
    assert decide(seen, mixed, escalate_after=2).action == "escalate"


@pytest.mark.parametrize("signal", ["volume", "event", "manual"])
def test_what_was_asked_for_while_all_was_well_says_nothing_either(signal):
    asked = answers(*(challenge(40.0 * n) for n in range(1, 9)))
    others = replace(asked, decisions=tuple(replace(one, signal=signal) for one in asked.decisions))
    assert decide(history=others, escalate_after=1).action == "retrain"


def test_after_an_escalation_one_attempt_is_made_in_each_cooldown_and_told_when_it_is_refused():
    """Nobody answers: decay on every day, every challenger refused on the day it is asked for."""
    history, acted = History(), []
    for day in range(300):
        at = NOW + day * DAY
        decision = decide(MonitoringInput(performance=performance(at=at)), history, as_of=at, escalate_after=2)
        if decision.action == "wait":
            continue
        acted.append((day, decision.action))
        numbered = replace(decision, number=len(acted))
        history = replace(history, decisions=(numbered, *history.decisions))
        if decision.action == "retrain":
            refused = replace(challenge(0, answers=(decision.key,)), as_of=at)
            history = replace(history, challenges=(refused, *history.challenges))
    days = [day for day, action in acted if action == "retrain"]
    assert days == [0, 28, 58, 88, 118, 148, 178, 208, 238, 268, 298]
    told = [day for day, action in acted if action == "escalate"]
    assert told == [day + 1 for day in days[1:]]  # each refusal once


def test_an_urgent_decay_on_a_spent_budget_is_told_once_in_its_period():
    """Trainings that crash are never refused, and spend the budget."""
    history, acted = History(), []
    for hour in range(0, 24 * 45, 3):
        at = NOW + hour * HOUR
        decision = decide(MonitoringInput(performance=performance(at=at, urgent=True)), history, as_of=at)
        if decision.action != "wait":
            acted.append((hour, decision.action, decision.rule))
            history = replace(history, decisions=(replace(decision, number=len(acted)), *history.decisions))
    days = [(hour // 24, action) for hour, action, _ in acted]
    assert days[:5] == [(0, "retrain"), (0, "retrain"), (1, "retrain"), (1, "retrain"), (2, "escalate")]
    assert {rule for _, action, rule in acted if action == "escalate"} == {"budget"}
    assert [action for _, action in days].count("escalate") == 2
    assert "See what became of the retrainings" in next(one for one in history.decisions if one.rule == "budget").plan
