"""CARA's staleness and its three rules."""

from __future__ import annotations

import math

import pytest

from airflow_mlops.core.backtest.costs import RetrainingCost
from airflow_mlops.core.backtest.losses import mean_of
from airflow_mlops.core.backtest.oracle import best_path, objective_of
from airflow_mlops.core.backtest.peers.cara import (
    Period,
    make_cumulative,
    make_periodic,
    make_threshold,
    newest_staleness,
    summed_staleness,
    train_at,
)
from airflow_mlops.core.backtest.peers.rules import PeerInput, simulate
from tests.support.loss_tables import WEEK, constant, drawn, table


def given(worse_by: float, seed: int = 1) -> PeerInput:
    return PeerInput(history=drawn(seed), cost=RetrainingCost(worse_by=worse_by, per=WEEK), every=WEEK)


def test_staleness_is_the_loss_less_that_of_the_holdout() -> None:
    """The holdout's loss is 0.5; a model of age n loses 0.5 + 0.2 n. Labels take a day, so 6 of 7 days are known."""
    made = table(6, lambda trained, used, block: 0.5 if block < 0 else 0.5 + 0.2 * (used - trained))
    served = [(n, 1) for n in range(4)]
    known = made.known(4, served)
    assert mean_of(known.new_blocks()) == pytest.approx((1 * 0.9 + 6 * 1.1) / 7)
    assert newest_staleness(known) == pytest.approx((1 * 0.4 + 6 * 0.6) / 7)
    assert summed_staleness(known) == pytest.approx(0.0 + 0.2 + 0.4 + 0.6 * 6 / 7)


def test_nothing_known_is_no_staleness() -> None:
    made = drawn(1, delay=3 * WEEK)
    known = made.known(2, [(0, 1), (1, 1)])
    assert newest_staleness(known) is None
    assert summed_staleness(known) == 0.0
    assert simulate(made, make_threshold(given(0.0001))).retrained[:1] != (1,)


def test_a_threshold_acts_on_the_newest_and_a_sum_on_all() -> None:
    """Losses creep up by 0.1 a step. A retraining costs 0.25 of a step, and nothing was ever stale before the span."""

    def loss(trained: int, used: int, block: int) -> float:
        return 0.5 if block < 0 else 0.5 + 0.1 * (used - trained)

    made = table(9, loss, delay=0 * WEEK)
    fresh = constant([[0.5] * 5] * 5)
    quiet = PeerInput(history=fresh, cost=RetrainingCost(worse_by=0.25, per=WEEK), every=WEEK)
    assert simulate(made, make_threshold(quiet)).retrained == (4, 8)  # 0, 0.1, 0.2, 0.3 > 0.25
    assert simulate(made, make_cumulative(quiet)).retrained == (3, 6)  # 0 + 0.1 + 0.2 > 0.25


def test_a_period_has_an_offset() -> None:
    made = drawn(1, steps=9)
    assert simulate(made, train_at(Period(length=3, offset=2))).retrained == (2, 5, 8)
    assert simulate(made, train_at(Period(length=1, offset=1))).retrained == (1, 2, 3, 4, 5, 6, 7, 8)
    assert simulate(made, train_at(None)).retrained == ()


@pytest.mark.parametrize("make", [make_threshold, make_cumulative, make_periodic])
@pytest.mark.parametrize("seed", range(4))
def test_its_parameter_is_the_best_on_the_offline_part(make: object, seed: int) -> None:
    """Nothing that is too dear is trained; and on the offline part itself no worse than never."""
    made = drawn(seed)
    assert simulate(made, make(given(50.0, seed))).retrained == ()  # type: ignore[operator]
    cheap = given(0.01, seed)
    price = cheap.cost.over(made.span)
    path = simulate(made, make(cheap))  # type: ignore[operator]
    found, never = (objective_of(made, one, price) for one in (path, simulate(made, train_at(None))))
    best = objective_of(made, best_path(made, price), price)
    assert found is not None
    assert never is not None
    assert best is not None
    assert best - 1e-12 <= found <= never + 1e-12


def test_a_retraining_that_costs_nothing_is_no_reason_to_fail() -> None:
    free = given(0.0)
    assert math.isfinite(objective_of(drawn(1), simulate(drawn(1), make_threshold(free)), 0.0) or math.nan)
