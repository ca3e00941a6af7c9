"""Streams whose days differ are not in drift, and what changes for good is: a bounded, seeded simulation.

The long one is `benchmarks/drift_days.py`. Of 26 weeks of two streams with four or eight columns, a share of 1 % has a
Monte Carlo error of about one point, as weeks of a stream share their reference.
"""

from __future__ import annotations

import numpy as np
import pytest

from airflow_mlops.spec.monitoring import DriftSpec
from tests.support.day_streams import ALIKE, ONE_HAS_HALF, DayStream, watched


@pytest.mark.parametrize("weights", [ALIKE, ONE_HAS_HALF])
@pytest.mark.parametrize(("sd", "rho"), [(0.0, 0.0), (0.2, 0.6), (0.5, 0.0), (0.5, 0.6), (0.5, 0.9)])
def test_a_stationary_stream_is_seldom_in_drift(sd, rho, weights):
    found = watched(DayStream(sd=sd, rho=rho, weights=weights), 3, weeks=26, seed=2)
    assert found.column <= (0.05 if rho < 0.9 else 0.12)
    assert found.signal <= (0.05 if rho < 0.9 else 0.15)


@pytest.mark.parametrize("rows", [6, 20, 70])
def test_small_windows_are_judged_at_their_level(rows):
    """Windows of 42, 140 and 490 rows, with days that differ and without."""
    drift = DriftSpec.model_validate({"min_rows": 20})
    for sd in (0.0, 0.5):
        found = watched(DayStream(sd=sd, rho=0.3, rows=rows), 3, weeks=26, seed=3, drift=drift)
        assert found.column <= 0.02


@pytest.mark.parametrize("weights", [ALIKE, ONE_HAS_HALF])
@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_a_mean_that_moved_for_good_is_found_in_the_first_window(rho, weights):
    """By one standard deviation of the rows, where days have a fifth of it."""
    found = watched(DayStream(sd=0.2, rho=rho, weights=weights, shift=1.0), 20, weeks=1, seed=4)
    assert found.first >= (0.95 if rho == 0 else 0.75)


def test_the_smallest_window_finds_a_large_shift():
    """What the default of `monitoring.drift.min_rows` rests on: one standard deviation, in one of a hundred columns."""
    stream = DayStream(sd=0.0, rho=0.0, rows=50, window=1, weights=(0.01,) * 100, shift=1.0)
    rows = int(DriftSpec.model_validate({}).min_rows)
    assert rows == stream.rows * stream.window
    found = [report for _ in range(4) for report in stream.reports(np.random.default_rng(_), 5, DriftSpec())]
    assert len(found) == 20
    assert np.mean([report.columns[0].verdict == "drift" for report in found]) >= 0.7
