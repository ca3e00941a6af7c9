"""Broken input: against perturbations made by hand, scikit-learn's permutation importance, and models that fail."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules import robustness
from airflow_mlops.core.gate.rules.robustness import judge
from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.pipeline import predict as predict_module
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.evidence import DROP, RELIANCE, Perturbation
from airflow_mlops.spec.problems import ReasonCode

HISTOGRAM = "sklearn.ensemble.HistGradientBoostingClassifier"
RIDGE = "sklearn.linear_model.Ridge"


def perturbations(bench: RuleInput) -> tuple[Perturbation, ...]:
    found: tuple[Perturbation, ...] = judge(bench).evidence["perturbations"]
    return found


def of(bench: RuleInput, kind: str) -> dict[str, Perturbation]:
    return {one.what: one for one in perturbations(bench) if one.kind == kind}


@pytest.fixture(scope="module")
def benches(loop: Any) -> dict[str, RuleInput]:
    rule = {"robustness": {"max_drop": 1.0, "max_reliance": 1.0}}
    return {
        "binary": loop.bench(HISTOGRAM, gate=rule),
        "multiclass": loop.bench(kind="multiclass", gate=rule),
        "regression": loop.bench(RIDGE, kind="regression", gate=rule),
    }


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_every_way_of_breaking_is_told_and_bounded(benches: dict[str, RuleInput], kind: str) -> None:
    bench = benches[kind]
    found = judge(bench)
    told = perturbations(bench)
    assert Counter(one.kind for one in told) == {"missing": 1, "noise": 1, "shuffled": 3}
    assert [one.what for one in told[:2]] == ["10 % of all values", "0.1 standard deviations on numeric features"]
    assert {one.what for one in told[2:]} == {"a", "b", "c"}
    assert [one.drop for one in told[2:]] == sorted((one.drop for one in told[2:]), reverse=True)
    whole = bench.metric(bench.judged)  # fewer rows than the sample: all of them
    for one in told:
        assert one.drop == pytest.approx(bench.sign * (whole - one.metric))
        assert one.rows == len(bench.rows)
    by_name = {rule.metric: rule for rule in found.rules}
    assert set(by_name) == {DROP, RELIANCE}
    assert by_name[DROP].value == max(one.drop for one in told[:2])
    assert by_name[RELIANCE].value == told[2].drop
    assert {rule.verdict for rule in found.rules} == {Verdict.ACCEPT}
    assert {rule.rule for rule in found.rules} == {"robustness"}


def test_the_column_that_matters_hurts_most_and_noise_is_harmless(benches: dict[str, RuleInput]) -> None:
    shuffled = of(benches["binary"], "shuffled")
    assert shuffled["a"].drop > shuffled["c"].drop > 0.02 > shuffled["b"].drop
    (missing,), (noise,) = (of(benches["binary"], kind).values() for kind in ("missing", "noise"))
    assert missing.drop > 0.005
    assert abs(noise.drop) < 0.05


def test_shuffling_is_scikit_learns_permutation_importance(loop: Any) -> None:
    bench = loop.bench(RIDGE, kind="regression", gate={"primary": "rmse"})
    inputs = as_features(bench.rows, bench.candidate.features)
    expected = permutation_importance(
        bench.pipeline, inputs, bench.labels, scoring="neg_root_mean_squared_error", n_repeats=40, random_state=0
    )
    found = of(bench, "shuffled")
    assert list(inputs.columns) == ["a", "b", "c"]
    for place, name in enumerate(inputs.columns):
        mean, deviation = expected.importances_mean[place], expected.importances_std[place]
        assert found[name].drop == pytest.approx(mean, abs=4 * deviation + 1e-9)


def test_noise_and_missing_values_by_hand(loop: Any) -> None:
    """A model that gives back its input: what was done to the input is seen in its errors."""
    rng = np.random.default_rng(0)
    frame = loop.frame(20_000, kind="regression")
    frame["a"] = rng.normal(5, 3, len(frame))
    frame["y"] = frame["a"]
    rule = {"noise": 0.2, "missing": 0.25, "max_drop": 0.5}
    bench = loop.bench(RIDGE, frame, features={"numeric": ["a"]}, gate={"primary": "rmse", "robustness": rule})
    (noise,), (missing,) = (of(bench, kind).values() for kind in ("noise", "missing"))
    assert noise.metric == pytest.approx(0.2 * 3, rel=0.05)
    # missing ones are imputed with the median, 5: an error of one standard deviation on a quarter of the rows
    assert missing.metric == pytest.approx(3 * math.sqrt(0.25), rel=0.05)
    assert missing.drop == pytest.approx(missing.metric, abs=0.01)
    (rule,) = judge(bench).rules
    assert (rule.verdict, rule.code, rule.metric) == (Verdict.REJECT, ReasonCode.NOT_ROBUST, DROP)
    assert "with 25 % of all values missing" in rule.reason
    assert "gate.robustness.max_drop allows 0.5" in rule.reason


def test_reliance_on_one_column_is_refused_by_name(loop: Any) -> None:
    bench = loop.bench(gate={"robustness": {"max_reliance": 0.01}})
    (rule,) = judge(bench).rules
    assert (rule.verdict, rule.code, rule.metric) == (Verdict.REJECT, ReasonCode.NOT_ROBUST, RELIANCE)
    assert "with column 'a' shuffled" in rule.reason


def test_without_bounds_there_is_only_evidence(loop: Any) -> None:
    found = judge(loop.bench())
    assert found.rules == ()
    assert len(found.evidence["perturbations"]) == 5


def mixed(loop: Any) -> pd.DataFrame:
    """Columns of every type that can be a feature, with values missing."""
    rng = np.random.default_rng(1)
    frame: pd.DataFrame = loop.frame(1200)
    rows = len(frame)
    frame["whole"] = rng.integers(-50, 50, rows)
    frame["flag"] = rng.random(rows) < 0.5
    frame["nullable"] = pd.array(rng.integers(0, 9, rows), dtype="Int64")
    frame.loc[::5, "nullable"] = pd.NA
    frame["code"] = np.where(np.arange(rows) % 7, rng.integers(1, 4, rows), np.nan)  # a category held as floats
    frame["empty"] = np.where(np.arange(rows) < 500, 1.0, np.nan)  # without a value among the judged rows
    return frame


FEATURES = {"numeric": ["a", "whole", "flag", "nullable", "empty"], "categorical": ["c", "code"]}


class Spy:
    """Hands every frame on, and keeps it."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline, self.frames = pipeline, []
        self.classes_ = pipeline.classes_

    def predict_proba(self, inputs: pd.DataFrame) -> Any:
        self.frames.append(inputs)
        return self.pipeline.predict_proba(inputs)


