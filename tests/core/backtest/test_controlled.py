"""The specification's own policy remembers what its controller needs, and trains when that says so."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from airflow_mlops.core.backtest.controlled import ControlledPolicy
from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.policy import PolicyContext
from airflow_mlops.core.backtest.tasks import judge, refer, train
from airflow_mlops.core.retraining.shadow import first_age
from tests.support.backtest_calls import sources
from tests.support.drifting_stream import START, specification, stream


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("controlled")
    stream().to_parquet(folder / "orders.parquet")
    return sources(folder).open()


def at(inputs: Inputs, step: int, **changes: Any) -> PolicyContext:
    """The first model has served until `step`."""
    values: dict[str, Any] = {"trained": train(inputs, step + 1), "served": tuple((s, 1) for s in range(step))}
    values |= {"step": step, "version": step + 1, "as_of": START + step * timedelta(days=10)}
    train(inputs, 1)
    return PolicyContext(**{**values, **changes})


def test_the_controller_remembers_what_it_saw_newest_first(inputs: Inputs) -> None:
    policy = ControlledPolicy(inputs, specification())
    done = [policy(at(inputs, step)) for step in (1, 2)]
    assert [each.action for each in done] == ["wait", "wait"]
    assert [report.as_of for report in policy.drift] == [at(inputs, step).as_of for step in (2, 1)]
    assert [report.as_of for report in policy.performance] == [at(inputs, step).as_of for step in (2, 1)]
    assert policy.referred == {1}
    assert done[0].seconds >= refer(inputs, 1).seconds
    assert (policy.decisions, policy.challenges, policy.promoted_over) == ([], [], {})


@pytest.mark.slow
def test_the_controller_trains_when_the_world_has_turned(inputs: Inputs) -> None:
    policy = ControlledPolicy(inputs, specification())
    done = [policy(at(inputs, step)) for step in range(1, 9)]
    retrained = [step for step, each in enumerate(done, start=1) if each.retrained]
    assert retrained
    assert min(retrained) >= 5
    assert [decision.number for decision in policy.decisions] == list(range(len(policy.decisions), 0, -1))
    assert len(policy.challenges) == len(retrained)
    assert {inputs.plan.step_of(version) for version in policy.promoted_over} <= set(retrained)


@pytest.mark.slow
def test_a_shadow_is_trained_where_one_is_due_and_its_seconds_are_counted(inputs: Inputs) -> None:
    """As of the step at which the champion's age is first reached, on the model of that step."""
    spec = specification(retraining={"cooldown": "0d", "backoff": 1.0, "on_shadow": True})
    due = math.ceil(first_age(spec) / timedelta(days=10))
    policy = ControlledPolicy(inputs, spec)
    done = {step: policy(at(inputs, step)) for step in range(1, due + 1)}
    assert not any(each.retrained for each in done.values())
    (shadow,) = policy.shadows
    assert (shadow.as_of, shadow.champion_version) == (at(inputs, due).as_of, 1)
    assert shadow.verdict == judge(inputs, spec, due + 1, 1).decision.verdict.value
    without = ControlledPolicy(inputs, specification())
    quiet = {step: without(at(inputs, step)) for step in range(1, due + 1)}
    assert without.shadows == []
    spent = train(inputs, due + 1).seconds + judge(inputs, spec, due + 1, 1).seconds
    assert done[due].seconds == pytest.approx(quiet[due].seconds + spent)
