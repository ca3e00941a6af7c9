"""Drift and performance: counts that fit, references and tests that exist."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.spec import SpecError
from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.monitoring import DriftSpec, MonitoringSpec, PerformanceSpec


@pytest.mark.parametrize(
    ("part", "values", "field", "found"),
    [
        (DriftSpec, {"violations": 6}, "violations", "6 of 5"),
        (DriftSpec, {"references": []}, "references", "none"),
        (DriftSpec, {"references": ["training", "never"]}, "references", "'never'"),
        (DriftSpec, {"tests": {"temp": "g_test"}}, "tests.temp", "'g_test'"),
        (PerformanceSpec, {"violations": 4}, "violations", "4 of 3"),
        (PerformanceSpec, {"max_drop": 0.2, "urgent_drop": 0.1}, "urgent_drop", "0.1"),
        (MonitoringSpec, {"window": "14d", "longest_window": "7d"}, "longest_window", "7d, with a window of 14d"),
    ],
)
def test_values_that_do_not_fit_together(part: type[SpecModel], values: dict[str, Any], field: str, found: str) -> None:
    with pytest.raises(SpecError) as caught:
        part.model_validate(values)
    assert [(problem.field, problem.found) for problem in caught.value.problems] == [(field, found)]


def test_a_window_that_is_longer_than_the_longest_one_by_default_is_no_mistake() -> None:
    assert MonitoringSpec.model_validate({"window": "90d"}).window.days == 90
