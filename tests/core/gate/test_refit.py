"""A refitted model is decided about by the evidence of what was judged, and by what can be seen of it alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.gate.decide import decide
from airflow_mlops.core.gate.refit import decide_refit
from airflow_mlops.core.gate.rules import RULES
from airflow_mlops.core.records.candidate import RefitOf
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.evidence import ServingReport
from tests.support.builders import AS_OF, make_candidate, make_evaluation, make_rule_result, make_spec
from tests.support.core_loop import SERVED

SPEC = make_spec()
JUDGED = make_candidate(convergence={"warnings": []}, metrics={"log_loss": 0.41})
REFIT = replace(
    make_candidate(run_id="again", train_rows=1100, convergence={"warnings": []}),
    refit_of=RefitOf(run_id=JUDGED.run_id, model_uri=JUDGED.model_uri, train=JUDGED.train, train_rows=1000),
)


def judged(verdict: Verdict = Verdict.ACCEPT) -> GateDecision:
    numbers = {"value": 0.02, "lower": 0.01, "upper": 0.03, "confidence": 0.95}
    metrics = {"candidate_metrics": {"log_loss": 0.41}, "champion_metrics": {"log_loss": 0.43}, "champion_version": 6}
    owed = decide(SPEC, JUDGED, make_evaluation(JUDGED, **metrics), now=AS_OF).evaluation.rules
    rules = tuple(make_rule_result(one.rule, Verdict.ACCEPT, metric=one.metric, **numbers) for one in owed)
    if verdict is not Verdict.ACCEPT:
        rules = (*rules, make_rule_result("absolute", verdict))
    return decide(SPEC, JUDGED, make_evaluation(JUDGED, rules=rules, **metrics), now=AS_OF)


def decided(served: Any = SERVED, **changes: Any) -> GateDecision:
    return decide_refit(SPEC, replace(REFIT, **changes), judged(), 7, served=served, now=AS_OF)


def test_it_is_accepted_by_the_evidence_of_what_was_judged() -> None:
    found, before = decided(), judged()
    assert found.verdict is Verdict.ACCEPT
    assert (found.run_id, found.model_uri, found.champion_version) == (REFIT.run_id, REFIT.model_uri, 6)
    assert found.refit_of is not None
    assert (found.refit_of.version, found.refit_of.run_id, found.refit_of.decision) == (7, JUDGED.run_id, before.digest)
    assert found.evaluation.candidate_metrics == before.evaluation.candidate_metrics
    assert found.evaluation.window == before.evaluation.window
    assert found.reasons[0] == (
        "refitted on all 1,100 rows, judged as version 7: log loss 0.4100 against champion v6's 0.4300 on 700 rows of "
        "14 days: better by 0.0200, at least 0.0100 with 95 % confidence"
    )
    assert [rule.rule for rule in found.evaluation.rules].count("serving") == 1


def test_the_rules_that_look_at_the_stored_model_alone_are_asked_again_and_no_others() -> None:
    assert {rule.name for rule in RULES if rule.judge_model is not None} == {"convergence", "serving"}
    asked = {rule.rule: rule for rule in decided().evaluation.rules}
    before = {rule.rule: rule for rule in judged().evaluation.rules}
    assert asked.keys() == before.keys()
    assert {name for name in asked if asked[name] != before[name]} == {"convergence", "serving"}


@pytest.mark.parametrize(
    "served",
    [
        None,
        replace(SERVED, failure="it does not load"),
        replace(SERVED, max_difference=math.nan),
        replace(SERVED, max_difference=0.5),
    ],
)
def test_one_that_cannot_be_served_is_rejected(served: ServingReport | None) -> None:
    found = decided(served)
    assert found.verdict is Verdict.REJECT
    assert not found.reasons[0].startswith("refitted")
    assert decided(lambda: SERVED).verdict is Verdict.ACCEPT


@pytest.mark.parametrize("convergence", [{"warnings": ["ConvergenceWarning: no"]}, {}])
def test_one_whose_optimiser_did_not_converge_is_rejected(convergence: dict[str, Any]) -> None:
    assert decided(convergence=convergence).verdict is Verdict.REJECT


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.INCONCLUSIVE])
def test_the_recipe_must_have_been_accepted(verdict: Verdict) -> None:
    with pytest.raises(RecordError, match="decision_mismatch"):
        decide_refit(SPEC, REFIT, judged(verdict), 7, served=SERVED, now=AS_OF)


def test_the_decision_must_be_about_what_was_refitted() -> None:
    for other in (replace(REFIT, refit_of=None), replace(REFIT, refit_of=replace(REFIT.refit_of, run_id="x"))):
        with pytest.raises(RecordError, match="decision_mismatch"):
            decide_refit(SPEC, other, judged(), 7, served=SERVED, now=AS_OF)
