"""One policy through every step, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.policies import GATED, make_policy
from airflow_mlops.core.backtest.policy import PolicyContext
from airflow_mlops.core.backtest.tasks import serving_version, train
from airflow_mlops.core.records.backtest import Future, Turn
from airflow_mlops.spec.model import ModelSpec


class FutureKey(NamedTuple):
    """Which future is to be measured: the arguments of `measure_future`, in order."""

    step: int
    version: int
    newest: int


@dataclass(frozen=True, kw_only=True)
class ReplayedTurn:
    """A turn of which is not yet known what came of it, and the futures that tell."""

    turn: Turn
    serving: FutureKey
    """Of the model that serves from then on."""
    before: FutureKey
    """Of the one that served until then."""

    def finish(self, futures: Mapping[FutureKey, Future]) -> Turn:
        """Return the turn with what came of it: the serving model's loss, and whether the one before had decayed."""
        after, before = futures[self.serving], futures[self.before]
        decayed = before.behind if self.turn.retrained else None
        alarm = decayed is False
        return replace(
            self.turn, rows=after.rows, loss=after.loss, behind=after.behind, false_alarm=alarm, decayed=decayed
        )


def replay(inputs: Inputs, name: str, spec: ModelSpec) -> Sequence[ReplayedTurn]:
    """Lead one policy through every step, from the first one that trained a model.

    Parameters
    ----------
    name
        Of the policy.
    spec
        The plan's specification, or a point's of a grid.

    Returns
    -------
    sequence
        A turn for each step from there on; none if no step trained a model.
    """
    policy = make_policy(name, inputs, spec)
    served: list[tuple[int, int]] = []
    turns: list[ReplayedTurn] = []
    newest = 0
    for step, window in enumerate(inputs.plan.steps):
        as_of, trained = window.start, train(inputs, step + 1)
        if trained.outcome == "trained":
            newest, _ = serving_version(inputs, spec, step + 1, None, gated=False)
        if not newest:
            continue
        before = serving = served[-1][1] if served else newest
        turn = Turn(
            as_of=as_of, action="start", retrained=False, promoted=False, serving=as_of, reason="the first model"
        )
        if served:
            chosen = policy(
                PolicyContext(step=step, as_of=as_of, trained=trained, version=step + 1, served=tuple(served))
            )
            seconds = chosen.seconds
            if chosen.promoted:
                serving, took = serving_version(inputs, spec, chosen.version, before, gated=name in GATED)
                seconds += took
            turn = Turn(
                as_of=as_of,
                serving=inputs.plan.steps[inputs.plan.step_of(serving)].start,
                action=chosen.action,
                reason=chosen.reason,
                retrained=chosen.retrained,
                promoted=chosen.promoted,
                seconds=seconds,
            )
        served.append((step, serving))
        after, until = FutureKey(step, serving, newest), FutureKey(step, before, newest)
        turns.append(ReplayedTurn(turn=turn, serving=after, before=until))
    return turns
