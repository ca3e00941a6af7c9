"""UPF: its forecast, its quantiles, and when it trains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from airflow_mlops.core.backtest.costs import RetrainingCost
from airflow_mlops.core.backtest.peers.forecast import (
    Observed,
    all_pairs,
    beta_parameters,
    fit_losses,
    make_upf,
    seen_pairs,
)
from airflow_mlops.core.backtest.peers.rules import PeerInput, simulate
from tests.support.loss_tables import WEEK, constant, drawn, table


def ageing(steps: int, noise: float = 0.0, seed: int = 1) -> list[list[float]]:
    """A model loses 0.1 more with each step."""
    rng = np.random.default_rng(seed)
    return [[0.3 + 0.1 * (used - trained) + noise * rng.normal() for used in range(steps)] for trained in range(steps)]


def given(worse_by: float, history: list[list[float]] | None = None, *, bounded: bool = False) -> PeerInput:
    made = None if history is None else constant(history)
    cost = RetrainingCost(worse_by=worse_by, per=WEEK)
    return PeerInput(history=made, cost=cost, every=WEEK, bounded=bounded)


def test_the_pairs_are_those_of_models_and_later_steps() -> None:
    pairs = list(all_pairs(constant(ageing(4))))
    assert len(pairs) == 4 + 3 + 2 + 1
    assert pairs[1] == Observed(trained=-4, used=-3, loss=pytest.approx(0.4))  # type: ignore[arg-type]
    seen = list(seen_pairs(constant(ageing(6)).known(4, ((0, 1), (1, 1), (2, 3), (3, 3)))))
    assert [(one.trained, one.used) for one in seen] == [(0, 0), (0, 1), (0, 2), (0, 3), (2, 2), (2, 3)]
    assert [one.loss for one in seen] == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.3, 0.4])


def test_it_finds_that_age_costs() -> None:
    observed = tuple(all_pairs(constant(ageing(8, noise=0.01))))
    assert len(observed) == 36
    forecast = fit_losses(observed, bounded=False)
    old, new = forecast.mean([(-8, 0), (0, 0)])
    assert old - new == pytest.approx(0.8, abs=0.1)
    assert forecast.variance == pytest.approx(0.01**2, rel=1.0)


def test_quantiles_are_those_of_the_sum() -> None:
    forecast = fit_losses(tuple(all_pairs(constant(ageing(8, noise=0.02)))), bounded=False)
    pairs = [(0, step) for step in range(5)]
    rng = np.random.default_rng(3)
    sums = (forecast.mean(pairs) + np.sqrt(forecast.variance) * rng.normal(size=(200_000, 5))).sum(axis=1)
    assert forecast.quantile(pairs, seed=1) == pytest.approx(float(np.quantile(sums, 0.95)), abs=0.002)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_bounded_losses_are_of_the_beta_family(sign: float) -> None:
    """Of a metric of which more is better, losses lie between -1 and 0."""
    history = [[loss if sign > 0 else loss - 1 for loss in row] for row in ageing(6, noise=0.03)]
    forecast = fit_losses(tuple(all_pairs(constant(history))), bounded=True)
    shift = 0.0 if sign > 0 else 1.0
    assert forecast.offset == shift
    (mean,) = forecast.mean([(-1, -1)])
    found = forecast.quantile([(-1, -1)], seed=1)
    first, second = beta_parameters(np.array([mean + shift]), forecast.variance)
    expected = stats.beta(first[0], second[0]).ppf(0.95) - shift
    assert found == pytest.approx(float(expected), abs=0.005)


@pytest.mark.parametrize(("mean", "variance"), [(0.3, 0.01), (0.9, 0.02), (0.5, 0.2)])
def test_beta_parameters_have_the_moments(mean: float, variance: float) -> None:
    first, second = beta_parameters(np.array([mean]), variance)
    assert stats.beta(first[0], second[0]).mean() == pytest.approx(mean)
    assert stats.beta(first[0], second[0]).var() == pytest.approx(variance)


def test_a_variance_that_nothing_bounded_has_is_cut() -> None:
    means = np.array([0.0, 0.3, 1.0, 1.7, -0.2])
    first, second = beta_parameters(means, 0.9)
    assert (first > 0).all()
    assert (second > 0).all()
    assert stats.beta(first[1], second[1]).var() == pytest.approx(0.9 * 0.3 * 0.7)


@pytest.mark.parametrize("bounded", [False, True])
def test_it_trains_where_that_pays_over_what_remains(bounded: bool) -> None:
    made = table(8, lambda trained, used, block: 0.2 + 0.05 * (used - trained if block >= 0 else 0))
    history = [[loss / 2 for loss in row] for row in ageing(8, noise=0.002)]
    cheap = simulate(made, make_upf(given(0.01, history, bounded=bounded))).retrained
    dear = simulate(made, make_upf(given(3.0, history, bounded=bounded))).retrained
    assert len(cheap) >= 5
    assert dear == ()


def test_it_keeps_while_it_knows_too_little() -> None:
    assert simulate(drawn(1, steps=5), make_upf(given(0.0))).retrained == ()
