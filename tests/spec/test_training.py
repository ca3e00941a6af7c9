"""Training: a parameter is fixed or searched, and iterations mean nothing to a grid."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.spec import SpecError
from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.training import SearchSpec, TrainingSpec


@pytest.mark.parametrize(
    ("part", "values", "field", "found"),
    [
        (
            SearchSpec,
            {"method": "grid", "parameters": {"C": [1]}, "iterations": 3},
            "iterations",
            "3 with method 'grid'",
        ),
        (
            TrainingSpec,
            {"estimator": "a.B", "parameters": {"C": 1}, "search": {"parameters": {"C": [1, 2]}}},
            "search.parameters.C",
            "'C' also in training.parameters",
        ),
    ],
)
def test_values_that_do_not_fit_together(part: type[SpecModel], values: dict[str, Any], field: str, found: str) -> None:
    with pytest.raises(SpecError) as caught:
        part.model_validate(values)
    assert [(problem.field, problem.found) for problem in caught.value.problems] == [(field, found)]
