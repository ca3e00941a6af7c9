"""What knows the label is found, in features, pairs of them, rows and times; keys, noise and rare classes are not."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact, mannwhitneyu, spearmanr
from sklearn.metrics import roc_auc_score

from airflow_mlops.core.gate.rules.leakage.judge import single_feature_power
from airflow_mlops.core.gate.rules.leakage.rows import missing_with_label, shared_content
from airflow_mlops.core.gate.rules.leakage.separation import decided, graded
from airflow_mlops.core.gate.rules.leakage.single_features import luck_of
from airflow_mlops.core.records.candidate import Champion, Feature, Task
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.spec.problems import ReasonCode
from tests.support.leakage_inputs import AS_OF, bench_of, found

N, C = (lambda name: Feature(name=name, role="numeric")), (lambda name: Feature(name=name, role="categorical"))


def power(task: Task, feature: Feature, values: Any, labels: Any) -> float:
    frame, labels = pd.DataFrame({feature.name: values}), pd.Series(labels)
    half = len(frame) // 2
    parts = (frame[:half], labels[:half]), (frame[half:], labels[half:])
    return single_feature_power(task, [feature], *parts)[feature.name]


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).random(2000) < 0.3


def test_the_power_of_a_number_is_its_auc_either_way_round(labels: np.ndarray) -> None:
    values = np.random.default_rng(1).normal(size=2000) + 0.8 * labels
    expected = roc_auc_score(labels[1000:], values[1000:])
    for sign in (1, -1):
        # the binned view may see a little more than the ranking, never less
        assert expected <= power("binary", N("a"), sign * values, labels) < expected + 0.02


def test_a_leak_that_does_not_rise_with_the_value_is_seen(labels: np.ndarray) -> None:
    values = np.where(labels, 0.0, np.random.default_rng(1).choice([-1.0, 1.0], 2000))
    assert power("binary", N("a"), values + np.random.default_rng(2).normal(0, 0.05, 2000), labels) > 0.98


def test_that_a_value_is_missing_may_be_the_leak(labels: np.ndarray) -> None:
    values = np.where(labels, np.nan, np.random.default_rng(1).normal(size=2000))
    assert power("binary", N("a"), values, labels) == pytest.approx(1)
    assert power("binary", C("c"), np.where(labels, None, "x"), labels) == pytest.approx(1)


def test_a_category_made_from_the_label_is_seen_and_a_key_is_not(labels: np.ndarray) -> None:
    codes = np.where(labels, "late", np.random.default_rng(1).choice(["ok", "early"], 2000))
    assert power("binary", C("c"), codes, labels) == pytest.approx(1)
    assert power("binary", C("c"), [f"key-{n}" for n in range(2000)], labels) == pytest.approx(0.5)


def test_many_categories_of_noise_have_no_power(labels: np.ndarray) -> None:
    values = np.random.default_rng(1).integers(0, 700, 2000).astype(str)
    assert power("binary", C("c"), values, labels) < 0.6


def test_regression_uses_rank_correlation() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=2000)
    label = np.exp(values) + rng.normal(0, 0.5, 2000)
    expected = abs(spearmanr(values[1000:], label[1000:])[0])
    assert power("regression", N("a"), -values, label) == pytest.approx(expected, abs=0.02)
    assert power("regression", C("c"), ["x"] * 2000, label) == 0.0


def test_multiclass_takes_the_class_that_is_known_best() -> None:
    label = np.random.default_rng(0).integers(0, 3, 2000)
    assert power("multiclass", N("a"), (label == 2) * 1.0, label) == pytest.approx(1)
    assert power("multiclass", N("a"), np.random.default_rng(1).normal(size=2000), label) < 0.6


def test_a_rare_class_is_no_evidence_where_others_are_common() -> None:
    label = np.where(np.arange(2000) % 500 == 7, 2, np.arange(2000) % 2)
    lucky = np.where(label == 2, 9.0, np.random.default_rng(0).normal(size=2000))
    assert power("multiclass", N("a"), lucky, label) < 0.6


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_copy_of_the_label_is_found_whatever_the_bound(task: Task) -> None:
    label = np.random.default_rng(0).integers(0, 3 if task == "multiclass" else 2, 400)
    assert power(task, N("a"), label.astype(float), label) == 1.0
    if task != "regression":
        assert power(task, C("c"), label.astype(str), label.astype(str)) == 1.0


def test_a_constant_has_no_power(labels: np.ndarray) -> None:
    assert power("binary", N("a"), np.ones(2000), labels) == 0.5
    assert power("binary", N("a"), np.full(2000, np.nan), labels) == 0.5


# -- the rule ---------------------------------------------------------------------------------------------------------


def rows(count: int = 2000, seed: int = 0, **columns: Any) -> pd.DataFrame:
    """A label that `a` helps to know, and features of many kinds that do not."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=count)
    frame = pd.DataFrame(
        {
            "a": a,
            "heavy": rng.lognormal(0, 1.5, count),
            "whole": rng.integers(0, 60, count),
            "gaps": np.where(rng.random(count) < 0.4, np.nan, rng.normal(size=count)),
            "constant": 1.0,
            "rare": (rng.random(count) < 0.01) * 1.0,
            "c": rng.choice(list("xyz"), count),
            "many": rng.integers(0, 200, count).astype(str),
            "name": [f"n{number}" for number in range(count)],
        }
    )
    return frame.assign(y=a + rng.normal(size=count) > 0.7, **columns)


