"""The calibration slope, against scikit-learn and against its own spread over samples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from airflow_mlops.core.stats.calibration_slope import calibration_slope


@pytest.mark.parametrize("slope", [0.3, 1.0, 2.5])
def test_the_slope_is_that_of_an_unpenalised_logistic_regression(slope: float) -> None:
    rng = np.random.default_rng(3)
    logit = rng.normal(size=3000)
    came = rng.random(3000) < 1 / (1 + np.exp(-0.4 - slope * logit))
    found, error = calibration_slope(1 / (1 + np.exp(-logit)), came)
    other = LogisticRegression(C=1e12, tol=1e-10).fit(logit[:, None], came)
    assert found == pytest.approx(float(other.coef_[0, 0]), rel=1e-4)
    assert abs(found - slope) < 4 * error


def test_the_error_of_the_slope_is_its_spread_over_samples() -> None:
    rng = np.random.default_rng(4)
    found = []
    for _ in range(300):
        logit = rng.normal(size=500)
        found.append(calibration_slope(1 / (1 + np.exp(-logit)), rng.random(500) < 1 / (1 + np.exp(-logit))))
    slopes, errors = np.array(found).T
    assert np.mean(errors) == pytest.approx(np.std(slopes), rel=0.15)
    assert np.mean(slopes) == pytest.approx(1.0, abs=0.05)


def test_outcomes_that_tell_nothing_give_no_slope() -> None:
    assert np.isnan(calibration_slope(np.full(50, 0.5), np.arange(50) % 2 == 0)[0])
    assert np.isnan(calibration_slope(np.linspace(0.1, 0.9, 50), np.linspace(0.1, 0.9, 50) > 0.5)[0])


@pytest.mark.parametrize("seed", range(20))
def test_one_prediction_for_all_rows_has_no_slope_whatever_it_is_rounded_to(seed: int) -> None:
    rng = np.random.default_rng(seed)
    said = rng.uniform(0.01, 0.99)
    rounded = np.nextafter(np.full(166, said), np.where(rng.random(166) < 0.5, 0.0, 1.0))
    for probability in (np.full(166, said), rounded):
        assert np.isnan(calibration_slope(probability, rng.random(166) < said)).all()