@pytest.mark.parametrize("estimator", [HISTOGRAM, "sklearn.linear_model.LogisticRegression"])
def test_the_types_that_the_pipeline_was_fitted_on_survive(loop: Any, estimator: str) -> None:
    rule = {"noise": 3.0, "missing": 0.3}
    bench = loop.bench(estimator, mixed(loop), features=FEATURES, gate={"robustness": rule})
    spy = Spy(bench.pipeline)
    told = perturbations(replace(bench, pipeline=spy))
    assert all(math.isfinite(one.metric) for one in told)
    whole, missing, noise, *shuffled = spy.frames
    assert len(shuffled) == len(whole.columns) == 7
    for frame in spy.frames:
        assert (frame.dtypes == whole.dtypes).all()
        assert list(frame.columns) == list(whole.columns)
    # missing: what is left is what was there, and the share is what was asked for
    gone = missing.isna() & whole.notna()
    present = whole.columns[whole.notna().any()]
    share = gone[present].sum().sum() / whole[present].notna().sum().sum()
    assert share == pytest.approx(0.3, abs=0.04)
    left = missing.notna()
    assert missing.where(left).equals(whole.where(left))
    # noise: whole numbers stay whole, 0 and 1 stay 0 and 1, categories and missing values stay what they are
    assert set(noise["flag"].unique()) == {0.0, 1.0}
    assert not noise["flag"].equals(whole["flag"])
    for name in ("whole", "nullable"):
        known = noise[name].dropna()
        assert (known == known.round()).all()
        assert not noise[name].equals(whole[name])
    assert noise[["c", "code", "empty"]].equals(whole[["c", "code", "empty"]])
    assert noise.isna().equals(whole.isna())
    assert set(whole["code"].dropna()) == {"1", "2", "3"}
    # shuffled: one column each, with the same values
    for name, frame in zip(whole.columns, shuffled, strict=True):
        assert [other for other in whole.columns if not frame[other].equals(whole[other])] in ([name], [])
        assert Counter(frame[name].fillna("-")) == Counter(whole[name].fillna("-"))


