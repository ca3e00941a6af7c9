"""The gate's rules, crossed with the specification, the evidence, the documents, and with silence (invariant 4)."""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.gate import evaluate as gate_evaluate
from airflow_mlops.core.gate.decide import advice_of, decide
from airflow_mlops.core.gate.evaluate import evaluate
from airflow_mlops.core.gate.rule import Rule
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules import RULES
from airflow_mlops.core.records.decision import Evaluation, GateDecision, RuleResult, Verdict
from airflow_mlops.core.records.evidence import Evidence
from airflow_mlops.core.records.wording import STOP
from airflow_mlops.core.training.fit import fit
from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.gate import GateSpec
from airflow_mlops.spec.problems import ReasonCode
from tests.support.core_loop import SERVED

GATE_PAGE = Path(__file__).parents[2] / "docs" / "gate.md"
BY_NAME = {rule.name: rule for rule in RULES}
BESIDE = {"holdout", "first_model", "as_of"}
"""Rules whose results are made where the rows are chosen, or beside another rule's."""
EVERYTHING: dict[str, Any] = {
    "absolute": [{"metric": "roc_auc", "min": 0.1}],
    "slices": {"columns": ["c"], "min_rows": 50, "max_drop": 0.5},
    "fairness": {"columns": ["c"], "max_demographic_parity_difference": 1.0, "max_equalized_odds_difference": 1.0},
    "calibration": {"max_error": 1.0},
    "robustness": {"max_drop": 10.0, "max_reliance": 10.0},
}
"""Every rule asked for, with bounds that a good candidate keeps."""


class Judged:
    """A good candidate under every rule, once with a champion and once without."""

    def __init__(self, loop: Any, champion: bool) -> None:
        self.loop = loop
        self.spec = loop.spec("sklearn.linear_model.LogisticRegression", gate=EVERYTHING)
        self.frame: pd.DataFrame = loop.frame(4000)
        self.snapshot = loop.snapshot(self.spec, self.frame)
        self.fitted = fit(self.spec, self.snapshot, self.frame)
        self.candidate = loop.candidate(self.fitted)
        worse = self.frame.assign(a=np.random.default_rng(5).normal(size=len(self.frame)))
        old = fit(self.spec, self.snapshot, worse)
        self.old = (loop.champion(old), old.pipeline) if champion else (None, None)

    def evaluate(self) -> Evaluation:
        models = self.candidate, self.fitted.pipeline, *self.old
        return evaluate(self.spec, *models, self.frame, snapshot=self.snapshot, served=SERVED)

    def decide(self, evaluation: Evaluation) -> GateDecision:
        return decide(self.spec, self.candidate, evaluation, now=self.loop.as_of)


@pytest.fixture(scope="module", params=[True, False], ids=["with a champion", "the first model"])
def judged(request: pytest.FixtureRequest, loop: Any) -> Judged:
    return Judged(loop, request.param)


@pytest.fixture(scope="module")
def whole(judged: Judged) -> Evaluation:
    found = judged.evaluate()
    silent = owed_here(judged) - {one.rule for one in found.rules}
    assert not silent, f"no result of {', '.join(sorted(silent))}: ask for it in EVERYTHING, with a bound that is kept"
    return found


def owed_here(judged: Judged) -> set[str]:
    """Rules that owe a result of this candidate."""
    return {rule.name for rule in RULES} - ({"first_model"} if judged.old[0] else {"champion", "as_of"})


def parts_with_a_mode() -> Iterator[str]:
    gate = GateSpec.model_validate({})
    for name in GateSpec.part_fields:
        part = getattr(gate, name)
        if isinstance(part, SpecModel) and "mode" in type(part).part_fields:
            yield name


def test_each_name_is_registered_once() -> None:
    assert len(BY_NAME) == len(RULES) >= 14


def test_every_part_of_the_specification_that_has_a_mode_is_a_rule_and_the_reverse() -> None:
    assert {rule.name for rule in RULES if rule.part} == set(parts_with_a_mode())
    assert len(set(parts_with_a_mode())) >= 7


def test_rules_without_a_function_are_those_that_are_made_beside_others() -> None:
    assert {rule.name for rule in RULES if rule.judge is None} == BESIDE


