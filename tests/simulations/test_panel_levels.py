"""How often a gain on panel data is called sure that is none: machines that stay, new ones, and ones with states."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.stats.bootstrap import gain, wider

MACHINES, DAYS, LATER, WORLDS = 150, 14, 60, 150


@dataclass(frozen=True)
class Panel:
    """A difference of two models' losses: noise of one row, and what machines and days have in common."""

    lasting: float = 0.0
    """Standard deviation of what a machine is."""
    states: float = 0.0
    """Of the state that it is in: an autoregression over days."""
    rho: float = 0.0
    days: float = 0.0
    new: bool = False
    """Whether other machines come after the holdout."""

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Differences on the holdout, shape (machines, days), and their mean afterwards."""
        span = DAYS + LATER
        own, day = self.lasting * rng.normal(size=MACHINES), self.days * rng.normal(size=span)
        state = np.empty((MACHINES, span))
        state[:, 0] = rng.normal(size=MACHINES)
        for number in range(1, span):
            state[:, number] = self.rho * state[:, number - 1] + math.sqrt(1 - self.rho**2) * rng.normal(size=MACHINES)
        found = own[:, None] + day + self.states * state + rng.normal(size=(MACHINES, span))
        later = day[DAYS:].mean() + (0.0 if self.new else own.mean() + self.states * state[:, DAYS:].mean())
        return found[:, :DAYS], float(later)


def lower_bounds(found: np.ndarray, seed: int) -> tuple[float, float]:
    """Lower bound by days, and by days and machines: of absolute errors that differ as drawn."""
    other = 10 + found.ravel()
    sides = [
        LabelledPredictions("regression", np.zeros(other.size), loss, None)
        for loss in (np.full(other.size, 10.0), other)
    ]
    days, machines = np.tile(np.arange(DAYS), MACHINES), np.repeat(np.arange(MACHINES), DAYS)
    by = [gain(METRICS["mae"], *sides, block, resamples=400, seed=seed) for block in (days, machines)]
    return by[0].lower, wider(*by).lower


@pytest.mark.parametrize(
    ("world", "days_hold"),
    [
        (Panel(lasting=0.5), True),
        (Panel(lasting=0.5, days=0.1), True),
        (Panel(lasting=0.5, new=True), False),
        (Panel(states=0.5, rho=0.9), False),
        (Panel(states=1.0, rho=0.7), False),
    ],
    ids=["lasting", "lasting and days", "new machines", "states of weeks", "states of days"],
)
def test_both_ways_together_hold_their_level(world: Panel, days_hold: bool) -> None:
    rng = np.random.default_rng(11)
    wrong = np.zeros(2)
    for number in range(WORLDS):
        found, later = world.draw(rng)
        wrong += np.array(lower_bounds(found, number)) > later
    error = math.sqrt(0.05 * 0.95 / WORLDS)
    by_days, by_both = wrong / WORLDS
    assert by_both <= 0.05 + 3 * error
    assert (by_days <= 0.05 + 3 * error) == days_hold
