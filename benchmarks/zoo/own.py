"""The specification's own policy alone, through the steps of a backtest: only what it asks for is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from airflow_mlops.core.backtest.inputs import Inputs
    from airflow_mlops.core.backtest.policy import PolicyAction
    from airflow_mlops.core.records.backtest import Trained


@dataclass(frozen=True, kw_only=True)
class OwnTurn:
    """What the policy did at a step."""

    step: int
    serving: int
    """Version that serves from then on."""
    chosen: PolicyAction
    drift: str
    """Verdict of what was seen; so is the next. Empty at the first step."""
    performance: str


class _LazyTrained:
    """The model of a step, which is trained when somebody looks at it."""

    def __init__(self, inputs: Inputs, version: int) -> None:
        self._inputs, self._version = inputs, version

    def __getattr__(self, name: str) -> Any:
        from airflow_mlops.core.backtest.tasks import train

        return getattr(train(self._inputs, self._version), name)


def replay_own(inputs: Inputs) -> Iterator[OwnTurn]:
    """Lead the specification's own policy through every step, from the first that trains a model.

    Raises
    ------
    ValueError
        If no step trains one: then there is none to watch.
    """
    # With --code this runs other working trees, in which all of a policy stands in one module.
    policies: Any = import_module("airflow_mlops.core.backtest.policies")
    policy = policies.ControlledPolicy(inputs, inputs.spec)
    names = {field.name for field in fields(policies.PolicyContext)}
    first = _first_step(inputs)
    served = [(first, first + 1)]
    start = policies.PolicyAction(action="start", reason="the first model")
    yield OwnTurn(step=first, serving=first + 1, chosen=start, drift="", performance="")
    for step, window in enumerate(inputs.plan.steps[first + 1 :], first + 1):
        given: dict[str, Any] = {
            "step": step,
            "as_of": window.start,
            "trained": cast("Trained", _LazyTrained(inputs, step + 1)),
            "version": step + 1,
            "served": tuple(served),
        }
        # And in which a version is not always a field, and not always chosen.
        chosen = policy(policies.PolicyContext(**{name: value for name, value in given.items() if name in names}))
        version = getattr(chosen, "version", 0) or step + 1
        served.append((step, version if chosen.promoted else served[-1][1]))
        seen = policy.drift[0].verdict, policy.performance[0].verdict
        yield OwnTurn(step=step, serving=served[-1][1], chosen=chosen, drift=seen[0], performance=seen[1])


def measure_own(inputs: Inputs, step: int, version: int) -> tuple[int, float | None]:
    """Rows and loss, in the future of a step, of a version; where none was trained, of the newest before it."""
    from airflow_mlops.core.backtest.futures import measure_future
    from airflow_mlops.core.backtest.tasks import train

    while train(inputs, version).outcome != "trained":
        version -= 1
    found = measure_future(inputs, step, version, version)
    return found.rows, found.loss


def _first_step(inputs: Inputs) -> int:
    from airflow_mlops.core.backtest.tasks import train

    problems: tuple[str, ...] = ()
    for step in range(len(inputs.plan.steps)):
        found = train(inputs, step + 1)
        if found.outcome == "trained":
            return step
        problems = problems or found.problems
    raise ValueError(f"no step trains a model; the first: {'; '.join(problems[:3])}")
