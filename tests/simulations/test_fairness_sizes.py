"""A fair model is decided as fair with the stated power, on as many rows as the rule asks for."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from airflow_mlops.core.gate.rules.fairness.group_sizes import rows_to_decide
from airflow_mlops.core.records.decision import Verdict
from tests.support.fairness_worlds import verdict_of


@pytest.mark.parametrize("groups", [2, 4, 8])
@pytest.mark.parametrize(("rate", "bound"), [(0.5, 0.1), (0.1, 0.1), (0.3, 0.05)])
def test_a_fair_model_stays_within_the_bound(groups: int, rate: float, bound: float) -> None:
    worlds, confidence = 4000, 0.95
    rows = rows_to_decide(rate * (1 - rate), bound, groups, confidence)
    rates = np.random.default_rng(groups).binomial(rows, rate, size=(worlds, groups)) / rows
    share = (np.ptp(rates, axis=1) <= bound).mean()
    error = 3 * sqrt(confidence * (1 - confidence) / worlds)
    assert share >= confidence - error - 0.01  # a normal range for a binomial one
    assert share <= confidence + error + 0.02  # nor is more asked for than is needed


def verdicts(rates: tuple[float, float], worlds: int, rows: int, shared: float = 0.0) -> list[Verdict]:
    return [verdict_of(rates, rows, seed, shared=shared) for seed in range(worlds)]


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.1], ids=["days alike", "days differ"])
def test_the_rule_accepts_fair_models_as_often_as_it_says(shared: float) -> None:
    found = verdicts((0.5, 0.5), 200, 200, shared)
    accepted = sum(verdict is Verdict.ACCEPT for verdict in found) / len(found)
    assert accepted >= 0.95 - 3 * sqrt(0.05 * 0.95 / len(found))
    assert found.count(Verdict.REJECT) == 0


@pytest.mark.slow
def test_a_model_that_differs_by_far_more_than_the_bound_is_refused() -> None:
    found = verdicts((0.3, 0.6), 100, 200)
    assert found.count(Verdict.ACCEPT) == 0
    assert found.count(Verdict.REJECT) >= 90


@pytest.mark.slow
@pytest.mark.parametrize("groups", [2, 5])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_fair_models_are_not_refused_on_small_groups(groups: int, rate: float) -> None:
    found = [verdict_of([rate] * groups, 30, seed) for seed in range(150)]
    assert found.count(Verdict.REJECT) <= 0.05 * len(found)