def test_clean_rows_pass_every_check() -> None:
    results, leaks = found(bench_of(rows()))
    assert not leaks
    assert {result.verdict for result in results.values()} == {Verdict.ACCEPT}
    assert all(result.rule == "leakage" and result.code is None for result in results.values())
    assert all(math.isfinite(result.value) for result in results.values())


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("count", [60, 400, 3000])
def test_false_alarms_on_clean_rows_are_rare(task: Task, count: int) -> None:
    alarms = 0
    for seed in range(10):
        frame = rows(count, seed)
        noisy = frame["a"] + np.random.default_rng([seed, 1]).normal(size=count)
        labels = {"binary": frame["y"], "multiclass": np.digitize(noisy, [-0.5, 0.8, 1.6]), "regression": noisy}
        results, _ = found(bench_of(frame.assign(y=labels[task]), task))
        alarms += any(result.verdict is Verdict.REJECT for result in results.values())
    assert alarms == 0


FUNCTIONS: dict[str, Any] = {
    "copy": lambda f: f["y"] * 1.0,
    "complement": lambda f: 5 - 3.0 * f["y"],
    "category": lambda f: f["y"].map({True: "closed", False: "open"}),
    "many to one": lambda f: np.where(f["y"], "late", np.random.default_rng(1).choice(["ok", "early"], len(f))),
    "odd numbers": lambda f: 2 * np.random.default_rng(1).integers(0, 80, len(f)) + f["y"],
    "nearly": lambda f: f["y"] ^ (np.random.default_rng(1).random(len(f)) < 0.005),
    "missing": lambda f: np.where(f["y"], np.nan, f["a"]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_the_label_are_leaks(name: str) -> None:
    frame = rows()
    results, leaks = found(bench_of(frame.assign(leak=FUNCTIONS[name](frame))))
    assert {(leak.what, leak.asked) for leak in leaks} == {("leak", name == "nearly")}
    code = ReasonCode.LEAKAGE_ASKED if name == "nearly" else ReasonCode.LABEL_LEAKAGE
    assert results["single_feature_power"].code is code
    assert "leak" in results["single_feature_power"].reason
    _, exempt = found(bench_of(frame.assign(leak=FUNCTIONS[name](frame)), rule={"reviewed": ["leak"]}))
    assert not exempt


def test_an_affine_function_of_a_number_is_a_leak() -> None:
    frame = rows().assign(y=lambda f: f["a"] + np.random.default_rng(3).normal(size=len(f)))
    _, leaks = found(bench_of(frame.assign(leak=7 - 2 * frame["y"]), "regression"))
    assert {leak.what for leak in leaks} == {"leak"}


def test_a_leak_that_is_filled_only_in_older_rows_is_seen_there() -> None:
    frame = rows()
    closed = np.where(np.arange(len(frame)) < 1300, frame["y"], np.nan)
    results, leaks = found(bench_of(frame.assign(closed=closed)))
    assert [(leak.kind, leak.what) for leak in leaks] == [("function", "closed")]
    assert results["function_of_label"].code is ReasonCode.LABEL_LEAKAGE
    assert results["single_feature_power"].verdict is Verdict.ACCEPT


@pytest.mark.parametrize(
    "make",
    [
        lambda y, rng: ((first := rng.integers(0, 2, len(y))), first ^ y),
        lambda y, rng: (
            (start := rng.uniform(0, 1e4, len(y))),
            start + np.where(y, 90, 10) + rng.uniform(0, 30, len(y)),
        ),
    ],
    ids=["exclusive or", "end beside beginning"],
)
def test_a_leak_spread_over_two_features_is_named(make: Any) -> None:
    frame = rows()
    first, second = make(frame["y"].to_numpy(), np.random.default_rng(4))
    given = frame.assign(first=first * 1.0, second=second * 1.0)
    results, leaks = found(bench_of(given))
    assert {leak.what for leak in leaks} == {"first, second"}
    assert "first and second together" in results["function_of_label"].reason
    assert not found(bench_of(given, rule={"reviewed": ["first", "second"]}))[1]
    assert found(bench_of(given, rule={"reviewed": ["first"]}))[1]


def test_what_decides_part_of_a_class_for_sure_and_nothing_else_is_a_leak() -> None:
    frame = rows(12_000)
    sure = frame["y"] & (np.random.default_rng(5).random(len(frame)) < 0.5)
    _, leaks = found(bench_of(frame.assign(delay=np.where(sure, 100, 0) + frame["heavy"])))
    assert [(leak.kind, leak.what) for leak in leaks] == [("question", "delay")]


@given(auc=st.floats(0.55, 0.97), base=st.floats(0.05, 0.5))
@settings(max_examples=8, deadline=None)
def test_an_evenly_rising_effect_decides_as_much_as_its_power_explains(auc: float, base: float) -> None:
    from scipy.optimize import brentq
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 400_000))
    slope = brentq(lambda b: _auc_of_probit(b, base) - auc, 1e-3, 60)
    positive = slope * x + e > norm.isf(base) * math.hypot(1, slope)
    order = np.argsort(-x)
    hits = np.cumsum(positive[order])
    sure = hits >= 0.98 * np.arange(1, len(x) + 1)
    share = hits[sure & (hits > 200)].max(initial=0) / positive.sum()
    assert graded(auc, base) == pytest.approx(share, abs=0.02)


