"""The playbook: situations that exist, with a text; and what a retraining costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_mlops.spec import SpecError
from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.retraining import PLAYBOOK, RetrainingSpec


@pytest.mark.parametrize(
    ("part", "values", "field", "found"),
    [
        (RetrainingSpec, {"playbook": {"panic": "run"}}, "playbook.panic", "'panic'"),
        (RetrainingSpec, {"playbook": {"drift": " "}}, "playbook.drift", "' '"),
        (RetrainingSpec, {"playbook": {"drift": ["wait"]}}, "playbook.drift", "['wait']"),
        (RetrainingSpec, {"cost": {"worse_by": -0.1}}, "cost.worse_by", "-0.1"),
        (RetrainingSpec, {"cost": {"per": "0d"}}, "cost.per", "'0d'"),
    ],
)
def test_values_that_do_not_fit_together(part: type[SpecModel], values: dict[str, Any], field: str, found: str) -> None:
    with pytest.raises(SpecError) as caught:
        part.model_validate(values)
    assert [(problem.field, problem.found) for problem in caught.value.problems] == [(field, found)]


def test_a_plan_is_the_teams_own_or_ours() -> None:
    spec = RetrainingSpec(playbook={"drift": "ask Anna"})
    assert (spec.plan("drift"), spec.plan("decay")) == ("ask Anna", PLAYBOOK["decay"])


def test_a_retraining_costs_what_is_said_or_what_the_first_model_tells() -> None:
    assert (RetrainingSpec().cost.worse_by, RetrainingSpec().cost.per) == (None, timedelta(days=30))
    said = RetrainingSpec.model_validate({"cost": {"worse_by": 0.01, "per": "1w"}})
    assert (said.cost.worse_by, said.cost.per) == (0.01, timedelta(days=7))
