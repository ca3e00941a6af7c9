"""What a candidate must show: bounds that some value keeps, and one way to resample."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.spec import SpecError
from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.gate import AbsoluteRule, ChampionRule, GateSpec


@pytest.mark.parametrize(
    ("part", "values", "field", "found"),
    [
        (ChampionRule, {"entity": "plane", "block": "2d"}, "entity", "entity 'plane' beside a block of time"),
        (AbsoluteRule, {"metric": "roc_auc"}, "", "neither 'min' nor 'max'"),
        (AbsoluteRule, {"metric": "roc_auc", "min": 0.9, "max": 0.1}, "min", "min 0.9 above max 0.1"),
        (
            GateSpec,
            {"absolute": [{"metric": "roc_auc", "min": 0.9}, {"metric": "roc_auc", "max": 0.1}]},
            "absolute",
            "roc_auc at least 0.9 in one entry, and at most 0.1 in another",
        ),
    ],
)
def test_values_that_do_not_fit_together(part: type[SpecModel], values: dict[str, Any], field: str, found: str) -> None:
    with pytest.raises(SpecError) as caught:
        part.model_validate(values)
    assert [(problem.field, problem.found) for problem in caught.value.problems] == [(field, found)]


def test_an_entity_leaves_the_default_block_without_effect() -> None:
    assert ChampionRule(entity="plane").changed_fields() == {"entity"}
