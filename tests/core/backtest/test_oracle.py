"""The oracle's schedule against every schedule that there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from airflow_mlops.core.backtest.losses import LossTable
from airflow_mlops.core.backtest.oracle import Path, best_path, objective_of
from tests.support.loss_tables import constant, drawn

SEEDS = range(25)


def schedules(made: LossTable) -> Iterator[Path]:
    """Every subset of the steps to train at, and every choice among what was trained at each."""
    steps = range(made.first + 1, len(made.steps))
    for count in range(len(steps) + 1):
        for retrained in combinations(steps, count):
            for chosen in product(*(made.trained(step) for step in retrained)):
                yield follow(made, dict(zip(retrained, chosen, strict=True)))


def follow(made: LossTable, chosen: dict[int, int]) -> Path:
    served, version = [], made.trained(made.first)[0]
    for step in range(made.first, len(made.steps)):
        version = chosen.get(step, version)
        served.append((step, version))
    return Path(served=tuple(served), retrained=tuple(chosen))


def random_table(seed: int, steps: int = 7) -> LossTable:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 5, size=steps).tolist()
    rows[1] = 3
    untrained = [step for step in range(steps) if rng.random() < 0.2 and step]
    return constant(rng.random((steps, steps)).tolist(), rows=rows, untrained=untrained)


@pytest.mark.parametrize("price", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("seed", SEEDS)
def test_no_schedule_is_better(seed: int, price: float) -> None:
    made = random_table(seed)
    best = objective_of(made, best_path(made, price), price)
    every = [objective_of(made, path, price) for path in schedules(made)]
    known = [objective for objective in every if objective is not None]
    assert len(known) == len(every) >= 2
    assert best == pytest.approx(min(known))


@pytest.mark.parametrize("seed", range(5))
def test_it_may_choose_among_the_models_of_one_step(seed: int) -> None:
    """As where a policy knows of a change: two versions of step 2, of which the second is named last."""
    made = drawn(seed, steps=5)
    better = replace(made.models[3], steps=tuple(replace(s, loss=(s.loss or 0) / 9) for s in made.models[3].steps))
    both = replace(made, models={**made.models, 20003: better}, trained_at={**made.trained_at, 20003: 2})
    assert both.fresh(2) == 3
    path = best_path(both, 0.001)
    assert 20003 in {version for _, version in path.served}
    every = [objective_of(both, one, 0.001) for one in schedules(both)]
    assert objective_of(both, path, 0.001) == pytest.approx(min(one for one in every if one is not None))


def test_of_equally_good_ones_it_keeps_longest() -> None:
    made = constant([[1.0] * 4] * 4)
    assert best_path(made, 0.0).retrained == ()
    assert best_path(made, 0.1).served == ((0, 1), (1, 1), (2, 1), (3, 1))


def test_the_cost_decides_how_often_it_trains() -> None:
    made = drawn(1)
    counts = [len(best_path(made, price).retrained) for price in (0.0, 0.005, 0.05, 10.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2] >= 1 > counts[3]
