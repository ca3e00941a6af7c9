"""Score and information of a block's line are the derivatives of the metric itself, by differences of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit, logit

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.monitoring.performance.recalibrated import line_meter_of
from airflow_mlops.core.records.performance import LineTerms

STEP = 1e-4
RNG = np.random.default_rng(7)
PROBABILITY = RNG.uniform(0.05, 0.95, 300)
LABEL = (RNG.random(300) < PROBABILITY * 0.7).astype(int)
WEIGHT = RNG.uniform(0.5, 2.0, 300)
NUMBER = RNG.normal(40, 5, 300)
TRUTH = NUMBER + RNG.normal(0, 3, 300)


def labels(probability: Array) -> LabelledPredictions:
    both = np.column_stack([1 - probability, probability])
    return LabelledPredictions("binary", LABEL, (probability > 0.5).astype(int), both, WEIGHT, ("no", "yes"))


def numbers(value: Array) -> LabelledPredictions:
    return LabelledPredictions("regression", TRUTH, value, None)


def on_log_odds(level: float, slope: float) -> LabelledPredictions:
    place = logit(PROBABILITY)
    return labels(expit(place + level + slope * place))


def on_probabilities(level: float, slope: float) -> LabelledPredictions:
    return labels(PROBABILITY + level + slope * PROBABILITY)


def on_numbers(level: float, slope: float) -> LabelledPredictions:
    return numbers(NUMBER + level + slope * (NUMBER - NUMBER.mean()) / NUMBER.std())


@pytest.mark.parametrize(
    ("metric", "moved"), [("log_loss", on_log_odds), ("brier", on_probabilities)], ids=["log loss", "Brier score"]
)
def test_a_block_has_the_derivatives_of_its_metric(
    metric: str, moved: Callable[[float, float], LabelledPredictions]
) -> None:
    judged = moved(0.0, 0.0)
    meter = line_meter_of(metric, judged, None)
    assert meter is not None
    (found,) = meter.measure(judged, np.zeros(300, dtype=int), 1)
    measure = METRICS[metric]
    assert_derivatives(found, lambda level, slope: measure(moved(level, slope)))


def test_of_numbers_they_are_those_of_the_squares_over_the_promised_error() -> None:
    meter = line_meter_of("rmse", numbers(NUMBER), None)
    assert meter is not None
    (found,) = meter.measure(numbers(NUMBER), np.zeros(300, dtype=int), 1)
    error = METRICS["rmse"](numbers(NUMBER))

    def loss(level: float, slope: float) -> float:
        return METRICS["rmse"](on_numbers(level, slope)) ** 2 / (2 * error)

    assert_derivatives(found, loss)
    # and of the error itself, to the first order
    assert found.score[0] == pytest.approx(-difference(lambda at: METRICS["rmse"](on_numbers(at, 0.0))), abs=1e-5)


def test_each_block_has_its_own_rows() -> None:
    meter = line_meter_of("log_loss", labels(PROBABILITY), None)
    assert meter is not None
    block = np.arange(300) % 3
    found = meter.measure(labels(PROBABILITY), block, 3)
    assert len(found) == 3
    for place in range(3):
        (alone,) = meter.measure(labels(PROBABILITY).take(block == place), np.zeros(100, dtype=int), 1)
        assert found[place].score[0] == pytest.approx(alone.score[0])
        assert found[place].information[2] == pytest.approx(alone.information[2])


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "mae", "rmse"])
def test_a_metric_that_no_line_changes_has_none(metric: str) -> None:
    assert line_meter_of(metric, labels(PROBABILITY), None) is None


def test_without_holdout_rows_or_errors_there_is_no_meter() -> None:
    assert line_meter_of("log_loss", None, None) is None
    assert line_meter_of("rmse", numbers(TRUTH), None) is None


def difference(loss: Callable[[float], float]) -> float:
    return (loss(STEP) - loss(-STEP)) / (2 * STEP)


def assert_derivatives(found: LineTerms, loss: Callable[[float, float], float]) -> None:
    def second(level: float, slope: float) -> float:
        return (loss(level, slope) - 2 * loss(0.0, 0.0) + loss(-level, -slope)) / STEP**2

    assert found.score[0] == pytest.approx(-difference(lambda at: loss(at, 0.0)), abs=1e-5)
    assert found.score[1] == pytest.approx(-difference(lambda at: loss(0.0, at)), abs=1e-5)
    assert found.information[0] == pytest.approx(second(STEP, 0.0), abs=1e-4)
    assert found.information[2] == pytest.approx(second(0.0, STEP), abs=1e-4)
    both = (second(STEP, STEP) - second(STEP, 0.0) - second(0.0, STEP)) / 2
    assert found.information[1] == pytest.approx(both, abs=1e-4)