def _auc_of_probit(slope: float, base: float) -> float:
    """Brute force: chance that a positive's x is larger, by quadrature over a fine grid."""
    from scipy.stats import norm

    x = np.linspace(-6, 6, 1501)
    p = norm.cdf(slope * x - norm.isf(base) * math.hypot(1, slope))
    one, other = norm.pdf(x) * p, norm.pdf(x) * (1 - p)
    below = np.cumsum(other) - other / 2
    return float((one * below).sum() / (one.sum() * other.sum()))


def test_a_strong_feature_that_rises_evenly_is_no_leak() -> None:
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 20_000))
    target = 3 * x + e > 2.5
    share, explained = decided([(x, (target, target))], 10)
    assert share > 0.25
    assert share < 1.5 * explained
    assert not found(bench_of(pd.DataFrame({"x": x, "e": rng.normal(size=20_000), "y": target})))[1]


@pytest.mark.parametrize(("hits", "count"), [(2, 60), (4, 80), (9, 40), (25, 60), (60, 300)])
def test_the_bound_of_luck_is_no_less_than_the_exact_chance(hits: int, count: int) -> None:
    target = np.arange(count) < hits
    for power in (0.9, 0.95, 0.98, 1.0):
        score = _score_of(power, target)
        exact = mannwhitneyu(score[target], score[~target], alternative="greater", method="exact").pvalue
        auc = roc_auc_score(target, score)
        assert luck_of("binary", auc, target) >= exact * 0.999 or exact < 1e-9


def _score_of(power: float, target: np.ndarray) -> np.ndarray:
    """Distinct scores with about this AUC: the positives on top, but for some pairs out of order."""
    order = np.arange(len(target), 0, -1.0)
    missed = round((1 - power) * target.sum() * (~target).sum())
    score = order.copy()
    score[target.sum() - 1] = order[target.sum() - 1] - min(missed, (~target).sum()) - 0.5
    return score


def test_few_rows_of_a_class_prove_nothing() -> None:
    frame = rows(300)[["a", "c", "y"]].assign(y=np.arange(300) % 150 == 149)
    results, leaks = found(bench_of(frame.assign(lucky=frame["y"] * 3.0 + (np.arange(300) % 40 == 0) * 9.0)))
    assert not leaks
    assert results["single_feature_power"].verdict is Verdict.ACCEPT


