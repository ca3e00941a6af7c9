"""What a retraining costs is said by the specification, or taken from the first model."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_mlops.core.backtest.costs import RetrainingCost, cost_of
from airflow_mlops.core.records.candidate import Candidate
from tests.support.builders import make_candidate
from tests.support.drifting_stream import specification

MONTH = timedelta(days=30)


def first(**metrics: float) -> Candidate:
    return make_candidate(metrics=metrics)


def test_the_specification_says_it() -> None:
    spec = specification(retraining={"cost": {"worse_by": 0.25, "per": "10d"}})
    assert cost_of(spec, first(log_loss=0.5), "log_loss") == RetrainingCost(worse_by=0.25, per=timedelta(days=10))


def test_or_it_is_a_hundredth_of_the_first_models_metric() -> None:
    found = cost_of(specification(), first(log_loss=0.5), "log_loss")
    assert found == RetrainingCost(worse_by=0.005, per=MONTH, derived=True)
    assert "a log_loss that is worse by 0.005 for 30d (a hundredth" in found.words("log_loss")
    assert cost_of(specification(), first(r2=-0.5), "r2").worse_by == pytest.approx(0.005)
    assert cost_of(specification(), first(), "log_loss").worse_by == 0.0


def test_it_is_shared_out_over_a_span() -> None:
    """Worse by so much in the days that a retraining is paid for, and not in the others: the mean over all days."""
    cost = RetrainingCost(worse_by=0.3, per=MONTH)
    days = [0.3] * 30 + [0.0] * 335
    assert cost.over(timedelta(days=365)) == pytest.approx(sum(days) / len(days))
    assert cost.over(timedelta(0)) == 0.0
