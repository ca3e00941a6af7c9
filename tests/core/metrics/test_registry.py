"""Every registered metric against scikit-learn, and as a function of row weights against repeated rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.preprocessing import label_binarize

from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import METRICS, judge, measure, metrics_of, primary
from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.spec import metrics as declared

BINARY = {
    "log_loss": sk.log_loss,
    "brier": lambda y, p: sk.brier_score_loss(y, p[:, 1]),
    "roc_auc": lambda y, p: sk.roc_auc_score(y, p[:, 1]),
    "average_precision": lambda y, p: sk.average_precision_score(y, p[:, 1]),
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(1)),
    "f1": lambda y, p: sk.f1_score(y, p.argmax(1)),
    "precision": lambda y, p: sk.precision_score(y, p.argmax(1)),
    "recall": lambda y, p: sk.recall_score(y, p.argmax(1)),
}
MULTICLASS = {
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "roc_auc": lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr"),
    "average_precision": lambda y, p: sk.average_precision_score(label_binarize(y, classes=[0, 1, 2]), p),
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(1)),
    "f1": lambda y, p: sk.f1_score(y, p.argmax(1), average="macro"),
    "precision": lambda y, p: sk.precision_score(y, p.argmax(1), average="macro"),
    "recall": lambda y, p: sk.recall_score(y, p.argmax(1), average="macro"),
}
REGRESSION = {
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "median_absolute_error": sk.median_absolute_error,
    "mape": sk.mean_absolute_percentage_error,
    "r2": sk.r2_score,
}


def classified(rng: np.random.Generator, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.r_[np.arange(classes), rng.integers(0, classes, rows - classes)]
    raw = rng.exponential(size=(rows, classes)) + np.eye(classes)[labels]
    probabilities = np.round(raw / raw.sum(axis=1, keepdims=True), 2)  # rounding makes ties
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def judged_classes(labels: np.ndarray, probabilities: np.ndarray) -> LabelledPredictions:
    task: Any = "binary" if probabilities.shape[1] == 2 else "multiclass"
    classes = tuple(range(probabilities.shape[1]))
    predicted = Predicted(task=task, classes=classes, values=probabilities.argmax(axis=1), probabilities=probabilities)
    return judge(pd.Series(labels), predicted)


def judged_numbers(labels: np.ndarray, values: np.ndarray) -> LabelledPredictions:
    return judge(pd.Series(labels), Predicted(task="regression", classes=(), values=values, probabilities=None))


def example(name: str, rng: np.random.Generator, rows: int, task: str) -> LabelledPredictions:
    if METRICS[name].kind == "regression":
        labels = rng.normal(3, 2, rows)
        return judged_numbers(labels, labels + rng.normal(size=rows).round(1))
    return judged_classes(*classified(rng, rows, 2 if task == "binary" else 3))


def test_the_registry_is_what_the_specification_declares_and_all_of_it_is_tested_here() -> None:
    assert set(METRICS) == set(declared.METRICS) == {*BINARY, *REGRESSION}
    assert set(BINARY) == set(MULTICLASS)
    for name, metric in METRICS.items():
        said = declared.METRICS[name]
        assert (metric.kind, metric.greater_is_better) == (said.kind, said.greater_is_better)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", BINARY)
def test_binary_values_are_scikit_learns(name: str, seed: int) -> None:
    labels, probabilities = classified(np.random.default_rng(seed), 211, 2)
    expected = BINARY[name](labels, probabilities)
    assert METRICS[name](judged_classes(labels, probabilities)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", MULTICLASS)
def test_multiclass_values_are_scikit_learns(name: str, seed: int) -> None:
    labels, probabilities = classified(np.random.default_rng(seed), 211, 3)
    expected = MULTICLASS[name](labels, probabilities)
    assert METRICS[name](judged_classes(labels, probabilities)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rows", [50, 51])
@pytest.mark.parametrize("name", REGRESSION)
def test_regression_values_are_scikit_learns(name: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    labels = rng.normal(1e6, 3, rows)
    values = labels + rng.normal(size=rows)
    assert METRICS[name](judged_numbers(labels, values)) == pytest.approx(REGRESSION[name](labels, values), rel=1e-9)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("name", METRICS)
@given(seed=st.integers(0, 10_000), rows=st.integers(6, 40))
@settings(max_examples=25, deadline=None)
def test_whole_number_weights_are_repeated_rows(name: str, task: str, seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    judged = example(name, rng, rows, task)
    weights = rng.integers(0, 4, (3, rows)).astype(float)
    found = METRICS[name].weighted(judged)(weights)
    assert len(found) == 3
    for value, weight in zip(found, weights.astype(int), strict=True):
        picked = np.repeat(np.arange(rows), weight)
        probabilities = None if judged.probabilities is None else judged.probabilities[picked]
        again = LabelledPredictions(judged.task, judged.y_true[picked], judged.y_pred[picked], probabilities)
        expected = METRICS[name](again) if len(picked) else np.nan
        if name == "r2" and not np.isfinite(expected):
            assert len(set(judged.y_true[picked].tolist())) == 1  # 0/0, and what rounding makes of it
            continue
        np.testing.assert_allclose(value, expected, rtol=1e-7, equal_nan=True)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("blocks", [1, 7, 600])
@pytest.mark.parametrize("name", METRICS)
def test_block_weights_are_the_weights_of_their_rows(name: str, blocks: int, task: str) -> None:
    rng = np.random.default_rng(blocks)
    rows = 900
    judged = example(name, rng, rows, task)
    block = np.r_[np.arange(blocks), rng.integers(0, blocks, rows - blocks)]
    weights = rng.integers(0, 3, (5, blocks)).astype(float)
    weights[:, 0] += 1
    metric = METRICS[name].weighted(judged)
    found = metric.collapse(block, blocks)(weights)
    np.testing.assert_allclose(found, metric(weights[:, block]), rtol=1e-9)
    twice = metric.collapse(block, blocks).collapse(np.arange(blocks) // 2, -(-blocks // 2))
    pairs = rng.integers(1, 3, (2, -(-blocks // 2))).astype(float)
    np.testing.assert_allclose(twice(pairs), metric(pairs[:, np.arange(blocks) // 2][:, block]), rtol=1e-9)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_makes_the_metric_nan(name: str, bad: float) -> None:
    rng = np.random.default_rng(0)
    if METRICS[name].kind == "regression":
        judged = judged_numbers(rng.normal(size=30), np.r_[bad, rng.normal(size=29)])
    else:
        labels, probabilities = classified(rng, 30, 2)
        probabilities[3, 1] = bad
        judged = judged_classes(labels, probabilities)
    assert np.isnan(METRICS[name](judged))
    assert np.isnan(METRICS[name].weighted(judged).collapse(np.zeros(30, dtype=int), 1)(np.ones((2, 1)))).all()


@pytest.mark.parametrize("name", METRICS)
def test_no_rows_are_nan(name: str) -> None:
    empty = np.array([])
    kind = METRICS[name].kind
    judged = (
        judged_numbers(empty, empty) if kind == "regression" else judged_classes(empty.astype(int), np.ones((0, 2)))
    )
    assert np.isnan(METRICS[name](judged))


def test_what_is_not_defined_is_nan_and_not_an_exception() -> None:
    ones = np.full((20, 2), 0.5)
    found = measure(judged_classes(np.zeros(20, dtype=int), ones))
    assert np.isnan(found["roc_auc"])
    assert np.isnan(found["average_precision"])
    assert not np.isfinite(measure(judged_numbers(np.ones(9), np.arange(9.0)))["r2"])


def test_a_class_that_the_model_does_not_know_is_a_miss_not_an_error() -> None:
    predicted = Predicted(
        task="binary", classes=("a", "b"), values=np.array(["a", "b"]), probabilities=np.array([[0.9, 0.1], [0.2, 0.8]])
    )
    found = measure(judge(pd.Series(["a", "c"]), predicted))
    assert found["accuracy"] == 0.5
    assert found["log_loss"] > 10


def test_two_models_with_different_classes_are_judged_by_the_same_ones() -> None:
    labels = pd.Series(["a", "b", "c", "c"])
    old = Predicted(
        task="binary", classes=("a", "c"), values=np.array(["a", "a", "c", "c"]), probabilities=np.full((4, 2), 0.5)
    )
    judged = judge(labels, old, ("a", "b", "c"))
    assert judged.task == "multiclass"
    np.testing.assert_array_equal(judged.probabilities, [[0.5, 0.0, 0.5]] * 4)
    np.testing.assert_array_equal(judged.y_true, [0, 1, 2, 2])
    assert METRICS["accuracy"](judged) == 0.75


@pytest.mark.parametrize(("task", "name"), [("binary", "log_loss"), ("multiclass", "log_loss"), ("regression", "rmse")])
def test_the_default_primary_metric_follows_the_task(loop: Any, task: Any, name: str) -> None:
    assert primary(loop.spec(), task) == name
    assert primary(loop.spec(gate={"primary": "brier"}), task) == "brier"


def sklearn_value(name: str, judged: LabelledPredictions, weights: Any) -> float:
    """Scikit-learn's own value with sample weights."""
    y, said, p = judged.y_true, judged.y_pred, judged.probabilities
    w = {"sample_weight": weights}
    if judged.task == "regression":
        return float(REGRESSION[name](y, said, **w))
    average: dict[str, Any] = {} if judged.task == "binary" else {"average": "macro", "labels": [0, 1, 2]}
    assert p is not None
    scores = p[:, 1] if judged.task == "binary" else p
    functions: dict[str, Any] = {
        "log_loss": lambda: sk.log_loss(y, p, **w),
        "brier": lambda: sk.brier_score_loss(y, scores, **w),
        "roc_auc": lambda: sk.roc_auc_score(y, scores, multi_class="ovr", **w),
        "average_precision": lambda: sk.average_precision_score(
            y if judged.task == "binary" else label_binarize(y, classes=[0, 1, 2]), scores, **w
        ),
        "accuracy": lambda: sk.accuracy_score(y, said, **w),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(y, said, **w),
        "f1": lambda: sk.f1_score(y, said, **average, **w),
        "precision": lambda: sk.precision_score(y, said, **average, **w),
        "recall": lambda: sk.recall_score(y, said, **average, **w),
    }
    return float(functions[name]())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("name", METRICS)
