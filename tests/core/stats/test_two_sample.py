"""A metric's sampling error, and the difference of two samples, against Welch and Student."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.stats.two_sample import SampledMetric, drop, sampled
from tests.support.rule_inputs import binary, numbers


def test_errors_add_up_as_they_do_for_means():
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=400), rng.normal(0.1, 2.0, 300)
    settings = {"confidence": 0.95, "resamples": 8000, "seed": 1}
    first, second = (sampled(METRICS["mae"], numbers(np.zeros(len(e)), e), None, **settings) for e in (old, new))
    assert second.error == pytest.approx(np.abs(new).std(ddof=1) / np.sqrt(300), rel=0.03)
    found = drop(first, second, greater_is_better=False, confidence=0.95)
    welch = stats.ttest_ind(np.abs(new), np.abs(old), equal_var=False).confidence_interval(0.9)
    assert (found.lower, found.upper) == pytest.approx((welch.low, welch.high), rel=0.03)


def test_a_sample_of_few_blocks_takes_the_error_of_the_other():
    known = SampledMetric(value=1.0, rows=400, units=16, error=0.1)
    few = SampledMetric(value=2.0, rows=100, units=4)
    found = drop(known, few, greater_is_better=False, confidence=0.9)
    reach = stats.t.ppf(0.9, 15) * np.hypot(0.1, 0.2)
    assert (found.lower, found.upper) == pytest.approx((1 - reach, 1 + reach))
    assert drop(few, few, greater_is_better=False, confidence=0.9).lower is None


def test_rows_that_fall_together_widen_the_error():
    rng = np.random.default_rng(3)
    p = np.full(2000, 0.5)
    together = np.repeat(rng.random(20) < 0.5, 100)
    settings = {"confidence": 0.95, "resamples": 500, "seed": 1}
    judged = binary(together, np.where(rng.random(2000) < 0.9, 0.8, 0.2) * 0 + p + 0.1)
    by_day = sampled(METRICS["brier"], judged, np.repeat(np.arange(20), 100), **settings)
    assert by_day.error > 5 * sampled(METRICS["brier"], judged, None, **settings).error
