"""What recalibrating would have saved: against fits of scikit-learn, and what it is where nothing is to be saved."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, mean_squared_error

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.stats.recalibration import FEWEST, PRIOR_ROWS, find_savings

ROWS = 4_000


def of_labels(place: Array, label: Array) -> tuple[Array, Array]:
    """Score and information of log loss around log odds as they are."""
    said = expit(place)
    curve = said * (1 - said)
    design = np.column_stack([np.ones(len(place)), place])
    return design.T @ (label - said) / len(place), (design * curve[:, None]).T @ design / len(place)


def of_numbers(said: Array, truth: Array) -> tuple[Array, Array]:
    """Score and information of the mean square error."""
    design = np.column_stack([np.ones(len(said)), said])
    return 2 * design.T @ (truth - said) / len(said), 2 * design.T @ design / len(said)


def stacked(blocks: list[tuple[Array, Array]], rows: int = ROWS) -> tuple[Array, Array, Array]:
    return np.array([one[0] for one in blocks]), np.array([one[1] for one in blocks]), np.full(len(blocks), rows)


@pytest.mark.parametrize(("level", "slope"), [(-0.3, 1.0), (0.3, 1.0), (0.0, 0.8), (-0.2, 1.2)])
def test_labels_save_what_a_logistic_regression_of_the_blocks_before_saves(level: float, slope: float) -> None:
    rng = np.random.default_rng(1)
    places = [rng.normal(-1, 1, ROWS) for _ in range(6)]
    labels = [(rng.random(ROWS) < expit(level + slope * place)).astype(float) for place in places]
    saved = find_savings(*stacked([of_labels(*one) for one in zip(places, labels, strict=True)]), learned=4, late=0)
    assert saved[:FEWEST] == pytest.approx(0.0)
    fit = LogisticRegression(C=np.inf).fit(np.concatenate(places[:4])[1:, None], np.concatenate(labels[:4])[1:])
    recalibrated = fit.predict_proba(places[4][:, None])[:, 1]
    better = log_loss(labels[4], expit(places[4])) - log_loss(labels[4], recalibrated)
    assert better > 0.002
    assert saved[4] == pytest.approx(better, rel=0.15)  # to the second order


def test_numbers_save_exactly_what_a_regression_of_the_blocks_before_saves() -> None:
    rng = np.random.default_rng(2)
    said = [rng.normal(size=ROWS) for _ in range(7)]
    truth = [0.5 + 0.8 * one + rng.normal(size=ROWS) for one in said]
    saved = find_savings(*stacked([of_numbers(*one) for one in zip(said, truth, strict=True)]), learned=3, late=2)
    fit = LinearRegression().fit(np.concatenate(said[2:5])[:, None], np.concatenate(truth[2:5]))
    better = mean_squared_error(truth[6], said[6]) - mean_squared_error(truth[6], fit.predict(said[6][:, None]))
    assert saved[6] == pytest.approx(better, rel=3 * PRIOR_ROWS / ROWS)


def test_a_model_that_is_right_saves_a_little_less_than_nothing() -> None:
    rng = np.random.default_rng(3)
    blocks = []
    for _ in range(200):
        place = rng.normal(-1, 1, 100)
        blocks.append(of_labels(place, (rng.random(100) < expit(place)).astype(float)))
    saved = find_savings(*stacked(blocks, 100), learned=20, late=1)[30:]
    # Two parameters of 2,000 rows: half of their number over the rows, for the fit, is what is lost in the mean.
    assert saved.mean() == pytest.approx(-1 / 2_000, abs=3 * saved.std() / np.sqrt(len(saved)))
    assert saved.mean() < 0


def test_blocks_without_a_line_save_what_their_level_says() -> None:
    level = np.array([[0.1, 0.1 * -1.0]] * 5)  # one prediction: the place is always -1
    curve = np.array([[[0.2, -0.2], [-0.2, 0.2]]] * 5)
    saved = find_savings(level, curve, np.full(5, 1_000), learned=4, late=1)
    assert np.isfinite(saved).all()
    assert saved[4] == pytest.approx(0.1**2 / 0.2 / 2, rel=0.02)


def test_too_few_blocks_say_nothing() -> None:
    nothing = find_savings(np.ones((2, 2)), np.tile(np.eye(2), (2, 1, 1)), np.full(2, 10), learned=5, late=1)
    assert nothing.tolist() == [0.0, 0.0]
    late = find_savings(np.ones((6, 2)), np.tile(np.eye(2), (6, 1, 1)), np.full(6, 10), learned=5, late=4)
    assert late.tolist() == [0.0] * 6