def test_a_label_that_does_not_vary_is_a_rejection() -> None:
    frame = rows(400).assign(y=lambda f: f["y"] & (f.index < 200))
    results, _ = found(bench_of(frame))
    assert results["single_feature_power"].code is ReasonCode.METRIC_NOT_FINITE


def test_a_missing_feature_rejects_every_check_that_needs_it() -> None:
    bench = bench_of(rows(400))
    results, _ = found(replace(bench, rows=bench.rows.drop(columns="a")))
    assert results["single_feature_power"].code is ReasonCode.NOT_EVALUATED
    assert results["overlap"].verdict is Verdict.REJECT
    assert "features.a" in results["overlap"].reason


# -- rows -------------------------------------------------------------------------------------------------------------


def test_rows_that_were_loaded_twice_are_found_by_key_and_by_content() -> None:
    frame = rows().assign(id=lambda f: np.arange(len(f)))
    again = pd.concat([frame, frame.iloc[100:160]], ignore_index=True)
    results, leaks = found(bench_of(again))
    assert {leak.what for leak in leaks} == {"key", "content"}
    assert results["overlap"].code is ReasonCode.ROWS_OVERLAP
    assert results["overlap"].value == pytest.approx(60 / len(bench_of(again).rows), rel=0.02)
    renamed = again.assign(id=np.arange(len(again)))
    assert {leak.what for leak in found(bench_of(renamed))[1]} == {"content"}
    assert not found(bench_of(again, rule={"max_overlap": 0.2}))[1]


def test_equal_rows_by_chance_are_no_overlap() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({name: rng.integers(0, 4, 1500) for name in "abcd"}).assign(y=rng.random(1500) < 0.5)
        results, leaks = found(bench_of(frame))
        assert not leaks
        assert results["overlap"].verdict is Verdict.ACCEPT
        bench = bench_of(frame)
        shared = shared_content(bench.candidate.features, (bench.train, bench.train_labels), (bench.rows, bench.labels))
        merged = bench.rows.merge(bench.train[[*"abcdy"]].drop_duplicates(), on=[*"abcdy"])
        assert shared.share == pytest.approx(len(merged) / len(bench.rows))


def nulls_of(bench: Any, **counts: int) -> Any:
    nulls = {column.name: counts.get(column.name, 0) for column in bench.snapshot.columns}
    return replace(bench, snapshot=replace(bench.snapshot, unlabelled=200, unlabelled_nulls=nulls))


def test_a_feature_that_comes_with_the_label_is_a_leak() -> None:
    results, leaks = found(nulls_of(bench_of(rows()), a=150, gaps=150, c=60))
    assert [leak.what for leak in leaks] == ["a"]
    assert "a is missing in 75.0% of the rows without a label" in results["known_with_label"].reason
    assert results["known_with_label"].code is ReasonCode.LABEL_LEAKAGE
    reviewed, none = found(nulls_of(bench_of(rows(), rule={"reviewed": ["a"]}), a=150))
    assert not none
    assert reviewed["known_with_label"].verdict is Verdict.ACCEPT
    assert "known_with_label" not in found(bench_of(rows(), rule={"known_with_label": False}))[0]


def test_the_test_of_missing_values_is_fishers() -> None:
    labelled = pd.DataFrame({"a": [1.0] * 90 + [np.nan] * 10})
    seen = missing_with_label([N("a")], [labelled], 12, {"a": 5})["a"]
    expected = fisher_exact([[5, 7], [10, 90]], alternative="greater").pvalue
    assert seen.luck == pytest.approx(expected)
    assert not seen.with_label


def test_uncounted_missing_values_are_said_and_do_not_fail() -> None:
    results, _ = found(bench_of(rows()))
    assert "did not count" in results["known_with_label"].reason
    assert results["known_with_label"].verdict is Verdict.ACCEPT


def test_times_after_as_of() -> None:
    frame = rows(400)
    planned = pd.Series(pd.Timestamp(AS_OF + timedelta(days=400)), index=frame.index)
    results, leaks = found(bench_of(frame.assign(planned=planned)))
    assert not leaks  # no feature: it is told of only
    text = frame.assign(closed=planned.dt.strftime("%Y-%m-%dT%H:%M:%S"))
    results, leaks = found(bench_of(text))
    assert [(leak.kind, leak.what) for leak in leaks] == [("time", "closed")]
    assert results["time"].code is ReasonCode.TIME_IN_FUTURE
    assert not found(bench_of(text, rule={"reviewed": ["closed"]}))[1]
    late = found(bench_of(frame.assign(t=pd.date_range(AS_OF - timedelta(hours=300), periods=400, freq="h"))))
    assert late[0]["time"].value == 99


