"""Verdicts that do not follow from their rules are refused; those that the gate makes always follow."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.gate.decide import decide
from airflow_mlops.core.gate.derive import require_consistent, require_derived
from airflow_mlops.core.records.decision import GateDecision, RuleResult, Verdict
from airflow_mlops.spec.problems import ReasonCode
from tests.support.builders import make_candidate, make_decision, make_evaluation, make_rule_result, make_spec

CANDIDATE = make_candidate()
CODE = ReasonCode.METRIC_OUT_OF_BOUNDS
LOW = make_rule_result("absolute", Verdict.REJECT, value=0.5, bound=">= 0.99", metric="roc_auc", code=CODE)
BETTER = make_rule_result("champion", Verdict.ACCEPT, lower=0.01, upper=0.03)
WORSE = replace(BETTER, verdict=Verdict.REJECT, lower=-0.03, upper=-0.01, value=-0.02, code=CODE)


def of(*rules: RuleResult, verdict: Verdict = Verdict.ACCEPT, **changes: Any) -> GateDecision:
    return replace(make_decision(CANDIDATE, verdict, rules=rules), **changes)


def test_what_follows_is_returned() -> None:
    for decision in (of(BETTER), of(BETTER, LOW, verdict=Verdict.REJECT), of(BETTER, replace(LOW, enforced=False))):
        assert require_consistent(decision) is decision


FORGED: dict[str, tuple[GateDecision, str]] = {
    "the verdict alone": (of(BETTER, LOW), "its rules give reject: absolute"),
    "a rule's verdict, not its code": (of(BETTER, replace(LOW, verdict=Verdict.ACCEPT)), "with the code metric_out"),
    "a rule's verdict and code": (
        of(BETTER, replace(LOW, verdict=Verdict.ACCEPT, code=None)),
        "accepts 0.5, where its bound is >= 0.99",
    ),
    "the comparison": (of(replace(WORSE, verdict=Verdict.ACCEPT, code=None)), r"accepts -0\.03, where its bound"),
    "no number": (of(replace(BETTER, lower=None)), "its rules give reject"),
    "a number that is none": (of(replace(BETTER, value=math.nan)), "its rules give reject"),
    "would": (of(BETTER, replace(LOW, enforced=False), would=Verdict.ACCEPT), "all its rules together give reject"),
    "inconclusive": (of(replace(BETTER, verdict=Verdict.INCONCLUSIVE, code=CODE)), "its rules give inconclusive"),
    "another run's evaluation": (replace(of(BETTER), run_id="other"), "it is about run_id other"),
    "another champion": (replace(of(BETTER), champion_version=7), "it is about champion_version 7"),
    "a reject that should have been an accept": (of(BETTER, verdict=Verdict.REJECT), "its rules give accept"),
}


@pytest.mark.parametrize("how", FORGED)
def test_a_verdict_against_its_rules_is_refused(how: str) -> None:
    decision, said = FORGED[how]
    with pytest.raises(RecordError, match=said) as error:
        require_consistent(decision)
    assert [problem.code for problem in error.value.problems] == [ReasonCode.DECISION_CONTRADICTORY]


def test_a_bound_is_written_with_six_digits_and_a_value_at_it_is_no_contradiction() -> None:
    at = 0.123456789
    shown = f">= {at:g}"
    assert float(shown[3:]) > at
    require_consistent(of(BETTER, replace(LOW, verdict=Verdict.ACCEPT, code=None, value=at, bound=shown)))


SPEC = make_spec(gate={"absolute": [{"metric": "roc_auc", "min": 0.99}], "serving": {"mode": "off"}})
WAYS: dict[str, Callable[[GateDecision], tuple[RuleResult, ...]]] = {
    "the rule is taken out": lambda made: tuple(r for r in made.evaluation.rules if r.rule != "absolute"),
    "the rule is marked as recorded only": lambda made: tuple(
        replace(r, enforced=r.rule != "absolute") for r in made.evaluation.rules
    ),
    "every rule is taken out": lambda made: (),
    "all but the comparison is taken out": lambda made: (BETTER,),
}


def full(spec: Any = SPEC) -> GateDecision:
    """A decision with every result that is owed, as the gate makes it: owed results that are missing reject."""
    made = decide(spec, CANDIDATE, make_evaluation(CANDIDATE, rules=(BETTER,)), now=CANDIDATE.as_of)
    rules = tuple(
        replace(rule, verdict=Verdict.ACCEPT, code=None, value=1.0, bound="x", lower=0.5, upper=1.5)
        for rule in made.evaluation.rules
    )
    return decide(spec, CANDIDATE, make_evaluation(CANDIDATE, rules=rules), now=CANDIDATE.as_of)


def test_a_decision_of_the_gate_is_made_again_as_it_was() -> None:
    made = full()
    assert made.verdict is Verdict.ACCEPT
    require_consistent(made)
    require_derived(made, CANDIDATE, [SPEC])
    # The specification was changed since: the one that the run was trained by gives it.
    stricter = make_spec(gate={"absolute": [{"metric": "brier", "max": 0.1}], "serving": {"mode": "off"}})
    require_derived(made, CANDIDATE, [stricter, SPEC])


@pytest.mark.parametrize("way", WAYS)
def test_what_the_specification_owes_cannot_be_left_out(way: str) -> None:
    made = full()
    failed = tuple(
        replace(rule, verdict=Verdict.REJECT, code=CODE) if rule.rule == "absolute" else rule
        for rule in made.evaluation.rules
    )
    honest = decide(SPEC, CANDIDATE, replace(made.evaluation, rules=failed), now=CANDIDATE.as_of)
    assert honest.verdict is Verdict.REJECT
    rules = WAYS[way](honest)
    forged = replace(honest, verdict=Verdict.ACCEPT, would=None, evaluation=replace(honest.evaluation, rules=rules))
    require_consistent(forged)  # by itself it tells a whole story
    with pytest.raises(RecordError) as error:
        require_derived(forged, CANDIDATE, [SPEC, SPEC])
    assert [problem.code for problem in error.value.problems] == [ReasonCode.DECISION_CONTRADICTORY]


RESULTS = st.builds(
    lambda verdict, value: make_rule_result(
        "slices", verdict, value=value, code=None if verdict is Verdict.ACCEPT else CODE
    ),
    st.sampled_from(list(Verdict)),
    st.sampled_from([0.1, None, math.nan]),
)


@settings(max_examples=150)
@given(rules=st.lists(RESULTS, max_size=5), mode=st.sampled_from(["enforce", "dry_run", "off"]))
def test_whatever_the_gate_decides_follows_from_its_rules(rules: list[RuleResult], mode: str) -> None:
    spec = make_spec(gate={"mode": mode})
    made = decide(spec, CANDIDATE, make_evaluation(CANDIDATE, rules=tuple(rules)), now=CANDIDATE.as_of)
    require_consistent(made)
    require_derived(made, CANDIDATE, [spec])
    others = [verdict for verdict in Verdict if verdict is not made.verdict]
    assert len(others) == 2
    for other in others:
        with pytest.raises(RecordError):
            require_consistent(replace(made, verdict=other))
