"""The playbook: situations that exist, with a text."""

from __future__ import annotations

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
    ],
)
def test_values_that_do_not_fit_together(part: type[SpecModel], values: dict[str, Any], field: str, found: str) -> None:
    with pytest.raises(SpecError) as caught:
        part.model_validate(values)
    assert [(problem.field, problem.found) for problem in caught.value.problems] == [(field, found)]


def test_a_plan_is_the_teams_own_or_ours() -> None:
    spec = RetrainingSpec(playbook={"drift": "ask Anna"})
    assert (spec.plan("drift"), spec.plan("decay")) == ("ask Anna", PLAYBOOK["decay"])
