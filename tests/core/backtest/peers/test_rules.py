"""How a rule is led through a table, and how its settings are chosen."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_mlops.core.backtest.costs import RetrainingCost
from airflow_mlops.core.backtest.losses import KnownLosses
from airflow_mlops.core.backtest.peers.rules import PeerInput, Rule, Wish, simulate, tune
from tests.support.loss_tables import WEEK, constant, drawn


def at(*steps: int) -> Rule:
    def rule(known: KnownLosses) -> Wish:
        return Wish(retrain=known.step in steps, reason="")

    return rule


def given(worse_by: float, **changes: object) -> PeerInput:
    cost = RetrainingCost(worse_by=worse_by, per=timedelta(days=7))
    return PeerInput(history=drawn(1), cost=cost, every=WEEK, **changes)  # type: ignore[arg-type]


def test_a_rule_is_asked_at_each_step_after_the_first() -> None:
    asked: list[tuple[int, int, int]] = []

    def rule(known: KnownLosses) -> Wish:
        asked.append((known.step, known.champion, known.since))
        return Wish(retrain=known.step in {2, 3}, reason="")

    path = simulate(drawn(1, steps=5), rule)
    assert asked == [(1, 1, 0), (2, 1, 0), (3, 3, 2), (4, 4, 3)]
    assert path.served == ((0, 1), (1, 1), (2, 3), (3, 4), (4, 4))
    assert path.retrained == (2, 3)


def test_where_nothing_is_trained_the_champion_stays() -> None:
    path = simulate(drawn(1, steps=5, untrained=[0, 2]), at(2, 3))
    assert path.served == ((1, 2), (2, 2), (3, 4), (4, 4))
    assert path.retrained == (3,)


def test_the_cost_of_a_retraining_is_in_units_of_a_step() -> None:
    assert given(0.5).price == pytest.approx(0.5)
    cost = RetrainingCost(worse_by=0.5, per=timedelta(days=28))
    assert PeerInput(history=None, cost=cost, every=WEEK).price == pytest.approx(2.0)


def test_the_best_setting_is_chosen_and_of_equal_ones_the_first() -> None:
    """A model a week old loses 1 more: train each week where that costs less."""
    history = constant([[float(used - trained) for used in range(6)] for trained in range(6)])

    def every(period: int) -> Rule:
        return lambda known: Wish(retrain=known.step % period == 0, reason="")

    for worse_by, best in ((0.5, 1), (1.5, 2), (30.0, 9)):
        cost = RetrainingCost(worse_by=worse_by, per=WEEK)
        assert tune(PeerInput(history=history, cost=cost, every=WEEK), (9, 1, 2, 10), every) == best
    with pytest.raises(ValueError, match="there is no history"):
        tune(PeerInput(history=None, cost=cost, every=WEEK), (1,), every)
