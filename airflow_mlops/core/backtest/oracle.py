"""The best schedule of retrainings in hindsight, by dynamic programming over the matrix of losses."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_mlops.core.backtest.losses import LossTable


@dataclass(frozen=True, kw_only=True)
class Path:
    """What a policy served, and when it trained."""

    served: tuple[tuple[int, int], ...]
    """Step and version, from the first model's step on."""
    retrained: tuple[int, ...]
    """Steps at which it trained."""


def objective_of(table: LossTable, path: Path, price: float) -> float | None:
    """Mean loss plus what the retrainings cost; less is better. None where no step counts.

    Parameters
    ----------
    price
        What one retraining adds to the mean loss.
    """
    mean = table.mean_loss(path.served)
    return None if mean is None else mean + price * len(path.retrained)


def best_path(table: LossTable, price: float) -> Path:
    """Find the schedule with the smallest objective, beginning with the first model.

    Parameters
    ----------
    table
        Losses of every model that may be served: at each step, of those that were trained at it.
    price
        What one retraining adds to the mean loss.

    Returns
    -------
    Path
        Of equally good ones the one that keeps its models longest.

    Notes
    -----
    The oracle of Mahadevan and Mathioudakis, Cost-aware retraining for machine learning, Knowledge-Based Systems 293,
    2024: from the last step backwards, what is to come costs

        rest(t, m) = min over m' in {m} + trained at t of  price [m' != m] + weight(t) loss(m', t) + rest(t + 1, m')

    where m serves before step t. There, losses are relative to those of the training, which moves the cost of every
    schedule; here they are the losses themselves, as in the objective. Time grows with the square of the steps.
    """
    chosen: list[dict[int, int]] = []
    rest: dict[int, float] = {}
    for step in reversed(range(table.first, len(table.steps))):
        fresh = table.trained(step)
        cost = {
            version: _cost(table, version, step) + rest.get(version, 0.0)
            for version, at in table.trained_at.items()
            if at <= step
        }
        best = min(fresh, key=lambda version: cost[version], default=None)
        now: dict[int, float] = {}
        choice: dict[int, int] = {}
        for version, at in table.trained_at.items():
            if at >= step:
                continue
            now[version], choice[version] = cost[version], version
            if best is not None and price + cost[best] < cost[version]:
                now[version], choice[version] = price + cost[best], best
        chosen.append(choice)
        rest = now or cost
    return _follow(table, list(reversed(chosen)))


def _cost(table: LossTable, version: int, step: int) -> float:
    weight = table.weights.get(step, 0.0)
    if not weight:
        return 0.0
    loss = table.loss(version, step)
    return math.inf if loss is None else weight * loss


def _follow(table: LossTable, chosen: list[dict[int, int]]) -> Path:
    version = table.fresh(table.first)
    if version is None:
        raise ValueError("a table without a model has no schedule")
    served, retrained = [(table.first, version)], []
    for step, choice in enumerate(chosen[1:], table.first + 1):
        if choice[version] != version:
            version = choice[version]
            retrained.append(step)
        served.append((step, version))
    return Path(served=tuple(served), retrained=tuple(retrained))
