"""The decision to retrain: every rule alone and with every other, in the order that is documented."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.retraining import LONGEST, Challenge, History, MonitoringInput, RetrainDecision, as_line
from airflow_mlops.core.retraining.decide import decide_retraining, unanswered
from airflow_mlops.core.retraining.new_rows import count_new_rows
from airflow_mlops.core.retraining.rules import RULES
from airflow_mlops.spec.retraining import PLAYBOOK
from airflow_mlops.stores.files.store import FileStore
from tests.support.retrain_cases import (
    CHAMPION,
    DAY,
    FAULT,
    NOW,
    TRAINED,
    WORLD,
    ask,
    challenge,
    champion,
    drift,
    logged,
    performance,
    spec,
)

ONE = {"drift": {"violations": 1}, "performance": {"violations": 1}}
"""One window is enough."""


def decide(seen=None, history=None, *, as_of=NOW, who=CHAMPION, **rules) -> RetrainDecision:
    model = spec(**{"monitoring": ONE, **rules})
    return decide_retraining(model, who, seen or MonitoringInput(drift=drift()), history or History(), as_of)


def answers(*challenges: Challenge, **others) -> History:
    """Challengers that decisions asked for, because of decay."""
    asked = [
        replace(logged(0, number=len(challenges) - n), as_of=one.as_of, key=f"key {one.run_id}", signal="decay")
        for n, one in enumerate(challenges)
    ]
    done = tuple(replace(one, answers=(f"key {one.run_id}",)) for one in challenges)
    return History(challenges=done, decisions=(*others.pop("decisions", ()), *asked), **others)


# all rules -----------------------------------------------------------------------------------------------------------


OUTCOMES = {
    "none": None,
    "fine": performance("ok"),
    "other": replace(performance(), champion_version=3),
    "invalid": performance("invalid"),
}


def case_of(outcomes, retired, fault, signal, refused, hot, few, spent):
    """A case in which exactly the rules that are named speak against a retraining; the rest is as it should be."""
    seen = MonitoringInput(
        drift=drift("drift" if signal else "ok", hints=(FAULT,) if fault else (WORLD,)),
        performance=OUTCOMES[outcomes],
        new_rows=99 if few else 100,
        retired="it is replaced" if retired else None,
    )
    history = answers(
        *(challenge(70 + n) for n in range(2 if refused else 1)),
        decisions=tuple(logged(20 + n, number=9 - n) for n in range(2 if spent else 1)),
    )
    rules = {
        "cooldown": "21d" if hot else "20d",
        "backoff": 1.0,
        "min_new_rows": 100,
        "escalate_after": 2,
        "budget": {"runs": 2, "per": "60d"},
    }
    expected = [
        *(["retired"] if retired else []),
        *(["out_of_date"] if outcomes == "other" else []),
        *(["invalid_data"] if outcomes == "invalid" else []),
        *(["pipeline_fault"] if fault else []),
        *([] if signal else ["none"]),
        *(["watch"] if signal and outcomes == "fine" else []),
        *(["escalate_after"] if refused else []),
        *(["cooldown"] if hot else []),
        *(["min_new_rows"] if few else []),
        *(["budget"] if spent else []),
    ]
    return seen, history, rules, expected


ACTIONS = {"invalid_data": "block", "pipeline_fault": "block", "escalate_after": "escalate"}
SITUATIONS = {**dict.fromkeys(["invalid_data", "pipeline_fault"]), "watch": "drift", "escalate_after": "escalate"}
FLAGS = [True, False]


def test_every_rule_with_every_other_the_first_decides_and_all_are_heard():
    met = set()
    for parts in product(OUTCOMES, *[FLAGS] * 7):
        seen, history, rules, expected = case_of(*parts)
        decision = decide(seen, history, **rules)
        met |= set(expected)
        if not expected:
            assert (decision.action, decision.rule) == ("retrain", "signal")
            assert decision.plan == PLAYBOOK["decay"]
            continue
        first = expected[0]
        assert (decision.rule, decision.action) == (first, ACTIONS.get(first, "wait")), parts
        assert decision.plan == (PLAYBOOK[SITUATIONS[first] or first] if first in SITUATIONS else "")
        said = " ".join(decision.reasons)
        for rule in expected:
            assert HEARD[rule] in said, (parts, rule)
        for rule in set(HEARD) - set(expected) - {"watch"}:
            assert HEARD[rule] not in said, (parts, rule)
    assert met == set(HEARD)
    assert len(RULES) == len(HEARD)


HEARD = {
    "retired": "The model is retired: it is replaced",
    "out_of_date": "is about version 3; version 4 serves now",
    "invalid_data": "The newest window is invalid to performance",
    "pipeline_fault": "a fault of the pipeline: temp looks 1.8 times",
    "none": "There is no drift of inputs.",
    "watch": "still does what its gate promised",
    "escalate_after": "2 challengers in a row did not replace",
    "cooldown": "the cooldown of 21d ends at",
    "min_new_rows": "There are 99 new labelled rows; retraining needs 100.",
    "budget": "2 retrainings were decided within 60d; the budget is 2 per 60d.",
}


# the record ----------------------------------------------------------------------------------------------------------


def test_a_decision_says_everything_and_comes_back_from_json():
    seen = MonitoringInput(drift=drift(), performance=performance(), new_rows=50)
    decision = decide(seen, answers(challenge(50)), budget={"runs": 3}, min_new_rows=50)
    assert decision.action == "retrain"
    assert decision.reasons[0].startswith("Realised decay in 1 of the last 1 windows")
    assert decision.signal == "decay"
    assert [signal.kind for signal in decision.signals if signal.state == "on"] == ["decay", "input_drift"]
    assert (decision.owner, decision.number, decision.urgent) == ("team", None, False)
    assert decision.key == "m/v4/2013-06-02T00:00:00+00:00_2013-06-09T00:00:00+00:00"
    assert decision.evidence == {
        "champion_version": "4",
        "champion_run_id": "r4",
        "window_start": "2013-06-02T00:00:00+00:00",
        "window_end": "2013-06-09T00:00:00+00:00",
        "drift_verdict": "drift",
        "drift_digest": seen.drift.digest,
        "performance_verdict": "decay",
        "performance_digest": seen.performance.digest,
        "new_rows": "50",
        "refused": "1",
        "budget": "0 of 3 spent",
    }
    assert RetrainDecision.from_json(decision.to_text()) == decision


def test_the_playbook_of_the_specification_comes_before_ours():
    own = {"escalate": "Call Ada.", "decay": "Look at the slices."}
    assert decide(playbook=own).plan == "Look at the slices."
    assert decide(history=answers(challenge(50)), playbook=own, escalate_after=1).plan == "Call Ada."


@given(
    text=st.text(min_size=1, max_size=3000),
    plan=st.text(min_size=1, max_size=9000).filter(str.strip),
    count=st.integers(0, 40),
)
@settings(max_examples=60, deadline=None)
def test_however_long_the_texts_a_decision_fits_into_one_value(text, plan, count):
    hints = tuple(replace(FAULT, words=text) for _ in range(3))
    seen = MonitoringInput(
        drift=drift(reasons=(text,) * count, hints=hints),
        performance=performance("unknown", reasons=(text,) * count),
        asked=tuple(ask("event", reason=text + str(n)) for n in range(count)),
        retired=text,
    )
    decision = decide(seen, playbook=dict.fromkeys(PLAYBOOK, plan), escalate_after=1)
    line = as_line(decision)
    assert len(line) <= LONGEST
    assert line.isprintable()
    assert RetrainDecision.from_json(json.loads(line)) == decision


# one event, one decision ---------------------------------------------------------------------------------------------


def test_the_same_window_is_the_same_decision_with_its_number():
    first = replace(decide(), number=7)
    history = History(decisions=(first,))
    assert decide(history=history) == first
    assert decide(MonitoringInput(drift=drift(hints=(FAULT,))), history) == first
    assert decide(MonitoringInput(drift=drift("invalid")), history) == first
    assert decide(MonitoringInput(drift=drift(), retired="replaced"), history).rule == "retired"
    assert decide(history=history, who=champion(5)).rule == "out_of_date"


def test_another_window_another_champion_and_another_request_are_other_events():
    keys = [
        decide().key,
        decide(MonitoringInput(drift=drift(at=NOW - DAY)), as_of=NOW - DAY).key,
        decide(MonitoringInput(drift=replace(drift(), champion_version=5)), who=champion(5)).key,
        decide(MonitoringInput(drift=drift(), asked=(ask(),))).key,
        decide(MonitoringInput(drift=drift(), asked=(ask("event"),))).key,
        decide(MonitoringInput(asked=(ask(),))).key,
        decide(MonitoringInput(asked=(ask(),)), as_of=NOW + DAY).key,
        decide(MonitoringInput(performance=performance())).key,
    ]
    assert len(set(keys)) == len(keys)


def test_a_window_that_was_blocked_and_then_mended_is_decided_anew():
    blocked = replace(decide(MonitoringInput(drift=drift("invalid"))), number=1)
    assert blocked.action == "block"
    assert decide(history=History(decisions=(blocked,))).action == "retrain"


def test_what_was_blocked_is_the_same_decision_when_it_is_asked_again():
    for seen in (MonitoringInput(drift=drift("invalid")), MonitoringInput(drift=drift(hints=(FAULT,)))):
        blocked = replace(decide(seen), number=1)
        assert decide(seen, History(decisions=(blocked,))) == blocked


# what is not decided on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["ok", "unknown"])
def test_nothing_but_a_signal_retrains(verdict):
    decision = decide(MonitoringInput(drift=drift(verdict), performance=performance("unknown")), as_of=NOW + 1000 * DAY)
    assert (decision.action, decision.rule) == ("wait", "none")
    assert any(verdict in reason or "no drift" in reason for reason in decision.reasons)


def test_nothing_seen_is_nothing_to_decide():
    assert decide(MonitoringInput()).rule == "none"
    assert decide(MonitoringInput()).key == "m/v4/2013-06-09T00:00:00+00:00"


TWO = {"performance": {"violations": 2}}


def test_one_window_of_two_waits():
    seen = MonitoringInput(drift=drift(), performance=performance())
    decision = decide(seen, monitoring=TWO)
    assert (decision.action, decision.rule) == ("wait", "persistence")
    assert "in 1 of the last 1 windows (2 of 5 make a signal)" in " ".join(decision.reasons)
    before = History(drift=(drift(at=NOW - DAY),))
    assert decide(MonitoringInput(drift=drift()), before, monitoring={}).action == "retrain"


def test_records_of_another_model_are_refused():
    for seen, history, who in (
        (MonitoringInput(drift=drift(model="n")), History(), CHAMPION),
        (MonitoringInput(performance=performance(model="n")), History(), CHAMPION),
        (MonitoringInput(), History(drift=(drift(model="n"),)), CHAMPION),
        (MonitoringInput(), History(decisions=(logged(1, model="n"),)), CHAMPION),
        (MonitoringInput(), History(), replace(CHAMPION, model="n")),
    ):
        with pytest.raises(RecordError, match="all of one model"):
            decide(seen, history, who=who)


def test_an_instant_without_zone_is_refused():
    with pytest.raises(DataError):
        decide(as_of=datetime(2013, 6, 9))


@pytest.mark.parametrize("clock", [drift(at=NOW + DAY), performance(at=NOW + timedelta(seconds=1))])
def test_a_report_from_the_future_waits(clock):
    seen = MonitoringInput(drift=clock) if isinstance(clock, type(drift())) else MonitoringInput(performance=clock)
    decision = decide(seen)
    assert (decision.action, decision.rule) == ("wait", "out_of_date")
    assert "a clock is wrong" in decision.reasons[0]


def test_an_instant_before_the_champion_waits():
    early = TRAINED - DAY
    decision = decide(MonitoringInput(drift=drift(at=early)), as_of=early, cooldown="0d")
    assert (decision.action, decision.rule) == ("wait", "out_of_date")


# drift without decay -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "action"),
    [
        (None, "retrain"),
        (performance("ok"), "wait"),
        (performance("unknown"), "retrain"),
        (performance("unknown", estimated="ok"), "wait"),
        (performance("unknown", estimated="unknown"), "retrain"),
        (performance("unknown", estimated="decay"), "retrain"),
        (performance("ok", estimated="decay"), "wait"),
        (performance("decay"), "retrain"),
    ],
)
@pytest.mark.parametrize("what", [{}, {"verdict": "ok", "prediction": "drift"}])
def test_drift_is_watched_while_outcomes_or_else_the_estimate_say_that_all_is_well(outcomes, action, what):
    decision = decide(MonitoringInput(drift=drift(**what), performance=outcomes))
    assert decision.action == action
    assert (decision.rule == "watch") == (action == "wait")


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


def test_another_signal_beside_drift_is_not_only_watched():
    decision = decide(MonitoringInput(drift=drift(), performance=performance("ok"), new_rows=10), on_volume=10)
    assert (decision.action, decision.signal) == ("retrain", "input_drift")


# limits --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("since", ["champion", "decision", "challenge"])
@pytest.mark.parametrize("refused", [0, 1, 2, 3])
def test_cooldown_counts_from_the_newest_and_grows_with_each_refused_challenger(since, refused):
    """Ten days, doubled: 10, 20, 40, 80 days before NOW are just enough, and one microsecond less is not."""
    wanted = 10 * DAY * 2**refused
    for extra, action in ((timedelta(0), "retrain"), (timedelta(microseconds=1), "wait")):
        begin = NOW - wanted + extra
        who = champion(as_of=begin if since == "champion" else NOW - 5000 * DAY)
        one = Challenge(as_of=NOW - 4000 * DAY, run_id="c", verdict=Verdict.REJECT, promoted=False)
        challenges = [replace(one, as_of=NOW - (4000 + n) * DAY) for n in range(refused)]
        if since == "challenge":
            challenges.insert(0, replace(one, as_of=begin, verdict=Verdict.ACCEPT, promoted=True))
            wanted_now = 10 * DAY if refused else wanted
            challenges[0] = replace(challenges[0], as_of=NOW - wanted_now + extra)
        decisions = (replace(logged(1), as_of=begin),) if since == "decision" else ()
        history = answers(*challenges, decisions=decisions)
        budget = {"runs": 9, "per": "300d"}  # backoff goes no further than its period
        decision = decide(history=history, who=who, cooldown="10d", escalate_after=9, budget=budget)
        assert decision.action == action, (since, refused, extra)
        if action == "wait":
            assert decision.rule == ("backoff" if refused and since != "challenge" else "cooldown")


@pytest.mark.parametrize("backoff", [3.0, 1e300])
@pytest.mark.parametrize(("cooldown", "ends"), [("14d", 30), ("40d", 40)])
def test_backoff_goes_no_further_than_the_budgets_period(backoff, cooldown, ends):
    def then(day):
        history = answers(*(challenge(day + n) for n in range(8)))
        return decide(history=history, backoff=backoff, cooldown=cooldown, escalate_after=99, budget={"runs": 9})

    assert then(ends - 0.01).rule == ("backoff" if ends == 30 else "cooldown")
    assert then(ends).action == "retrain"


def test_what_a_schedule_trains_starts_no_cooldown():
    """Else a schedule that is shorter than the cooldown would keep decay from being acted on for ever."""
    for verdict in (None, *Verdict):
        assert decide(history=History(challenges=(challenge(1, verdict),))).action == "retrain"
    assert decide(history=answers(challenge(1, Verdict.ACCEPT))).rule == "cooldown"


def test_urgent_decay_waits_for_no_cooldown_and_no_second_window_and_says_so():
    hot = champion(as_of=NOW - DAY)
    urgent = MonitoringInput(performance=performance(urgent=True))
    decision = decide(urgent, who=hot, monitoring=TWO)
    assert (decision.action, decision.rule, decision.urgent) == ("retrain", "urgent", True)
    assert "It is urgent, and need not wait: The champion is of" in " ".join(decision.reasons)
    assert "need not show in 2 windows" in " ".join(decision.reasons)
    calm = decide(urgent, monitoring=ONE)
    assert (calm.action, calm.rule, calm.urgent) == ("retrain", "signal", False)


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("before", "answers", "rule"),
    [
        (HOUR, (), "under_way"),  # nothing is recorded yet
        (HOUR, (None,), "under_way"),  # it trains
        (HOUR, (Verdict.ACCEPT,), "under_way"),  # it waits for its promotion
        (HOUR, (Verdict.REJECT,), "backoff"),  # it did not help: the budget is to last
        (HOUR, (Verdict.INCONCLUSIVE,), "backoff"),
        (7.5 * DAY - HOUR, (Verdict.REJECT,), "backoff"),
        (7.5 * DAY, (Verdict.REJECT,), "urgent"),  # four in thirty days
        (15 * HOUR - timedelta(seconds=1), (None,), "under_way"),
        (15 * HOUR, (None,), "urgent"),  # five tasks of an hour, three tries each: it died
    ],
)
def test_urgent_decay_waits_for_the_training_that_is_under_way(before, answers, rule):
    urgent = MonitoringInput(performance=performance(urgent=True))
    asked = replace(logged(1), as_of=NOW - before, signal="decay")
    beside = replace(challenge(0), as_of=asked.as_of)  # what a schedule trained at the same midnight is no answer
    answering = [replace(challenge(0, verdict, answers=(asked.key,)), as_of=asked.as_of) for verdict in answers]
    decision = decide(urgent, History(decisions=(asked,), challenges=(beside, *answering)))
    assert decision.rule == rule, decision.reasons
    assert decision.action == ("retrain" if rule == "urgent" else "wait")
    assert any("it is waited for until" in reason for reason in decision.reasons) is (rule == "under_way")


def test_what_is_urgent_waits_no_longer_than_what_is_not():
    urgent = MonitoringInput(performance=performance(urgent=True))
    assert decide(urgent, History(decisions=(logged(0.1),)), cooldown="3h").rule == "under_way"
    assert decide(urgent, History(decisions=(logged(0.1),)), cooldown="2h").action == "retrain"
    assert decide(urgent, History(decisions=(logged(0),)), cooldown="0d").action == "retrain"


def test_a_training_for_an_earlier_champion_is_not_waited_for():
    urgent = MonitoringInput(performance=performance(urgent=True))
    other = replace(logged(0.1), evidence={"champion_version": "3"})
    assert decide(urgent, History(decisions=(other,))).rule == "urgent"
    mine = replace(other, evidence={"champion_version": "4"})
    assert decide(urgent, History(decisions=(mine,))).rule == "under_way"
    other_one = challenge(0.05, answers=("another decision",))
    assert decide(urgent, History(decisions=(mine,), challenges=(other_one,))).rule == "under_way"


def test_where_a_person_approves_the_training_is_under_way_until_they_answered():
    model = spec(monitoring=ONE)
    approval = model.promotion.approval.model_copy(update={"tiers": ("high",), "timeout": 3 * DAY})
    promotion = model.promotion.model_copy(update={"approval": approval})
    asking = model.model_copy(update={"risk_tier": "high", "promotion": promotion})
    asked = logged(2, signal="decay")
    accepted = challenge(2, Verdict.ACCEPT, answers=(asked.key,))
    history = History(decisions=(asked,), challenges=(accepted,))
    urgent = MonitoringInput(performance=performance(urgent=True))
    declined = replace(history, challenges=(replace(accepted, declined=True),))
    held = decide_retraining(asking, CHAMPION, urgent, declined, NOW)
    assert (held.rule, "retraining did not help (1 refused" in held.reasons[0]) == ("backoff", True)
    assert decide_retraining(model, CHAMPION, urgent, history, NOW).rule == "urgent"
    assert decide_retraining(asking, CHAMPION, urgent, history, NOW).rule == "under_way"


def test_urgent_decay_is_within_the_budget_and_ends_with_the_owner():
    urgent = MonitoringInput(performance=performance(urgent=True))
    spent = History(decisions=tuple(logged(n, number=n) for n in (3, 2, 1)))
    assert decide(urgent, spent, budget={"runs": 3}).rule == "budget"
    assert decide(urgent, answers(*(challenge(n) for n in (1, 2, 3, 4, 5)))).action == "escalate"
    assert decide(replace(urgent, new_rows=1), min_new_rows=2).rule == "min_new_rows"


def test_a_backfilled_instant_waits_for_what_was_decided_after_it():
    after = tuple(logged(-n, number=n) for n in (3, 2))
    decision = decide(history=History(decisions=after), cooldown="0d", budget={"runs": 2, "per": "4d"})
    assert (decision.action, decision.rule) == ("wait", "cooldown")
    assert "the budget is 2 per 4d" in decision.reasons[1]
    assert len(decide(history=History(decisions=after), cooldown="0d", budget={"runs": 2, "per": "3d"}).reasons) == 1


def test_rows_that_nobody_counted_are_none():
    decision = decide(min_new_rows=1)
    assert (decision.rule, decision.action) == ("min_new_rows", "wait")
    assert "not counted" in decision.reasons[0]


@given(days=st.lists(st.integers(0, 120), max_size=60), runs=st.integers(1, 5), per=st.integers(1, 40))
@settings(deadline=None)
def test_no_period_ever_has_more_retrainings_than_the_budget_in_whatever_order_they_are_asked(days, runs, per):
    decisions: list[RetrainDecision] = []
    for day in days:
        at = NOW + day * DAY
        decision = decide(
            MonitoringInput(drift=drift(at=at)),
            History(decisions=tuple(reversed(decisions))),
            as_of=at,
            cooldown="0d",
            budget={"runs": runs, "per": f"{per}d"},
        )
        if decision.action == "retrain" and decision.number is None:
            decisions.append(replace(decision, number=len(decisions) + 1))
    made = sorted(one.as_of for one in decisions)
    assert all(sum(begin <= at < begin + per * DAY for at in made) <= runs for begin in made)


# people and events ---------------------------------------------------------------------------------------------------


def test_a_person_is_bound_by_nothing_but_the_data_and_retirement():
    hot = champion(as_of=NOW - DAY)
    history = History(
        challenges=tuple(challenge(n) for n in (1, 2, 3)),
        decisions=tuple(logged(n, number=9 - n) for n in (2, 3, 4, 5)),
    )
    seen = MonitoringInput(drift=drift("ok", hints=(FAULT,)), asked=(ask(),))
    decision = decide(seen, history, who=hot)
    assert (decision.action, decision.signal, decision.rule, decision.urgent) == ("retrain", "manual", "signal", False)
    assert decision.reasons[0] == "ada asks"
    assert "A person asks, and need not wait" in decision.reasons[1]
    assert decide(replace(seen, drift=drift("invalid")), history, who=hot).rule == "invalid_data"
    assert decide(replace(seen, performance=performance("invalid")), history, who=hot).rule == "invalid_data"
    assert decide(replace(seen, retired="replaced"), history, who=hot).rule == "retired"
    assert decide(replace(seen, new_rows=3), history, who=hot, min_new_rows=4).rule == "min_new_rows"


def test_an_event_need_not_show_twice_and_is_bound_by_all_limits():
    asked = MonitoringInput(drift=drift("ok"), asked=(ask("event"),))
    assert decide(asked).action == "retrain"
    assert decide(asked, who=champion(as_of=NOW - DAY)).rule == "cooldown"
    assert decide(replace(asked, drift=drift(hints=(FAULT,)))).rule == "pipeline_fault"
    assert decide(asked, answers(challenge(30)), escalate_after=1).rule == "escalate_after"
    spent = History(decisions=(logged(20),))
    assert decide(asked, spent, budget={"runs": 1}).rule == "budget"


def test_a_retired_specification_retrains_nothing():
    from airflow_mlops.spec.model import ModelSpec

    retired = ModelSpec.model_validate({**spec().model_dump(mode="json", exclude_unset=True), "retired": "replaced"})
    decision = decide_retraining(retired, CHAMPION, MonitoringInput(asked=(ask(),)), History(), NOW)
    assert (decision.action, decision.rule) == ("wait", "retired")


# episodes ------------------------------------------------------------------------------------------------------------


def month(make_seen, days=30, history=None, **rules) -> list[RetrainDecision]:
    """Decide once a day, each day with the days before; what is not `wait` is logged."""
    decided: list[RetrainDecision] = []
    known = history or History()
    for day in range(days):
        at = NOW + day * DAY
        seen = make_seen(day, at)
        decision = decide(seen, known, as_of=at, **rules)
        decided.append(decision)
        if decision.action != "wait":
            numbered = replace(decision, number=len(known.decisions) + 1)
            known = replace(known, decisions=(numbered, *known.decisions))
        known = replace(
            known,
            drift=((seen.drift, *known.drift) if seen.drift else known.drift)[:10],
            performance=((seen.performance, *known.performance) if seen.performance else known.performance)[:10],
        )
    return decided


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("invalid_data", {"verdict": "invalid"}),
        ("pipeline_fault", {"hints": (FAULT,)}),
    ],
)
def test_a_block_is_said_once_for_each_episode(rule, bad):
    """Bad on days 3 to 17 (with a gap of too few rows) and 20 to 29; the days between are good."""

    def seen(day, at):
        if 8 <= day < 10:
            return MonitoringInput(drift=drift("unknown", at))
        return MonitoringInput(
            drift=drift(**{"at": at, "verdict": "ok", **(bad if 3 <= day < 18 or day >= 20 else {})})
        )

    decided = month(seen)
    assert [day for day, decision in enumerate(decided) if decision.action == "block"] == [3, 20]
    assert all(decision.rule == rule for day, decision in enumerate(decided) if 4 <= day < 8 or day >= 20)
    again = decided[5]
    assert again.action == "wait"
    assert again.plan == PLAYBOOK[rule]
    assert "The owner was told as of 2013-06-12" in again.reasons[1]


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


@pytest.mark.parametrize("runs", [1, 2, 4])
@pytest.mark.parametrize("urgent", [True, False])
def test_a_month_in_which_every_window_drifts_or_decays_makes_what_the_budget_allows(runs, urgent):
    def seen(_, at):
        return MonitoringInput(drift=drift(at=at), performance=performance(at=at, urgent=urgent))

    decided = month(seen, budget={"runs": runs, "per": "30d"}, cooldown="0d")
    assert sum(decision.action == "retrain" for decision in decided) == runs
    calm = month(seen, budget={"runs": runs, "per": "30d"}, cooldown="14d")
    expected = runs if urgent else min(runs, 3)
    assert sum(decision.action == "retrain" for decision in calm) == expected


# a lost event --------------------------------------------------------------------------------------------------------


def test_a_decision_that_nobody_took_up_is_found_again():
    lost = logged(3)
    known = History(decisions=(lost,), claimed=frozenset())
    now = decide(history=known)
    assert now.rule == "cooldown"
    assert unanswered(spec(), CHAMPION, known, now) == lost
    for other in (
        replace(known, claimed=None),
        replace(known, claimed=frozenset({lost.key})),
        replace(known, challenges=(challenge(2, None),)),
        replace(known, decisions=(replace(lost, as_of=NOW - 31 * DAY),)),
        replace(known, decisions=(replace(lost, as_of=NOW),)),
        replace(known, decisions=(replace(lost, evidence={"champion_version": "3"}),)),
        replace(known, decisions=(logged(3, "block", "invalid_data"),)),
    ):
        assert unanswered(spec(), CHAMPION, other, now) is None
    for seen in (
        MonitoringInput(drift=drift("invalid")),
        MonitoringInput(drift=drift(hints=(FAULT,))),
        MonitoringInput(retired="replaced"),
    ):
        assert unanswered(spec(), CHAMPION, known, decide(seen, known)) is None


# properties ----------------------------------------------------------------------------------------------------------


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


# new rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [1.0, "late", True])
def test_new_rows_are_labelled_mature_now_and_not_known_to_the_champion(tmp_path, label):
    """With a delay of one day, rows of one a day: the champion knew events up to as-of less one day, inclusive."""
    times = [TRAINED + day * DAY for day in range(-5, 10)]
    labels = [None if time == TRAINED + 2 * DAY else label for time in times]
    pd.DataFrame({"t": times, "y": pd.Series(labels, dtype=object)}).to_parquet(tmp_path / "a.parquet")
    model = spec("1d")
    store = FileStore(str(tmp_path))

    def count(days: int) -> int:
        return count_new_rows(model, CHAMPION, store, TRAINED + days * DAY)

    assert [count(days) for days in (-3, 0, 1, 2, 3, 4, 10, 100)] == [0, 0, 1, 2, 2, 3, 9, 9]


def test_a_source_without_the_label_is_refused(tmp_path):
    pd.DataFrame({"t": [TRAINED + DAY]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError):
        count_new_rows(spec(), CHAMPION, FileStore(str(tmp_path)), NOW)
