"""The decision: the worst verdict that counts, nothing passes by being absent, and it is about this candidate."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.gate.decide import advice_of, decide, failed_closed
from airflow_mlops.core.gate.rules import RULES
from airflow_mlops.core.records.decision import GateDecision, RuleResult, Verdict
from airflow_mlops.core.records.wording import STOP
from airflow_mlops.spec.problems import ReasonCode
from tests.support.builders import AS_OF, make_candidate, make_evaluation, make_rule_result, make_spec

ACCEPT, INCONCLUSIVE, REJECT = Verdict.ACCEPT, Verdict.INCONCLUSIVE, Verdict.REJECT
CANDIDATE = make_candidate()
INTERVAL = {rule.name for rule in RULES if rule.interval}
STRANGER = "rule_of_another_version"
"""A rule that is not registered: it counts wherever the gate does."""


def passing(mode: str = "enforce") -> tuple[RuleResult, ...]:
    """Every result that the plainest specification asks for of a first model, each accepting."""
    owed = decided((), mode).evaluation.rules
    numbers = {"value": 0.02, "lower": 0.01, "upper": 0.03}
    return tuple(make_rule_result(one.rule, ACCEPT, metric=one.metric, **numbers) for one in owed)


def decided(rules: tuple[RuleResult, ...], mode: str = "enforce", **evaluation: Any) -> GateDecision:
    spec = make_spec(gate={"mode": mode})
    return decide(spec, CANDIDATE, make_evaluation(CANDIDATE, rules=rules, **evaluation), now=AS_OF)


def test_a_first_model_that_passes_all_it_is_asked_is_accepted() -> None:
    found = decided(passing())
    assert found.verdict is found.would is ACCEPT
    assert {rule.rule for rule in found.evaluation.rules} == {rule.rule for rule in passing()}
    assert (found.model, found.run_id, found.loop_run) == (CANDIDATE.model, CANDIDATE.run_id, CANDIDATE.loop_run)
    assert (found.model_uri, found.as_of, found.decided_at) == (CANDIDATE.model_uri, CANDIDATE.as_of, AS_OF)


def test_an_evaluation_without_any_rule_is_a_rejection_for_each_that_was_asked_for() -> None:
    found = decided(())
    assert found.verdict is REJECT
    assert len(found.evaluation.rules) >= 5
    assert {rule.code for rule in found.evaluation.rules} == {ReasonCode.NOT_EVALUATED}


@pytest.mark.parametrize("left_out", range(len(passing())))
def test_each_rule_that_is_left_out_rejects_by_its_name(left_out: int) -> None:
    rules = passing()
    gone = rules[left_out]
    found = decided(rules[:left_out] + rules[left_out + 1 :])
    assert found.verdict is REJECT
    assert [rule.rule for rule in found.evaluation.rules if rule.verdict is REJECT] == [gone.rule]
    assert "was not evaluated" in found.reasons[0]


def worst(verdicts: tuple[Verdict, ...]) -> Verdict:
    return REJECT if REJECT in verdicts else INCONCLUSIVE if INCONCLUSIVE in verdicts else ACCEPT


@pytest.mark.parametrize("verdicts", list(product(Verdict, repeat=3)), ids=str)
def test_the_worst_verdict_decides_and_its_reason_is_told_first(verdicts: tuple[Verdict, ...]) -> None:
    more = tuple(make_rule_result(STRANGER, each, reason=f"{n} {each}") for n, each in enumerate(verdicts))
    found = decided((*passing(), *more))
    assert found.verdict is found.would is worst(verdicts)
    if found.verdict is not ACCEPT:
        assert found.reasons[0].endswith(f" {found.verdict}")


@pytest.mark.parametrize("verdict", [INCONCLUSIVE, REJECT])
def test_a_dry_run_says_what_it_would_have_decided(verdict: Verdict) -> None:
    found = decided((*passing("dry_run"), make_rule_result(STRANGER, verdict, reason="because")), "dry_run")
    assert found.would is verdict
    assert not any(rule.enforced for rule in found.evaluation.rules if rule.rule == STRANGER)
    assert f"the verdict were {verdict.value}" in found.reasons[0]
    assert found.reasons[-1] == "recorded only: because"


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["value", "lower", "upper"])
@pytest.mark.parametrize("rule", [*sorted(INTERVAL), STRANGER])
def test_no_rule_accepts_on_a_number_that_is_missing_or_not_finite(rule: str, field: str, bad: float | None) -> None:
    numbers = {"value": 0.02, "lower": 0.01, "upper": 0.03, field: bad}
    found = failed_closed(make_rule_result(rule, ACCEPT, **numbers))
    may_be_missing = bad is None and field != "value" and rule not in INTERVAL
    assert found.verdict is (ACCEPT if may_be_missing else REJECT)
    assert found.code is (None if may_be_missing else ReasonCode.METRIC_NOT_FINITE)


@pytest.mark.parametrize("verdict", [INCONCLUSIVE, REJECT])
def test_a_result_that_does_not_accept_keeps_its_own_reason(verdict: Verdict) -> None:
    given = make_rule_result("champion", verdict, value=math.nan)
    assert failed_closed(given) is given


@pytest.mark.parametrize("other", [{"model": "n"}, {"run_id": "r2"}])
def test_an_evaluation_of_another_model_or_run_is_refused(other: dict[str, str]) -> None:
    with pytest.raises(RecordError, match="decision_mismatch"):
        decided(passing(), **other)


def test_advice_is_about_the_rules_that_made_the_verdict_and_a_stop_comes_first() -> None:
    plain = make_rule_result(STRANGER, REJECT, code=ReasonCode.CHAMPION_NOT_BEATEN)
    distrusted = make_rule_result(STRANGER, REJECT, code=ReasonCode.METRIC_NOT_FINITE)
    beside = make_rule_result(STRANGER, INCONCLUSIVE, code=ReasonCode.CHAMPION_INCONCLUSIVE)
    found = advice_of(decided((*passing(), plain, beside, distrusted, distrusted)))
    assert len(found) == 2
    assert [text.startswith(STOP) for text in found] == [True, False]
    assert advice_of(decided(passing())) == ()


def compared(rule: str, value: float, lower: float, **changes: Any) -> tuple[RuleResult, ...]:
    """All that the plainest specification asks for, with one comparison of these numbers."""
    asked = decided((), champion_version=6 if rule == "champion" else None).evaluation.rules
    numbers = {"value": 0.02, "lower": 0.01, "upper": 0.03}
    mine = {"value": value, "lower": lower, "upper": 1.0, "confidence": 0.95, "rows": 8120, **changes}
    return tuple(
        make_rule_result(one.rule, ACCEPT, metric=one.metric, **(mine if one.rule == rule else numbers))
        for one in asked
    )


METRICS: dict[str, Any] = {
    "candidate_metrics": {"log_loss": 0.412},
    "champion_metrics": {"log_loss": 0.431},
    "baseline_metrics": {"log_loss": 0.6},
}


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0.019, 0.0042), "better by 0.0190, at least 0.0042 with 95 % confidence"),
        ((0.019, -0.0042), "better by 0.0190, at most 0.0042 worse with 95 % confidence"),
        ((-0.001, -0.0042), "worse by 0.0010, at most 0.0042 worse with 95 % confidence"),
    ],
)
def test_an_acceptance_says_first_by_which_comparison(numbers: tuple[float, float], said: str) -> None:
    found = decided(compared("champion", *numbers), champion_version=6, **METRICS)
    assert found.verdict is ACCEPT
    where = "log loss 0.4120 against champion v6's 0.4310 on 8,120 rows of 14 days"
    assert found.reasons[0] == f"{where}: {said}"
    assert "champion" not in found.reasons[1:]  # its rule does not say it once more


def test_the_first_model_is_accepted_by_what_it_gains_on_the_constant() -> None:
    found = decided(compared("baseline", 0.188, 0.15), **METRICS)
    assert found.reasons[0] == (
        "log loss 0.4120 against the constant prediction's 0.6000 on 8,120 rows of 14 days: better by 0.1880, at least "
        "0.1500 with 95 % confidence; no champion served before"
    )
    assert not {"baseline", "first_model"} & set(found.reasons)


def test_a_refusal_and_a_gate_that_does_not_count_say_what_decided_instead() -> None:
    rules = (*compared("champion", 0.02, 0.01), make_rule_result(STRANGER, REJECT, reason="no"))
    refused = decided(rules, champion_version=6, **METRICS)
    assert refused.reasons[0] == "no"
    assert "champion" in refused.reasons  # in the words of its rule
    dry = decided(compared("champion", 0.02, 0.01), "dry_run", champion_version=6, **METRICS)
    assert dry.reasons[0].startswith("gate.mode is dry_run")
    assert dry.reasons[1].startswith("recorded only: log loss 0.4120 against champion v6's 0.4310")


def test_a_record_of_before_the_confidence_was_kept_says_the_bound() -> None:
    found = decided(compared("champion", 0.02, 0.01, confidence=None), champion_version=6, **METRICS)
    assert found.reasons[0].endswith("better by 0.0200, at least 0.0100 by the lower bound")
