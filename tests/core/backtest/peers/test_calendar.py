"""The tuned calendar."""

from __future__ import annotations

import pytest

from airflow_mlops.core.backtest.costs import RetrainingCost
from airflow_mlops.core.backtest.peers.calendar import make_calendar, train_every
from airflow_mlops.core.backtest.peers.rules import PeerInput, simulate
from tests.support.loss_tables import WEEK, constant, drawn

AGEING = constant([[float(used - trained) for used in range(7)] for trained in range(7)])


@pytest.mark.parametrize(
    ("period", "steps"), [(1, (1, 2, 3, 4, 5, 6)), (2, (2, 4, 6)), (3, (3, 6)), (6, (6,)), (None, ())]
)
def test_it_trains_every_so_many_steps(period: int | None, steps: tuple[int, ...]) -> None:
    assert simulate(AGEING, train_every(period)).retrained == steps


def test_it_counts_from_the_last_training_that_there_was() -> None:
    assert simulate(drawn(1, steps=7, untrained=[2]), train_every(2)).retrained == (3, 5)


@pytest.mark.parametrize(("worse_by", "steps"), [(0.1, (1, 2, 3, 4, 5, 6)), (1.4, (2, 4, 6)), (50.0, ())])
def test_its_period_is_the_best_one_before_the_span(worse_by: float, steps: tuple[int, ...]) -> None:
    cost = RetrainingCost(worse_by=worse_by, per=WEEK)
    rule = make_calendar(PeerInput(history=AGEING, cost=cost, every=WEEK))
    assert simulate(AGEING, rule).retrained == steps
