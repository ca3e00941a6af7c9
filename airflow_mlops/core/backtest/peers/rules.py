"""What a peer is, how it is led through a table of losses, and how its settings are chosen on history."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from airflow_mlops.core.backtest.costs import RetrainingCost
from airflow_mlops.core.backtest.losses import KnownLosses, LossTable
from airflow_mlops.core.backtest.oracle import Path, objective_of

Setting = TypeVar("Setting")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Whether a peer would train now, and why: one sentence."""

    retrain: bool
    reason: str


Rule = Callable[[KnownLosses], Wish]
"""Asked once at each step after the first, in order: it may remember what it was shown."""


@dataclass(frozen=True, kw_only=True)
class PeerInput:
    """What a peer is made from."""

    history: LossTable | None
    """Losses in the steps before the span, as far as they were known when it began; None: there are too few."""
    cost: RetrainingCost
    every: timedelta
    """Time between two steps."""
    bounded: bool = False
    """Whether the metric lies between 0 and 1, or between -1 and 0 where more of it is better."""

    @property
    def price(self) -> float:
        """What one retraining costs, in units of one step's mean loss."""
        return self.cost.over(self.every)


def simulate(table: LossTable, rule: Rule) -> Path:
    """Lead a rule through every step; what it trains is promoted.

    Where nothing could be trained the champion stays, and the rule is asked again at the next step.
    """
    served: list[tuple[int, int]] = []
    retrained: list[int] = []
    for step in range(table.first, len(table.steps)):
        fresh = table.fresh(step)
        if served:
            version = served[-1][1]
            wish = rule(table.known(step, tuple(served)))
            if wish.retrain and fresh is not None:
                version = fresh
                retrained.append(step)
        elif fresh is None:
            raise ValueError("a table without a model cannot be led through")
        else:
            version = fresh
        served.append((step, version))
    return Path(served=tuple(served), retrained=tuple(retrained))


def tune(given: PeerInput, settings: Sequence[Setting], make: Callable[[Setting], Rule]) -> Setting:
    """Choose the setting with the best objective in the steps before the span.

    Parameters
    ----------
    settings
        In the order of preference: of equally good ones the first is taken.

    Raises
    ------
    ValueError
        If there is no history.
    """
    history = given.history
    if history is None:
        raise ValueError("nothing to tune on: there is no history")
    price = given.cost.over(history.span)

    def objective(setting: Setting) -> float:
        found = objective_of(history, simulate(history, make(setting)), price)
        return math.inf if found is None else found

    return min(settings, key=objective)