# -- questions --------------------------------------------------------------------------------------------------------


def listed(seed: int = 0) -> pd.DataFrame:
    """Sale prices, and the list prices before."""
    rng = np.random.default_rng(seed)
    price = rng.lognormal(5, 1, 3000)
    return pd.DataFrame(
        {"list_price": price, "a": rng.normal(size=3000), "y": price * np.exp(rng.normal(0, 0.05, 3000))}
    )


def test_a_strong_feature_is_asked_about_once_and_the_answer_is_a_line_of_the_specification() -> None:
    results, leaks = found(bench_of(listed(), "regression"))
    power = results["single_feature_power"]
    assert [(leak.what, leak.leaking, leak.asked) for leak in leaks] == [("list_price", False, True)]
    assert (power.verdict, power.code) == (Verdict.INCONCLUSIVE, ReasonCode.LEAKAGE_ASKED)
    assert "known before the event? if so, write gate: {leakage: {reviewed: [list_price]}}" in power.reason
    answered, none = found(bench_of(listed(), "regression", rule={"reviewed": ["list_price"]}))
    assert not none
    assert answered["single_feature_power"].verdict is Verdict.ACCEPT
    assert "list_price alone has the power" in answered["single_feature_power"].reason
    assert "reviewed: known before the event" in answered["single_feature_power"].reason


def test_a_feature_that_the_champion_has_is_named_and_does_not_hold_its_successor_back() -> None:
    bench = bench_of(listed(), "regression")
    serving = Champion(model="m", version=3, run_id="q", model_uri="u", candidate=bench.candidate)
    results, leaks = found(replace(bench, champion=serving))
    assert not leaks
    assert results["single_feature_power"].verdict is Verdict.ACCEPT
    assert "not held back, as version 3 serves with it" in results["single_feature_power"].reason
    assert "reviewed: [list_price]" in results["single_feature_power"].reason
    without = replace(bench.candidate, features=(N("a"),))
    _, asked = found(replace(bench, champion=replace(serving, candidate=without)))
    assert [leak.what for leak in asked] == ["list_price"]


def test_a_certain_leak_counts_whoever_has_it() -> None:
    bench = bench_of(rows().assign(leak=lambda f: f["y"] * 1.0))
    serving = Champion(model="m", version=3, run_id="q", model_uri="u", candidate=bench.candidate)
    results, leaks = found(replace(bench, champion=serving))
    assert [leak.what for leak in leaks] == ["leak"]
    assert results["single_feature_power"].verdict is Verdict.REJECT


def test_a_label_that_is_a_sum_of_features_is_rejected() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(2000, 3)), columns=[*"abc"])
    results, leaks = found(bench_of(frame.assign(y=frame["a"] - 2 * frame["c"]), "regression"))
    assert {leak.what for leak in leaks} == {"a, c"}
    assert results["function_of_label"].code is ReasonCode.LABEL_LEAKAGE
    assert "the label is a linear combination of a, c, but for rounding" in results["function_of_label"].reason
    reviewed = bench_of(frame.assign(y=frame["a"] - 2 * frame["c"]), "regression", rule={"reviewed": ["a", "c"]})
    assert not found(reviewed)[1]


def test_a_leak_says_by_what_it_gives_the_label_away() -> None:
    frame = rows()
    ended = pd.Series(np.where(frame["y"] == 1, "2024-02-03", None), index=frame.index, dtype=object)
    _, by_missing = found(bench_of(frame.assign(ended=ended)))
    assert [leak.words for leak in by_missing] == ["ended gives every label away, by whether it is missing"]
    _, of_classes = found(bench_of(frame.assign(copy=frame["y"] * 2.5)))
    assert [leak.words for leak in of_classes] == ["copy gives every label away"]
    amounts = frame.assign(y=frame["a"] + np.random.default_rng(3).normal(size=len(frame)))
    _, of_numbers = found(bench_of(amounts.assign(copy=7 - 2 * amounts["y"]), "regression"))
    assert "gives every label away, but for rounding" in " ".join(leak.words for leak in of_numbers)
