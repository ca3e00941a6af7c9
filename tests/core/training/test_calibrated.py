"""Probabilities that are too sure of themselves: found by the slope, and calibrated in folds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline

from airflow_mlops.core.training.calibrated import (
    FOLDS,
    MANY_EVENTS,
    is_overconfident,
    with_calibration,
)
from airflow_mlops.core.training.fit import is_to_be_calibrated
from airflow_mlops.core.training.training_start import TrainingRows
from tests.support.builders import make_spec


def rows(count: int, rate: float = 0.5, seed: int = 0, classes: int = 2) -> TrainingRows:
    rng = np.random.default_rng(seed)
    inputs = pd.DataFrame(rng.normal(size=(count, 4)), columns=list("abcd"))
    score = 1.2 * inputs["a"] - 0.8 * inputs["b"] + np.log(rate / (1 - rate))
    labels = (rng.random(count) < 1 / (1 + np.exp(-score))).astype(int)
    if classes > 2:
        labels = np.where(rng.random(count) < 0.3, 2, labels)
    times = pd.Series(pd.date_range(datetime(2024, 1, 1, tzinfo=UTC), periods=count, freq="h"))
    return TrainingRows(inputs=inputs, labels=pd.Series(labels), times=times, weights=None)


def boosted() -> Pipeline:
    return Pipeline([("estimator", HistGradientBoostingClassifier(random_state=0))])


def logistic() -> Pipeline:
    return Pipeline([("estimator", LogisticRegression())])


@pytest.mark.parametrize(("count", "rate"), [(800, 0.5), (8000, 0.01)], ids=["few rows", "few positives"])
def test_boosting_on_few_events_is_too_sure_and_a_logistic_regression_is_not(count: int, rate: float) -> None:
    found = rows(count, rate)
    assert is_overconfident(boosted(), found)
    assert not is_overconfident(logistic(), found)


def test_several_classes_are_looked_at_each() -> None:
    assert is_overconfident(boosted(), rows(900, classes=3))
    assert not is_overconfident(logistic(), rows(900, classes=3))


def test_many_events_and_too_few_for_folds_are_not_looked_at() -> None:
    class Counting(HistGradientBoostingClassifier):
        def fit(self, *_: object, **__: object) -> Counting:
            raise AssertionError("nobody fits")

    counting = Pipeline([("estimator", Counting())])
    assert not is_overconfident(counting, rows(3 * MANY_EVENTS))
    assert not is_overconfident(counting, rows(12))


@pytest.mark.slow
@pytest.mark.parametrize(("count", "rate"), [(800, 0.5), (16000, 0.006)], ids=["few rows", "few positives"])
def test_calibration_in_folds_makes_the_loss_better_on_rows_to_come(count: int, rate: float) -> None:
    gained = []
    for seed in range(4):
        learned, later = rows(count, rate, seed), rows(20_000, rate, 100 + seed)
        plain = boosted().fit(learned.inputs, learned.labels)
        made = with_calibration(boosted()).fit(learned.inputs, learned.labels)
        assert len(made[-1].calibrated_classifiers_) == FOLDS
        losses = [log_loss(later.labels, model.predict_proba(later.inputs)) for model in (plain, made)]
        gained.append(losses[0] - losses[1])
    assert len(gained) == 4
    assert min(gained) > 0


@pytest.mark.parametrize(
    ("calibration", "search", "calibrated"),
    [("auto", False, True), ("never", False, False), ("auto", True, False), ("always", True, True)],
)
def test_the_specification_says_whether_probabilities_are_calibrated(
    calibration: str, search: bool, calibrated: bool
) -> None:
    training: dict[str, Any] = {
        "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
        "calibration": calibration,
    }
    if search:
        training |= {"search": {"parameters": {"max_iter": [50]}}}
    assert is_to_be_calibrated(make_spec(training=training), boosted(), rows(800)) is calibrated
