"""The referee's rules, on facts made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks.zoo.facts import Facts, Look, Step
from benchmarks.zoo.oracle import mean_loss, served_versions
from benchmarks.zoo.referee import Finding, judge
from benchmarks.zoo.table import make_table, score_of
from benchmarks.zoo.truth import Truth

WEEKS = 52
STABLE = Truth(kind="stable", what="")
SUDDEN = Truth(kind="sudden", what="", learn=((150, 227),), change=150, most_retrainings=5)
FAULT = Truth(kind="fault", what="", fault=(156, 170))
OK = {"drift": "ok", "performance": "ok"}


def step(week: int, **changes: Any) -> Step:
    usual = {"action": "wait", "rule": "none", "reason": "", "retrained": False, "promoted": False}
    return Step(**{"day": 7.0 * week, "rows": 100, "loss": 1.0, "fresh": 1.0, **usual, **changes})


def facts(
    steps: Mapping[int, Mapping[str, Any]] | None = None,
    looks: Mapping[int, Mapping[str, Any]] | None = None,
    **changes: Any,
) -> Facts:
    """A year in which nothing happens, but in the weeks that are named."""
    weeks, seen = steps or {}, looks or {}
    made = tuple(step(week, **weeks.get(week, {})) for week in range(WEEKS))
    watched = tuple(Look(day=7.0 * week, **{**OK, **seen.get(week, {})}) for week in range(1, WEEKS))
    return Facts(**{"name": "one", "steps": made, "looks": watched, "oracle": 1.0, "losses": {"never": 2.0}, **changes})


def retrained(*weeks: int, promoted: bool = False) -> dict[int, dict[str, Any]]:
    return {week: {"retrained": True, "promoted": promoted, "action": "retrain", "rule": "decay"} for week in weeks}


def marked(found: Finding) -> tuple[str, int, int]:
    return found.mark, len(found.severe), len(found.mild)


def test_nothing_done_where_nothing_happens_is_right() -> None:
    found = judge(facts(), STABLE)
    assert marked(found) == ("RIGHT", 0, 0)
    assert (found.regret, found.gap_left, found.false_alarms, found.delay) == (0.0, None, 0, None)


def test_a_crash_is_wrong() -> None:
    found = judge(Facts(name="one", crash="KeyError: 'x'"), STABLE)
    assert marked(found) == ("WRONG", 1, 0)
    assert "KeyError" in found.severe[0]


def test_a_first_model_that_is_refused_is_wrong() -> None:
    found = judge(facts(first_gate="baseline_not_beaten", scheduled=51, accepted=2), STABLE)
    assert marked(found) == ("WRONG", 1, 0)
    assert "49 of 51" in found.severe[0]


@pytest.mark.parametrize(("count", "mark"), [(0, "RIGHT"), (1, "WEAK"), (2, "WEAK"), (3, "WRONG")])
def test_needless_retrainings_of_a_stable_stream(count: int, mark: str) -> None:
    found = judge(facts(retrained(*range(10, 10 + count))), STABLE)
    assert found.mark == mark
    assert found.false_alarms == found.retrainings == count
    harmless = judge(facts(retrained(*range(10, 12 + count))), Truth(kind="harmless", what="", most_retrainings=2))
    assert harmless.mark == mark


@pytest.mark.parametrize(("own", "mark"), [(1.009, "RIGHT"), (1.02, "WEAK"), (1.04, "WRONG")])
def test_regret_of_a_stable_stream(own: float, mark: str) -> None:
    found = judge(facts({week: {"loss": own} for week in range(WEEKS)}), STABLE)
    assert found.mark == mark
    assert found.regret == pytest.approx(own - 1)


@pytest.mark.parametrize("what", ["drift", "performance"])
@pytest.mark.parametrize(("weeks", "mark"), [(8, "RIGHT"), (15, "WEAK"), (40, "WRONG")])
def test_verdicts_that_stay_unknown(what: str, weeks: int, mark: str) -> None:
    assert judge(facts(looks={week: {what: "unknown"} for week in range(1, weeks + 1)}), STABLE).mark == mark


def test_performance_may_be_unknown_for_the_label_delay_after_each_promotion() -> None:
    unknown = facts(looks={week: {"performance": "unknown"} for week in range(1, 15)})
    assert judge(unknown, STABLE).mark == "WEAK"
    assert judge(unknown, Truth(kind="stable", what="", label_delay=30.0)).mark == "RIGHT"


@pytest.mark.parametrize(("count", "mark"), [(1, "WEAK"), (2, "WEAK"), (3, "WRONG")])
def test_sound_windows_that_were_blocked(count: int, mark: str) -> None:
    weeks = range(5, 5 + count)
    found = judge(facts({w: {"rule": "pipeline_fault", "action": "block"} for w in weeks}), STABLE)
    assert found.mark == mark
    assert found.blocked == count


def test_an_escalation_is_a_mild_fault_but_where_it_may_be() -> None:
    told = facts({9: {"action": "escalate"}})
    assert marked(judge(told, STABLE)) == ("WEAK", 0, 1)
    assert judge(told, Truth(kind="stable", what="", escalation_ok=True)).mark == "RIGHT"


def test_a_sudden_change_that_is_learned_in_time_is_right() -> None:
    found = judge(facts(retrained(23, 27, promoted=True)), SUDDEN)
    assert marked(found) == ("RIGHT", 0, 0)
    assert (found.delay, found.false_alarms, found.gap_left) == (11.0, 0, 0.0)


def test_a_sudden_change_that_is_learned_late_or_never() -> None:
    late = judge(facts(retrained(25, promoted=True)), SUDDEN)
    assert late.mild == ("retraining only 25 days after the change",)
    never = judge(facts(), SUDDEN)
    assert never.severe == ("never retrained",)


@pytest.mark.parametrize(("own", "mark"), [(1.05, "RIGHT"), (1.1, "WEAK"), (1.3, "WRONG")])
def test_regret_where_something_changes(own: float, mark: str) -> None:
    steps = {week: {"loss": own, **retrained(23, promoted=True).get(week, {})} for week in range(WEEKS)}
    assert judge(facts(steps), SUDDEN).mark == mark


@pytest.mark.parametrize(("never", "mark"), [(1.2, "RIGHT"), (1.1, "WEAK"), (1.06, "WRONG"), (1.004, "RIGHT")])
def test_what_is_lost_of_the_oracles_gain(never: float, mark: str) -> None:
    steps = {week: {"loss": 1.05, **retrained(23, promoted=True).get(week, {})} for week in range(WEEKS)}
    assert judge(facts(steps, losses={"never": never}), SUDDEN).mark == mark


@pytest.mark.parametrize(("run", "mark"), [(3, "RIGHT"), (4, "WEAK"), (13, "WRONG")])
def test_weeks_on_end_of_silence(run: int, mark: str) -> None:
    steps = retrained(23, promoted=True) | {week: {"fresh": 0.9} for week in range(30, 30 + run)}
    assert judge(facts(steps), SUDDEN).mark == mark
    spoken = steps | {week: {"fresh": 0.9, "rule": "cooldown"} for week in range(30, 30 + run)}
    assert judge(facts(spoken), SUDDEN).mark == "RIGHT"


def test_retrainings_before_a_change_are_false_alarms() -> None:
    few = judge(facts(retrained(5, 23, promoted=True)), SUDDEN)
    assert (few.mark, few.false_alarms) == ("WEAK", 1)
    many = judge(facts(retrained(5, 8, 11, 23, promoted=True)), SUDDEN)
    assert (many.mark, many.false_alarms) == ("WRONG", 3)


def test_points_that_were_lost_before_a_promotion() -> None:
    truth = Truth(kind="decay", what="", learn=((100, 280),), change=100, most_retrainings=9, point_loss_day=140)
    assert judge(facts(retrained(20, promoted=True)), truth).mark == "RIGHT"
    assert judge(facts(retrained(22, promoted=True)), truth).mild == (
        "5 points were lost on day 140, promoted on day 154",
    )
    assert judge(facts(retrained(20)), truth).mild == ("5 points were lost on day 140, promoted on no day",)


def test_a_fault_that_is_called_one_at_once_is_right() -> None:
    found = judge(facts({23: {"rule": "pipeline_fault"}}, {23: {"faults": ("unit_change:amount",)}}), FAULT)
    assert marked(found) == ("RIGHT", 0, 0)
    assert found.delay == 5.0
    assert judge(facts(looks={23: {"drift": "invalid"}}), FAULT).mark == "RIGHT"


@pytest.mark.parametrize(
    ("steps", "looks", "words"),
    [
        ({}, {}, "the fault was never called one"),
        ({}, {24: {"faults": ("a:b",)}}, "called a fault only 12 days after it began"),
        ({}, {23: {"faults": ("a:b",)}, 26: {"faults": ("a:b",)}}, "still blocked on day 182"),
        (retrained(24), {23: {"faults": ("a:b",)}}, "retrained for the fault on day 168"),
        (
            retrained(30, promoted=True),
            {23: {"faults": ("a:b",)}},
            "a model that was trained or judged on broken rows was promoted on day 210",
        ),
    ],
)
def test_what_is_wrong_of_a_fault(steps: dict[int, Any], looks: dict[int, Any], words: str) -> None:
    found = judge(facts(steps, looks), FAULT)
    assert marked(found) == ("WRONG", 1, 0)
    assert found.severe == (words,)


def test_retrainings_on_sound_rows_of_a_stream_with_a_fault() -> None:
    called = {23: {"faults": ("a:b",)}}
    assert judge(facts(retrained(5), called), FAULT).mark == "WEAK"
    assert judge(facts(retrained(5, 8, 40), called), FAULT).mark == "WRONG"


def test_the_oracle_learns_at_every_step_of_its_spans() -> None:
    assert served_versions([0, 7, 14, 21, 28, 35], [(7, 14), (28, 35)], first=2) == [3, 3, 5, 5, 5, 8]
    assert mean_loss([(1, None)]) is None


def test_facts_are_read_as_they_were_written() -> None:
    made = facts(retrained(3), {5: {"faults": ("a:b",)}}, seconds=1.5)
    assert Facts.from_text(made.to_text()) == made


def test_the_table_has_a_row_for_each_stream_and_the_score() -> None:
    findings = [judge(facts(), STABLE), judge(facts(), SUDDEN), judge(Facts(name="two", crash="no"), STABLE)]
    score = score_of(findings)
    assert [score[mark] for mark in ("RIGHT", "WEAK", "WRONG")] == [1, 0, 2]
    assert (score["mean_regret"], score["gap_streams"]) == (0.0, 1)
    table = make_table("Zoo", findings)
    assert len(table.rows) == 3
    assert "RIGHT 1, WEAK 0, WRONG 2 of 3: 33% right." in table.markdown()
