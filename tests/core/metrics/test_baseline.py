"""The constant prediction: class shares, mean or median of the training labels."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor

from airflow_mlops.core.metrics.baseline import trivial


@pytest.mark.parametrize("labels", [[True, False, False], [2, 0, 1, 2], ["b", "a", "b", "b"]])
def test_class_shares_are_those_of_scikit_learns_prior(labels: list[Any]) -> None:
    dummy = DummyClassifier(strategy="prior").fit([[0]] * len(labels), labels)
    task: Any = "binary" if len(set(labels)) == 2 else "multiclass"
    model: Any = SimpleNamespace(task=task, classes=tuple(dummy.classes_.tolist()), features=(), positive=None)
    found = trivial(model, pd.Series(labels), 5, "log_loss")
    np.testing.assert_allclose(found.probabilities, dummy.predict_proba([[0]] * 5))
    assert list(found.values) == list(dummy.predict([[0]] * 5))


@pytest.mark.parametrize(
    ("metric", "strategy"), [("rmse", "mean"), ("r2", "mean"), ("mae", "median"), ("mape", "median")]
)
def test_the_constant_of_a_regression_is_the_best_for_its_metric(metric: str, strategy: str) -> None:
    labels = pd.Series([1.0, 2.0, 9.0])
    model: Any = SimpleNamespace(task="regression", classes=(), features=(), positive=None)
    expected = DummyRegressor(strategy=strategy).fit([[0]] * 3, labels).predict([[0]] * 4)
    np.testing.assert_allclose(trivial(model, labels, 4, metric).values, expected)


def test_a_class_without_training_rows_has_no_share() -> None:
    model: Any = SimpleNamespace(task="multiclass", classes=("a", "b", "c"), features=(), positive=None)
    found = trivial(model, pd.Series(["a", "c", "c"]), 2, "log_loss")
    np.testing.assert_allclose(found.probabilities, [[1 / 3, 0, 2 / 3]] * 2)


def test_weights_count_in_shares_mean_and_median() -> None:
    model: Any = SimpleNamespace(task="binary", classes=("a", "b"), features=(), positive=None)
    found = trivial(model, pd.Series(["a", "b", "b"]), 2, "log_loss", np.array([8.0, 1.0, 1.0]))
    np.testing.assert_allclose(found.probabilities, [[0.8, 0.2]] * 2)
    assert found.values.tolist() == ["a", "a"]
    number: Any = SimpleNamespace(task="regression", classes=(), features=(), positive=None)
    labels, weights = pd.Series([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 3.0])
    for metric, strategy in (("rmse", "mean"), ("mae", "median")):
        expected = DummyRegressor(strategy=strategy).fit([[0]] * 3, labels, weights).predict([[0]])
        np.testing.assert_allclose(trivial(number, labels, 1, metric, weights).values, expected)
