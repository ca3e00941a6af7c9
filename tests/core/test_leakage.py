"""Single features that know the label: found; keys, noise and rare classes: not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from airflow_mlops.core.leakage import leaking, single_feature_power
from airflow_mlops.core.model import Feature, Task

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
    assert leaking({"a": power(task, N("a"), label.astype(float), label), "b": 0.5}, 1.0) == ("a",)
    if task != "regression":
        assert power(task, C("c"), label.astype(str), label.astype(str)) == 1.0


def test_a_constant_has_no_power(labels: np.ndarray) -> None:
    assert power("binary", N("a"), np.ones(2000), labels) == 0.5
    assert power("binary", N("a"), np.full(2000, np.nan), labels) == 0.5