def without_imputer(bench: RuleInput) -> RuleInput:
    """A model of the team's own that fails on missing values."""
    inputs = as_features(bench.rows, bench.candidate.features)[["b"]]
    first = FunctionTransformer(lambda frame: frame[["b"]])
    return replace(bench, pipeline=make_pipeline(first, LinearRegression()).fit(inputs, bench.labels))


def test_a_model_that_cannot_take_missing_values_is_refused_when_a_bound_asks(loop: Any) -> None:
    for rule, refused in (({}, False), ({"max_drop": 9.0, "max_reliance": 9.0}, True)):
        bench = without_imputer(loop.bench(RIDGE, kind="regression", gate={"robustness": rule}))
        found = judge(bench)
        (missing,) = of(bench, "missing").values()
        assert math.isnan(missing.metric)
        assert math.isnan(missing.drop)
        assert math.isfinite(next(iter(of(bench, "noise").values())).drop)
        if not refused:
            assert found.rules == ()
            continue
        drop, reliance = found.rules
        assert (drop.verdict, drop.code) == (Verdict.REJECT, ReasonCode.NOT_ROBUST)
        assert "gives no finite rmse with 10 % of all values missing" in drop.reason
        assert reliance.verdict is Verdict.ACCEPT


class Fails:
    """Nothing can be predicted with it."""

    def predict(self, _inputs: Any) -> Any:
        raise RuntimeError("broken")


def test_a_model_that_never_predicts_is_refused_and_never_raises(loop: Any) -> None:
    bench = loop.bench(RIDGE, kind="regression", gate={"robustness": {"max_drop": 9.0, "max_reliance": 9.0}})
    found = judge(replace(bench, pipeline=Fails()))
    assert {rule.verdict for rule in found.rules} == {Verdict.REJECT}
    assert all(math.isnan(one.drop) for one in found.evidence["perturbations"])
    nothing = replace(bench, rows=bench.rows[:0], labels=bench.labels[:0])
    assert {rule.verdict for rule in judge(nothing).rules} == {Verdict.REJECT}


def test_at_most_so_many_rows_chosen_by_the_seed(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robustness, "MAX_ROWS", 100)
    bench = loop.bench(RIDGE, kind="regression")
    first, again = perturbations(bench), perturbations(bench)
    assert first == again
    assert {one.rows for one in first} == {100}
    other = loop.bench(RIDGE, kind="regression", training={"seed": 7})
    assert perturbations(other) != first
    monkeypatch.setattr(robustness, "MAX_ROWS", 10_000)
    monkeypatch.setattr(robustness, "MIN_ROWS", 50)
    monkeypatch.setattr(robustness, "MAX_SCORED", 3 * 200)  # three features
    assert {one.rows for one in perturbations(bench)} == {200}


def test_weights_of_the_rows_count(loop: Any) -> None:
    frame = loop.frame(kind="regression")
    plain = loop.bench(RIDGE, frame)
    weights = (plain.rows["a"].to_numpy() > 0).astype(float)
    weighted = loop.bench(RIDGE, frame, weights=weights)
    whole = METRICS["rmse"](weighted.judged)
    assert whole != METRICS["rmse"](plain.judged)
    for one in perturbations(weighted):
        assert one.drop == pytest.approx(one.metric - whole)
    assert perturbations(weighted) != perturbations(plain)


@pytest.fixture(scope="module")
def told(benches: dict[str, RuleInput]) -> list[Perturbation]:
    return list(perturbations(benches["regression"]))


@settings(max_examples=50, deadline=None)
@given(bound=st.floats(0.001, 3), wider=st.floats(1, 10))
def test_a_wider_bound_never_turns_accept_into_reject(
    benches: dict[str, RuleInput], told: list[Perturbation], bound: float, wider: float
) -> None:
    first, second = (
        robustness._rule(benches["regression"], DROP, "max_drop", limit, told) for limit in (bound, bound * wider)
    )
    assert first.verdict is Verdict.REJECT or second.verdict is Verdict.ACCEPT
    assert (first.verdict is Verdict.ACCEPT) == (max(one.drop for one in told) <= bound)


def test_rows_are_prepared_once_however_many_columns_are_shuffled(
    benches: dict[str, RuleInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Counter[str]()

    def counted(*arguments: Any) -> pd.DataFrame:
        calls["prepared"] += 1
        return as_features(*arguments)

    for module in (robustness, predict_module):
        monkeypatch.setattr(module, "as_features", counted)
    assert len(perturbations(benches["binary"])) == 5
    assert calls["prepared"] == 1
