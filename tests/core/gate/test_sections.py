"""What the rules saw, worded once: a section for each field of the evidence, and a reason where there is nothing."""

from dataclasses import fields, replace

import pytest

from airflow_mlops.core.gate import sections_of
from airflow_mlops.core.gate.rules import RULES
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.evidence import Evidence
from airflow_mlops.spec.model import ModelSpec
from tests.support.decisions import candidate, decision, evidence, rule

VALUES = {
    "name": "orders", "owner": "sales", "data": {"source": {"path": "o/"}, "time": "t", "key": "id", "label": "paid"},
    "training": {"estimator": "sklearn.linear_model.Ridge"},
}  # fmt: skip
SPEC = ModelSpec.model_validate(VALUES)
FILLED = decision(Verdict.ACCEPT, rule(), evidence=evidence())
EMPTY = decision(Verdict.ACCEPT, rule(), evidence=Evidence())


def test_every_field_of_the_evidence_but_the_curves_has_a_section_with_something_in_it() -> None:
    found = [part.key for part in sections_of(SPEC, candidate(), FILLED) if part.rows or part.facts]
    assert len(found) == len(set(found)) == 11
    assert set(found) == {field.name for field in fields(Evidence)} - {"curves"}, "curves are drawn, not worded"


def test_a_rule_words_the_evidence_that_it_declares() -> None:
    shown = {part.key for part in sections_of(SPEC, candidate(), FILLED)}
    declared = {name for one in RULES for name in one.evidence}
    assert declared
    assert declared <= shown


def test_what_is_empty_says_why() -> None:
    nothing = replace(candidate(), convergence={})
    found = {part.key: part for part in sections_of(SPEC, nothing, EMPTY)}
    assert set(found) == {
        "classes", "slices", "segments", "disparities", "reliability", "convergence", "perturbations", "leaks",
        "serving",
        "changes",
    }  # fmt: skip
    assert [part.key for part in found.values() if not part.sentences or part.rows or part.facts] == []
    assert found["changes"].sentences == ("No change is recorded.",)


@pytest.mark.parametrize("name", [one.name for one in RULES if one.part and one.evidence])
def test_a_rule_that_is_switched_off_is_said_to_be(name: str) -> None:
    off = ModelSpec.model_validate({**VALUES, "gate": {name: {"mode": "off"}}})
    keys = {key for one in RULES if one.name == name for key in one.evidence}
    nothing = replace(candidate(), convergence={})
    told = [part.sentences for part in sections_of(off, nothing, EMPTY) if part.key in keys]
    assert told
    assert set(told) == {(f"The {name} rule is switched off.",)}


def test_what_the_estimator_said_is_told_where_the_rule_is_off() -> None:
    off = ModelSpec.model_validate({**VALUES, "gate": {"mode": "off"}})
    told = replace(candidate(), convergence={"warnings": [], "iterations": 12, "limit": 100})
    (part,) = [part for part in sections_of(off, told, EMPTY) if part.key == "convergence"]
    assert part.facts == {"warnings": "none", "iterations": "12", "limit": "100"}