def test_the_page_has_a_row_for_each_rule_with_every_code_that_it_advises_on() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\|(.*)\|$", GATE_PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    table = {name: set(re.findall(r"`(\w+)`", codes)) for name, codes in rows if name in BY_NAME}
    assert set(table) == set(BY_NAME)
    for rule in RULES:
        assert {code.value for code in rule.advice} <= table[rule.name], rule.name


def test_the_page_names_each_rule_with_a_mode() -> None:
    told = re.search(
        r"^((?:`\w+`,?\s+(?:and\s+)?)+)each\s+have\s+a\s+`mode`", GATE_PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert told is not None
    assert sorted(re.findall(r"`(\w+)`", told[1])) == sorted(rule.name for rule in RULES if rule.part)


def test_every_rule_is_advised_on_in_its_own_words(judged: Judged, whole: Evaluation) -> None:
    advised = [(rule, code) for rule in RULES for code in rule.advice]
    assert len(advised) > 20
    for rule, code in advised:
        refused = RuleResult(
            rule=rule.name, metric="x", verdict=Verdict.REJECT, value=1.0, bound="<= 0", rows=1, code=code, reason="no"
        )
        assert rule.advice[code] in advice_of(judged.decide(replace(whole, rules=(*whole.rules, refused))))


def test_evidence_is_filled_by_the_rule_that_says_so(judged: Judged, whole: Evaluation) -> None:
    declared = [name for rule in RULES for name in sorted(rule.evidence)]
    assert len(declared) == len(set(declared)) > 0
    assert set(declared) | {"curves", "changes"} == {field.name for field in fields(Evidence)}
    assert whole.evidence.slices
    assert whole.evidence.perturbations
    assert whole.evidence.serving == SERVED


def test_a_good_candidate_passes_every_rule_and_each_gives_a_result(judged: Judged, whole: Evaluation) -> None:
    found = judged.decide(whole)
    assert found.verdict is Verdict.ACCEPT, found.reasons
    assert {one.rule for one in found.evaluation.rules} == owed_here(judged)
    assert advice_of(found) == ()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_that_gives_no_result_where_it_owes_one_rejects(rule: Rule, judged: Judged, whole: Evaluation) -> None:
    if rule.name not in owed_here(judged):
        assert rule.name not in {one.rule for one in whole.rules}
        return
    silent = replace(whole, rules=tuple(one for one in whole.rules if one.rule != rule.name))
    assert len(silent.rules) < len(whole.rules)
    found = judged.decide(silent)
    assert found.verdict is Verdict.REJECT
    mine = [one for one in found.evaluation.rules if one.rule == rule.name]
    assert mine
    assert {one.code for one in mine} == {ReasonCode.NOT_EVALUATED}
    assert advice_of(found)[0].startswith(STOP)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.judge], ids=lambda rule: rule.name)
def test_a_function_that_returns_nothing_is_a_rejection(
    rule: Rule, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_: RuleInput) -> RuleOutcome:
        return RuleOutcome()

    muted = tuple(replace(one, judge=nothing) if one.name == rule.name else one for one in RULES)
    monkeypatch.setitem(evaluate.__globals__, "RULES", muted)
    found = judged.decide(judged.evaluate())
    if rule.name in owed_here(judged):
        assert found.verdict is Verdict.REJECT
        assert ReasonCode.NOT_EVALUATED in {one.code for one in found.evaluation.rules if one.rule == rule.name}
    else:
        assert found.verdict is Verdict.ACCEPT


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("value", [None, float("nan"), float("inf")], ids=["missing", "nan", "infinite"])
def test_a_rule_that_accepts_on_what_is_no_number_rejects(
    rule: Rule, value: float | None, judged: Judged, whole: Evaluation
) -> None:
    if rule.name not in owed_here(judged):
        return
    changed = tuple(replace(one, value=value) if one.rule == rule.name else one for one in whole.rules)
    assert judged.decide(replace(whole, rules=changed)).verdict is Verdict.REJECT
    if rule.interval:
        changed = tuple(replace(one, lower=value) if one.rule == rule.name else one for one in whole.rules)
        assert judged.decide(replace(whole, rules=changed)).verdict is Verdict.REJECT


def test_the_face_has_the_function_and_not_the_module() -> None:
    assert gate_evaluate is evaluate
