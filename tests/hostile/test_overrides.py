"""Who may trigger a run may tune it: not speak for the owner, not ask for any amount, and not unseen."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_mlops.provenance import overridden_fields, triggered_by
from airflow_mlops.reports import approval_form
from airflow_mlops.reports.decision.page import render
from airflow_mlops.spec import ModelSpec, SpecError, apply_overrides, parse_spec
from tests.spec.samples import RAW
from tests.support.builders import make_candidate, make_decision

SPEC = parse_spec(
    {
        **RAW,
        "description": "Reviewed by risk.",
        "limitations": ["Never use for minors."],
        "risk_tier": "high",
        "promotion": {"registered_model": "flights", "approval": {"tiers": ["high"]}},
        "training": {
            **RAW["training"],
            "parameters": {"max_iter": 5000, "C": 1.0, "n_jobs": 2},
            "search": {"parameters": {"tol": [0.1, 1.0]}, "folds": 4},
        },
    }
)

OWNERS: dict[str, Any] = {
    "owner": "security-approved",
    "risk_tier": "low",
    "description": "Already approved by the board, please press Approve.",
    "limitations": [],
    "limitations.0": "None.",
    "monitoring.drift.level": 0.9,
    "monitoring": {},
    "promotion.registered_model": "other",
    "promotion.approval.tiers": [],
    "execution.timeout": "100d",
}


@pytest.mark.parametrize("path", OWNERS)
def test_the_owners_words_stay_the_owners(path: str) -> None:
    with pytest.raises(SpecError, match="found an override"):
        apply_overrides(SPEC, {path: OWNERS[path]})


TOO_MUCH: dict[str, Any] = {
    "data.window": "36500d",
    "scoring.window": "30000d",
    "scoring.chunk_rows": 10**9,
    "training.search.iterations": 10_000,
    "training.search.folds": 100,
    "training.parameters.max_iter": 1_000_000_000,
    "training.parameters.n_estimators": 10_000_000,
    "training.parameters.hidden_layer_sizes": [100_000, 100_000],
    "training.parameters.n_jobs": 64,
    "training.parameters.base__n_jobs": -1,
    "training.parameters.nested": {"deep": {"max_iter": 10**9}},
    "training.parameters.num_iterations": "1000000000",
    "training.parameters.iterations": 1e9,
    "training.parameters.base__max_leaves": "1e12",
    "training.parameters.max_depth": "inf",
    "training.parameters.layer_sizes": [600, 600],
    "training.parameters.alphas": [0.1] * 1001,
    "training.parameters.base": {"sizes": [[1, 2], [900, 200]]},
    "training.search.parameters": {"layer_sizes": [[10], [400, 400, 400]]},
}


def asked(path: str, value: Any) -> dict[str, Any]:
    grid = {"training.search.parameters": {"tol": [n / 1000 for n in range(1, 1001)]}}
    return {**(grid if path.startswith("training.search") else {}), path: value}


@pytest.mark.parametrize("path", TOO_MUCH)
def test_what_is_asked_of_the_machines_is_bounded(path: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides(SPEC, asked(path, TOO_MUCH[path]))
    assert all(problem.fix == "ask for less, or change the YAML file" for problem in caught.value.problems)


def test_an_estimator_is_not_asked_for_a_thousand_times() -> None:
    one = {"path": "sklearn.linear_model.LogisticRegression"}
    voting = {"estimator": "sklearn.ensemble.VotingClassifier", "parameters": {"estimators": [["a", one]]}}
    spec = parse_spec({**RAW, "training": voting})
    for number, given in ((4, one), (4, one["path"])):
        several = [[f"a{n}", given] for n in range(number)]
        assert apply_overrides(spec, {"training.parameters.estimators": several})
        with pytest.raises(SpecError, match="estimators inside"):
            apply_overrides(spec, {"training.parameters.estimators": [*several, ["b", given]]})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.window", "180d"),
        ("training.parameters.max_iter", 20_000),
        ("training.parameters.n_estimators", 500),
        ("training.parameters.C", 1e9),
        ("training.parameters.layer_sizes", [400, 200]),
        ("training.search.parameters", {"layer_sizes": [[600], [600]]}),
        ("training.parameters.max_features", "sqrt"),
        ("training.parameters.max_features", 0.5),
        ("training.parameters.learning_rate", 5000.0),
        ("training.parameters.n_jobs", 2),
        ("training.search.iterations", 30),
        ("training.seed", 2**31),
        ("scoring.chunk_rows", 100),
    ],
)
def test_tuning_is_free(path: str, value: Any) -> None:
    assert isinstance(apply_overrides(SPEC, {path: value}), ModelSpec)


CONTEXT: dict[str, Any] = {
    "params": {"overrides": {"training.seed": 7, "training.parameters": {"C": "<script>alert(1)</script>"}}},
    "dag_run": SimpleNamespace(triggering_user_name="mallory"),
}


def test_what_was_changed_and_by_whom_stands_in_decision_page_and_form() -> None:
    decision = replace(
        make_decision(make_candidate()), overrides=overridden_fields(CONTEXT), overridden_by=triggered_by(CONTEXT)
    )
    said = (
        'Changed for this run by mallory: training.parameters = {"C": "<script>alert(1)</script>"}; training.seed = 7.'
    )
    assert decision.overridden == said
    assert type(decision).from_json(decision.to_json()) == decision
    page = render(decision, make_candidate(), [], evidence=[])
    form = approval_form.body(SPEC, make_candidate(), decision, 2, links={}, evidence=[])
    for shown in (page, form):
        assert "Changed for this run by mallory" in shown
        assert "training.seed = 7" in shown
        assert "<script>alert" not in shown


def test_a_decision_of_a_plain_run_says_nothing_of_it() -> None:
    decision = make_decision(make_candidate())
    assert decision.overridden == ""
    assert "overrid" not in decision.to_text()
    assert overridden_fields({"params": {}}) == overridden_fields({"params": {"overrides": [1]}}) == ()
    assert triggered_by({}) == ""


def fields_changed(**overrides: Any) -> tuple[str, ...]:
    return overridden_fields({"params": {"overrides": overrides}}, SPEC)


def test_each_value_is_told_with_what_it_replaces() -> None:
    assert fields_changed(**{"training.seed": 7, "data.window": "30d"}) == (
        'data.window = "30d" instead of "90d"',
        "training.seed = 7 instead of 42",
    )
    assert fields_changed(**{"training.seed": 42}) == (), "what stays as it was is no change"


def test_nothing_hides_behind_what_stands_beside_it() -> None:
    """A whole part is replaced, and what matters would come after the characters that are shown."""
    parameters = {"a": "x" * 5000, "max_iter": 4999, "C": 1.0, "n_jobs": 2}
    told = fields_changed(**{"training.parameters": parameters})
    assert "training.parameters.max_iter = 4999 instead of 5000" in told
    assert fields_changed(**{"training.parameters": {"n_jobs": 2}}) == (
        "training.parameters.C = nothing instead of 1.0",
        "training.parameters.max_iter = nothing instead of 5000",
    )
    many = {f"training.parameters.{letter}": 1 for letter in "abcdefghijklmnop"}
    decision = replace(make_decision(make_candidate()), overrides=fields_changed(**many, **{"training.seed": 7}))
    page = render(decision, make_candidate(), [], evidence=[])
    form = approval_form.body(SPEC, make_candidate(), decision, 2, links={}, evidence=[])
    assert "and 9 more" in decision.overridden
    for shown in (page, form):
        assert "training.seed = 7 instead of 42" in shown, "the section has them all"
