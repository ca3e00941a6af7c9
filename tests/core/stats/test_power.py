"""Minimum detectable effect and rows needed, against statsmodels' exact power of the t test."""

import math

import pytest
from statsmodels.stats.power import TTestPower

from airflow_mlops.core.stats.bootstrap import Gain
from airflow_mlops.core.stats.power import detectable, rows_needed


def observed(value: float, units: int, deviation: float = 1.0, rows: int | None = None) -> Gain:
    """What the bootstrap gives for units of this standard deviation."""
    error = deviation / math.sqrt(units) * math.sqrt((units - 1) / units)
    return Gain(value=value, lower=0, upper=1, rows=rows or units, units=units, error=error)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("power", [0.6, 0.8, 0.95])
@pytest.mark.parametrize("units", [10, 14, 60, 5000])
def test_the_detectable_effect_is_the_t_tests(units: int, power: float, confidence: float) -> None:
    exact = TTestPower().solve_power(nobs=units, alpha=1 - confidence, power=power, alternative="larger")
    found = detectable(observed(0.1, units), 0.0, confidence, power)
    assert found == pytest.approx(exact, rel=0.05 if units < 20 else 0.01)
    assert detectable(observed(0.1, units), -0.3, confidence, power) == pytest.approx(found - 0.3)


@pytest.mark.parametrize("effect", [0.05, 0.2, 0.6])
def test_the_rows_needed_are_the_t_tests(effect: float) -> None:
    exact = TTestPower().solve_power(effect_size=effect, alpha=0.05, power=0.8, alternative="larger")
    found = rows_needed(observed(effect, 200, rows=4000), 0.0, 0.95)
    assert found == pytest.approx(20 * exact, rel=0.03)


def test_with_the_rows_needed_the_observed_gain_is_what_can_be_detected() -> None:
    first = observed(0.07, 300)
    rows = rows_needed(first, 0.02, 0.95)
    assert rows is not None
    assert detectable(observed(0.07, rows), 0.02, 0.95) == pytest.approx(0.07, rel=1e-3)


@pytest.mark.parametrize("value", [0.0, -0.1, math.nan, math.inf])
def test_no_number_of_rows_shows_a_gain_that_is_not_there(value: float) -> None:
    assert rows_needed(observed(value, 100), 0.0, 0.95) is None


def test_without_a_standard_error_nothing_is_said() -> None:
    few = Gain(value=0.1, lower=math.nan, upper=math.nan, rows=300, units=5)
    assert rows_needed(few, 0.0, 0.95) is None
    assert math.isnan(detectable(few, 0.0, 0.95))
    unbounded = Gain(value=0.1, lower=-math.inf, upper=math.inf, rows=300, units=300, error=math.inf)
    assert rows_needed(unbounded, 0.0, 0.95) is None
    assert math.isinf(detectable(unbounded, 0.0, 0.95))
    assert math.isnan(detectable(Gain(value=0.1, lower=0, upper=1, rows=1, units=1, error=0.1), 0, 0.95))
