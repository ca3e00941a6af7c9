"""The paired bootstrap against a loop that resamples rows or blocks one by one, and its error rate."""

import tracemalloc
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk
from sklearn.utils import resample

from airflow_mlops.core.bootstrap import MIN_BLOCKS, bounds, gain, resample_weights, time_blocks
from airflow_mlops.core.metrics import METRICS, Judged


def ranks_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    positive = labels == 1
    return stats.mannwhitneyu(scores[positive], scores[~positive], method="asymptotic").statistic / (
        positive.sum() * (~positive).sum()
    )


LOOP = {
    "log_loss": lambda y, p: -np.mean(np.where(y == 1, np.log(p), np.log(1 - p))),
    "roc_auc": ranks_auc,
    "average_precision": sk.average_precision_score,
    "f1": lambda y, p: 2 * (y * (p > 0.5)).sum() / (y.sum() + (p > 0.5).sum()),
}


def judged(labels: np.ndarray, scores: np.ndarray) -> Judged:
    return Judged("binary", labels, (scores > 0.5).astype(int), np.column_stack([1 - scores, scores]))


def pair(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = rng.integers(0, 2, rows)
    first, second = (np.clip(rng.normal(0.35 + lift * labels, 0.2), 0.02, 0.98) for lift in (0.35, 0.25))
    return labels, first, second


@pytest.mark.parametrize("by_block", [False, True])
@pytest.mark.parametrize("name", LOOP)
def test_bounds_are_those_of_a_loop_over_resamples(name: str, by_block: bool) -> None:
    rng = np.random.default_rng(3)
    labels, first, second = pair(rng, 240)
    block = np.sort(np.r_[np.arange(20), rng.integers(0, 20, 220)]) if by_block else None
    metric = METRICS[name]
    resamples = 3000
    found = gain(metric, judged(labels, first), judged(labels, second), block, resamples=resamples, seed=1)
    sign = 1 if metric.greater_is_better else -1
    groups = [np.flatnonzero(block == b) for b in range(20)] if by_block else [np.array([i]) for i in range(240)]
    draws = []
    loops = 500
    for number in range(loops):
        picked = np.concatenate(resample(groups, random_state=number))
        y = labels[picked]
        draws.append(sign * (LOOP[name](y, first[picked]) - LOOP[name](y, second[picked])))
    lower, upper = bounds(np.array(draws), len(groups), 0.95)
    # standard error of the difference of two 5 % quantiles of draws that are about normal
    error = np.std(draws) * np.sqrt(0.05 * 0.95 * (1 / loops + 1 / resamples)) / stats.norm.pdf(1.645)
    assert found.value == pytest.approx(sign * (LOOP[name](labels, first) - LOOP[name](labels, second)), rel=1e-9)
    assert found.lower == pytest.approx(lower, abs=4 * error)
    assert found.upper == pytest.approx(upper, abs=4 * error)
    assert (found.rows, found.units) == (240, len(groups))


def test_weights_are_exact_draws_with_replacement() -> None:
    drawn = np.concatenate(list(resample_weights(np.random.default_rng(0), 50, 4000)))
    assert drawn.shape == (4000, 50)
    assert (drawn.sum(axis=1) == 50).all()
    found = np.bincount(drawn.astype(int).ravel(), minlength=6)[:6]
    expected = stats.binom.pmf(np.arange(6), 50, 1 / 50) * drawn.size
    np.testing.assert_allclose(found, expected, rtol=0.08)


def test_the_same_seed_gives_the_same_bounds() -> None:
    labels, first, second = pair(np.random.default_rng(0), 300)
    models = judged(labels, first), judged(labels, second)
    found = [gain(METRICS["brier"], *models, None, resamples=300, seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_the_gain_is_positive_when_the_candidate_is_better_whatever_the_direction() -> None:
    labels, first, second = pair(np.random.default_rng(0), 2000)
    for name in ("log_loss", "roc_auc", "accuracy"):
        there = gain(METRICS[name], judged(labels, first), judged(labels, second), None, resamples=400)
        back = gain(METRICS[name], judged(labels, second), judged(labels, first), None, resamples=400)
        assert there.lower > 0 > back.upper
        assert there.value == -back.value


@pytest.mark.parametrize("blocks", [0, 1, MIN_BLOCKS - 1])
def test_few_blocks_have_no_interval(blocks: int) -> None:
    labels, first, second = pair(np.random.default_rng(0), 300 if blocks else 0)
    block = np.arange(len(labels)) % max(blocks, 1)
    found = gain(METRICS["log_loss"], judged(labels, first), judged(labels, second), block)
    assert not found.conclusive
    assert np.isnan(found.lower)
    assert np.isnan(found.upper)


def test_undefined_resamples_count_against_both_bounds() -> None:
    draws = np.r_[np.full(200, np.nan), np.linspace(0.1, 0.2, 800)]
    assert bounds(draws, 1000, 0.95) == (-np.inf, np.inf)
    few = np.r_[np.full(20, np.nan), np.linspace(0.1, 0.2, 980)]
    low, high = bounds(few, 1000, 0.95)
    clean_low, clean_high = bounds(few[20:], 1000, 0.95)
    assert low < clean_low
    assert high > clean_high


def test_one_positive_row_gives_no_finite_bounds_for_the_auc() -> None:
    rng = np.random.default_rng(0)
    labels = np.r_[1, np.zeros(99, dtype=int)]
    found = gain(METRICS["roc_auc"], judged(labels, rng.random(100)), judged(labels, rng.random(100)), None)
    assert np.isinf(found.lower)
    assert np.isinf(found.upper)


@pytest.mark.parametrize(("blocks", "most"), [(14, 0.08), (40, 0.075)])
def test_the_error_rate_under_no_difference_is_about_the_nominal_one(blocks: int, most: float) -> None:
    """Days differ: the models' difference has a component common to a day. 400 worlds, nominal 5 %."""
    rng = np.random.default_rng(11)
    errors, naive, worlds, rows = 0, 0, 400, 20
    block = np.repeat(np.arange(blocks), rows)
    for world in range(worlds):
        shift = np.repeat(rng.normal(0, 1, blocks), rows)
        losses = shift + rng.normal(0, 1, blocks * rows)
        truth = np.zeros(blocks * rows)
        # with absolute errors as metric the gain of each row is exactly `losses`
        other, candidate = (Judged("regression", truth, 50 + part, None) for part in (losses, 0 * losses))
        found = gain(METRICS["mae"], candidate, other, block, resamples=400, seed=world)
        errors += found.lower > 0
        if world < 100:
            naive += gain(METRICS["mae"], candidate, other, None, resamples=200, seed=world).lower > 0
    assert errors / worlds <= most
    assert errors / worlds >= 0.015
    assert naive / 100 > 0.15  # what resampling rows would have done


def test_memory_does_not_grow_with_resamples_times_rows() -> None:
    labels, first, second = pair(np.random.default_rng(0), 200_000)
    models = judged(labels, first), judged(labels, second)
    tracemalloc.start()
    for name in ("log_loss", "roc_auc"):
        gain(METRICS[name], *models, None, resamples=20)
    gain(METRICS["average_precision"], *models, np.arange(200_000) // 4000, resamples=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6  # 10,000 resamples of a million rows at once would be 80 GB


@pytest.mark.parametrize("length", [timedelta(days=1), timedelta(hours=6), timedelta(days=7)])
def test_blocks_are_cut_from_the_epoch_and_numbered_without_gaps(length: timedelta) -> None:
    rng = np.random.default_rng(0)
    times = pd.Series(pd.Timestamp("2024-02-27", tz="UTC") + pd.to_timedelta(rng.uniform(0, 40, 200), unit="D"))
    found: Any = time_blocks(times, length)
    by_hand = [int(t.timestamp() // length.total_seconds()) for t in times]
    ranks = {step: number for number, step in enumerate(sorted(set(by_hand)))}
    assert found.tolist() == [ranks[step] for step in by_hand]
    assert time_blocks(times, None) is None