def test_weighted_values_are_scikit_learns(name: str, task: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain = example(name, rng, 211, task)
    weights = rng.exponential(size=211) * (rng.random(211) < 0.8)  # some rows weigh nothing
    judged = LabelledPredictions(plain.task, plain.y_true, plain.y_pred, plain.probabilities, weights)
    assert METRICS[name](judged) == pytest.approx(sklearn_value(name, judged, weights), rel=1e-9)
    if name != "median_absolute_error":  # of rounded errors it may stay where it was
        assert METRICS[name](judged) != pytest.approx(METRICS[name](plain), rel=1e-9)


OF_DECISIONS = [name for name, one in METRICS.items() if one.kind == "classification" and not one.needs_probabilities]
"""Metrics of true and predicted classes alone."""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", OF_DECISIONS)
def test_rows_of_a_class_that_the_model_does_not_know_count_as_for_scikit_learn(name: str, seed: int) -> None:
    """In a mean over classes it is none of them, as with `labels` there; elsewhere it is a class like others."""
    rng = np.random.default_rng(seed)
    plain = example(name, rng, 211, "multiclass")
    labels = np.where(rng.random(211) < 0.2, -1, plain.y_true)
    weights = rng.exponential(size=211)
    judged = LabelledPredictions(plain.task, labels, plain.y_pred, plain.probabilities, weights)
    same = {"balanced_accuracy": "recall"}.get(name, name)  # scikit-learn's own has no `labels`
    assert METRICS[name](judged) == pytest.approx(sklearn_value(same, judged, weights), rel=1e-9)
    assert METRICS[name](judged) != pytest.approx(METRICS[name](plain), rel=1e-9)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, "none"])
