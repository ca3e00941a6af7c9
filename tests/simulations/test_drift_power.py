"""How often the verdict is wrong, and how often it finds what is there: a bounded, seeded simulation."""

from __future__ import annotations

from datetime import UTC, datetime
from math import sqrt

import numpy as np
import pytest

from airflow_mlops.core.monitoring.drift.compare import compare
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.spec.monitoring import EFFECTS, DriftSpec
from tests.support.streams import BEFORE, mixed, profile

AS_OF = datetime(2013, 7, 8, tzinfo=UTC)


def spec(**values: object) -> DriftSpec:
    return DriftSpec.model_validate({"min_rows": 50, **values})


def report(before: Profile, now: Profile, drift: DriftSpec) -> DriftReport:
    return compare(before, now, drift, champion_version=1, as_of=AS_OF)


@pytest.mark.parametrize(
    ("rows", "columns", "windows"),
    [(50, 5, 150), (50, 50, 15), (200, 5, 150), (200, 500, 2), (1000, 50, 15), (10_000, 500, 2), (100_000, 50, 15)],
)
def test_windows_without_drift_are_called_drift_at_most_at_the_level(rows, columns, windows):
    rng = np.random.default_rng(rows + columns)
    drift = spec()
    reports = [
        report(profile(rng, 20_000, mixed(columns), BEFORE), profile(rng, rows, mixed(columns)), drift)
        for _ in range(windows)
    ]
    alarms = sum(any(column.verdict == "drift" for column in one.columns) for one in reports)
    assert alarms / windows <= drift.level + 3 * sqrt(drift.level * (1 - drift.level) / windows)
    assert sum(one.verdict == "drift" for one in reports) <= max(1, drift.level * windows / 2)
    if rows >= 1000:
        assert alarms == 0  # the smallest effect that matters is far from chance


@pytest.mark.parametrize("effect", EFFECTS)
def test_no_effect_size_is_fooled_by_small_windows(effect):
    rng = np.random.default_rng(1)
    reports = [
        report(profile(rng, 20_000, mixed(5), BEFORE), profile(rng, 100, mixed(5)), spec(effect=effect))
        for _ in range(40)
    ]
    assert sum(column.verdict == "drift" for one in reports for column in one.columns) <= 0.05 * 200


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("change", ["shift", "category", "missing"])
@pytest.mark.parametrize(("rows", "columns"), [(1000, 50), (10_000, 5), (100_000, 50)])
def test_what_is_there_is_found(change, rows, columns, effect):
    """A mean that moves by 0.3 standard deviations, 5 % of a value never seen, missing values from 5 to 10 %."""
    rng = np.random.default_rng(rows + columns)
    kinds = mixed(columns, change, changed=2)
    found = []
    for _ in range(5):
        now = profile(rng, rows, kinds)
        one = report(profile(rng, 20_000, mixed(columns), BEFORE), now, spec(effect=effect, min_effect=0.04))
        found += [c.verdict for c, (_, changed) in zip(one.columns, kinds, strict=True) if changed]
    assert found.count("drift") / len(found) >= 0.9
