"""Every rule alone and with every other, in the order that is documented; limits, and who is bound by them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.performance import BlockExcess
from airflow_mlops.core.records.retraining import Challenge, History, MonitoringInput, RetrainDecision
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.retraining.decide import decide_retraining
from airflow_mlops.core.retraining.rules import RULES
from airflow_mlops.spec.retraining import PLAYBOOK
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
from tests.support.retraining_decisions import HOUR, ONE, TWO, answers, decide, month

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
    assert len(RULES) == len(HEARD) + len(ALONE)


ALONE = {"unwatched", "young_change"}
"""Rules that are tested by themselves, below: they are about cases that these parts do not make."""


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


@pytest.mark.parametrize("verdict", ["ok", "unknown"])
def test_nothing_but_a_signal_retrains(verdict):
    decision = decide(MonitoringInput(drift=drift(verdict), performance=performance("unknown")), as_of=NOW + 1000 * DAY)
    assert (decision.action, decision.rule) == ("wait", "none")
    assert any(verdict in reason or "no drift" in reason for reason in decision.reasons)


def test_nothing_seen_is_nothing_to_decide():
    assert decide(MonitoringInput()).rule == "none"
    assert decide(MonitoringInput()).key == "m/v4/2013-06-09T00:00:00+00:00"


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


@pytest.mark.parametrize(
    ("outcomes", "action"),
    [
        (None, "retrain"),
        (performance("ok"), "wait"),
        (performance("unknown"), "retrain"),
        (performance("unknown", estimated="ok"), "retrain"),
        (performance("unknown", estimated="unknown"), "retrain"),
        (performance("unknown", estimated="decay"), "retrain"),
        (performance("ok", estimated="decay"), "wait"),
        (performance("decay"), "retrain"),
    ],
)
@pytest.mark.parametrize("what", [{}, {"verdict": "ok", "prediction": "drift"}])
def test_drift_is_watched_while_outcomes_and_not_an_estimate_say_that_all_is_well(outcomes, action, what):
    decision = decide(MonitoringInput(drift=drift(**what), performance=outcomes))
    assert decision.action == action
    assert (decision.rule == "watch") == (action == "wait")


def test_another_signal_beside_drift_is_not_only_watched():
    decision = decide(MonitoringInput(drift=drift(), performance=performance("ok"), new_rows=10), on_volume=10)
    assert (decision.action, decision.signal) == ("retrain", "input_drift")


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
    assert bool(made) == bool(days)  # the first is within any budget
    assert all(sum(begin <= at < begin + per * DAY for at in made) <= runs for begin in made)


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


def unknown(weeks: int, **changes):
    """So many weekly reports of both kinds, newest first, of which nothing could be said."""
    times = [NOW - 7 * number * DAY for number in range(weeks)]
    return [drift("unknown", at, rows=20, **changes) for at in times], [performance("unknown", at) for at in times]


def test_what_nobody_could_judge_for_weeks_is_told_once_with_what_is_lacking():
    drifts, performances = unknown(6)
    seen = MonitoringInput(drift=drifts[0], performance=performances[0])
    history = History(drift=tuple(drifts[1:]), performance=tuple(performances[1:]))
    first = decide(seen, history)
    assert (first.action, first.rule, first.plan) == ("escalate", "unwatched", PLAYBOOK["unwatched"])
    assert "has 20 rows and needs" in first.reasons[0]
    tomorrow = NOW + DAY
    seen = MonitoringInput(drift=drift("unknown", tomorrow, rows=20), performance=performance("unknown", tomorrow))
    known = History(decisions=(replace(first, number=1),), drift=tuple(drifts), performance=tuple(performances))
    again = decide(seen, known, as_of=tomorrow)
    assert (again.action, again.rule) == ("wait", "unwatched")


@pytest.mark.parametrize("weeks", [1, 2])
def test_a_few_reports_of_nothing_are_no_matter(weeks):
    drifts, performances = unknown(weeks)
    history = History(drift=tuple(drifts[1:]), performance=tuple(performances[1:]))
    assert decide(MonitoringInput(drift=drifts[0], performance=performances[0]), history).rule == "none"


def test_one_report_that_says_something_is_enough_to_be_watched():
    drifts, performances = unknown(6)
    history = History(drift=tuple(drifts[1:]), performance=(*performances[1:5], replace(performances[5], verdict="ok")))
    assert decide(MonitoringInput(drift=drifts[0], performance=performances[0]), history).rule == "none"


CHANGED = NOW - 10 * DAY


def of_change(rows: int, changed=CHANGED, verdict="decay", **changes):
    """A report of a champion for which something changed, with so many rows a day since."""
    blocks = tuple(BlockExcess(start=changed + number * DAY, rows=rows, excess=0.3) for number in range(9))
    return performance(verdict, changed=changed, blocks=blocks, block_seconds=86_400.0, **changes)


def test_too_few_rows_since_a_change_wait_for_more():
    young = decide(MonitoringInput(performance=of_change(60)))
    assert (young.action, young.rule) == ("wait", "young_change")
    assert "540 have an outcome; 600 are needed" in " ".join(young.reasons)
    enough = decide(MonitoringInput(performance=of_change(70)))
    assert (enough.action, enough.rule, enough.changed) == ("retrain", "signal", CHANGED)


def test_a_refused_attempt_at_a_change_is_repeated_with_twice_the_rows():
    rules = {"cooldown": "1d"}
    urgent = of_change(100, urgent=True)
    assert decide(MonitoringInput(performance=urgent), answers(challenge(7)), **rules).action == "retrain"
    waits = decide(MonitoringInput(performance=urgent), answers(challenge(4)), **rules)
    assert (waits.action, waits.rule) == ("wait", "backoff")
    assert "waits for twice the rows" in " ".join(waits.reasons)


def test_a_person_need_not_wait_for_rows_of_a_change():
    asked = MonitoringInput(performance=of_change(1), asked=(ask("manual"),))
    assert decide(asked).action == "retrain"


def cured(known: int, learned: int, whole: bool = False):
    """A champion that learned from so many days since a change, and a report by which so many are known."""
    changed = NOW - known * DAY
    candidate = CHAMPION.candidate
    end = changed + learned * DAY
    start = changed if not whole else changed - 30 * DAY
    young = replace(
        candidate,
        as_of=end,
        train=Window(start=start, end=end - DAY / 2),
        holdout=Window(start=end - DAY / 2, end=end),
        changed=changed,
    )
    return replace(CHAMPION, candidate=young), of_change(100, changed, "ok")


@pytest.mark.parametrize(
    ("known", "learned", "asks"),
    [(5, 3, False), (6, 3, True), (100, 60, True), (100, 95, False), (130, 95, True), (50, 30, False)],
)
def test_a_champion_that_cured_a_change_is_followed_up_with_twice_the_rows(known, learned, asks):
    who, report = cured(known, learned)
    decision = decide(MonitoringInput(performance=report), who=who, cooldown="0d")
    signal = next(one for one in decision.signals if one.kind == "follow_up")
    assert (signal.state == "on") is asks, signal.reason
    assert (decision.action == "retrain") is asks
    assert decision.changed == (NOW - known * DAY if asks else None)


def test_a_champion_that_was_trained_for_no_change_is_not_followed_up():
    decision = decide(MonitoringInput(performance=of_change(100, verdict="ok")))
    assert (decision.action, decision.rule) == ("wait", "none")
    assert "was not trained for a change" in " ".join(decision.reasons)


def test_follow_ups_end_with_one_of_a_whole_window_that_is_refused():
    who, report = cured(100, 60)
    asks = [
        decide(MonitoringInput(performance=report), History(challenges=(challenge(days),)), who=who, cooldown="0d")
        for days in (35, 5)  # refused when 65 and 95 days were known; a window has 90 by default
    ]
    signals = [next(one for one in found.signals if one.kind == "follow_up") for found in asks]
    assert [one.state for one in signals] == ["on", "off"]
    assert "a whole window was refused" in signals[1].reason


def test_a_follow_up_waits_for_the_cooldown_and_a_refused_one_is_no_failure_to_cure():
    who, report = cured(8, 3)
    assert decide(MonitoringInput(performance=report), who=who).rule == "cooldown"
    asked = logged(2, signal="follow_up", changed=NOW - 8 * DAY)
    refused = challenge(2, answers=(asked.key,))
    history = History(challenges=(refused,) * 3, decisions=(asked,))
    case = decide(MonitoringInput(performance=report), history, who=who, escalate_after=1, cooldown="0d")
    assert case.rule != "escalate_after"
    assert case.evidence["refused"] == "0"


def test_whoever_asks_for_a_training_it_is_told_of_the_change_that_the_champion_was_trained_for():
    """A challenger of a whole window would be held against a champion that has left the old rows behind."""
    who, report = cured(20, 12)
    drifts = tuple(drift(at=NOW - number * DAY) for number in range(3))
    seen = MonitoringInput(drift=drifts[0], performance=replace(report, verdict="unknown"))
    by_drift = decide(seen, History(drift=drifts[1:]), who=who, cooldown="0d")
    assert (by_drift.action, by_drift.signal, by_drift.changed) == ("retrain", "input_drift", NOW - 20 * DAY)
    asked = decide(MonitoringInput(performance=report, asked=(ask(),)), who=who)
    assert (asked.signal, asked.changed) == ("manual", NOW - 20 * DAY)


def test_a_change_of_which_too_few_rows_are_known_is_told_to_nobody():
    asked = MonitoringInput(performance=of_change(1), asked=(ask("manual"),))
    assert decide(asked).changed is None


@pytest.mark.parametrize(
    ("tried", "told", "counts"),
    [
        (5, None, False),  # a holdout of 14 days: it learned from nothing of the last 19
        (5, NOW - 10 * DAY, True),  # a third of five days is held out
        (12, NOW - 30 * DAY, False),  # refused before the change
    ],
)
def test_a_challenger_that_could_not_know_of_the_change_is_no_failure_to_cure_it(tried, told, counts):
    asked = logged(tried, signal="decay", changed=told)
    history = History(challenges=(challenge(tried, answers=(asked.key,)),), decisions=(asked,))
    decision = decide(MonitoringInput(performance=of_change(100)), history)
    assert decision.evidence["refused"] == str(int(counts))


@pytest.mark.parametrize(
    ("worse", "brought", "asks"),
    [(0.0, 0.01, False), (0.2, 0.01, True), (0.0, 0.06, True), (0.0, None, True)],
)
def test_a_whole_window_later_a_training_follows_where_the_change_seems_to_go_on(worse, brought, asks):
    """Where the last one brought little, and service is no worse than the holdout rows were, all is learned."""
    who, report = cured(130, 95)
    noise = [0.3 + 0.05 * (-1) ** number for number in range(28)]
    reference = tuple(BlockExcess(start=NOW, rows=100, excess=value) for value in noise[:14])
    blocks = tuple(replace(one, excess=value + worse) for one, value in zip(report.blocks, noise[14:], strict=False))
    known = replace(report, reference=reference, blocks=blocks, bound=0.05, displaced_gain=brought)
    young = replace(known, blocks=())
    assert (decide(MonitoringInput(performance=young), who=who, cooldown="0d").action == "retrain") is (brought != 0.01)
    decision = decide(MonitoringInput(performance=known), who=who, cooldown="0d")
    assert (decision.action == "retrain") is asks
    signal = next(one for one in decision.signals if one.kind == "follow_up")
    assert ("goes on" in signal.reason) is not asks


def test_a_follow_up_does_not_wait_for_the_champions_own_rows_where_outcomes_are_late():
    who, report = cured(30, 12)
    unknown_yet = replace(report, verdict="unknown", blocks=(), reference=())
    decision = decide(MonitoringInput(performance=unknown_yet), who=who, cooldown="0d")
    assert (decision.action, decision.signal, decision.changed) == ("retrain", "follow_up", NOW - 30 * DAY)