def test_weights_that_mean_nothing_make_the_metric_nan(name: str, bad: Any) -> None:
    plain = example(name, np.random.default_rng(0), 30, "binary")
    weights = np.zeros(30) if bad == "none" else np.r_[bad, np.ones(29)]
    judged = LabelledPredictions(plain.task, plain.y_true, plain.y_pred, plain.probabilities, weights)
    assert np.isnan(METRICS[name](judged))
    assert "a weight is not a finite number" in str(METRICS[name].why_undefined(judged))
    assert METRICS[name].why_undefined(plain) is None


def test_judging_carries_the_weights_and_taking_rows_takes_them_too() -> None:
    labels, probabilities = classified(np.random.default_rng(0), 20, 2)
    predicted = Predicted(
        task="binary", classes=(0, 1), values=probabilities.argmax(axis=1), probabilities=probabilities
    )
    judged = judge(pd.Series(labels), predicted, weights=pd.Series(np.arange(20)))
    assert judged.weights.dtype == float
    part = judged.take(np.array([3, 5, 5]))
    np.testing.assert_array_equal(part.weights, [3, 5, 5])
    np.testing.assert_array_equal(part.probabilities, probabilities[[3, 5, 5]])
    assert len(judged.take(np.arange(20) < 7).y_true) == 7
    zeros = Predicted(task="regression", classes=(), values=np.zeros(2), probabilities=None)
    number = judge(pd.Series([1.0, 2.0]), zeros, weights=np.array([1, 3]))
    assert METRICS["mae"](number) == 7 / 4


@pytest.mark.parametrize("labels", [["a", "c", "d", "c"], [1, 7, 8, 7], [True, False, True, True]])
def test_original_labels_come_back_unknown_ones_too(labels: list[Any]) -> None:
    classes: tuple[Any, ...] = (labels[0], "b") if isinstance(labels[0], str) else (labels[0], labels[0] * 3)
    values = np.array([labels[0], classes[1], labels[2], labels[2]])
    found = judge(pd.Series(labels), Predicted(task="binary", classes=classes, values=values, probabilities=None))
    truth, said = found.labels
    assert truth.tolist() == labels
    assert said.tolist() == values.tolist()
    assert METRICS["accuracy"](found) == pytest.approx(np.mean(np.array(labels) == values))


def test_without_names_the_numbers_are_the_labels() -> None:
    judged = LabelledPredictions("binary", np.array([0, 1]), np.array([1, 1]), None)
    assert [part.tolist() for part in judged.labels] == [[0, 1], [1, 1]]


def test_a_specification_without_metrics_of_its_own_has_the_registered_ones(loop: Any) -> None:
    assert metrics_of(loop.spec()) == METRICS
