"""Metrics as functions of weights: rows' own weights, derivatives, and ordered pairs between blocks."""

from typing import Any

import numpy as np
import pytest

from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.metrics.ranking import MANY_ROWS, AveragePrecision, Median, PairedAuc, RocAuc
from airflow_mlops.core.metrics.ranking_binned import BINS, BinnedMedian, BinnedPrecision, bins_of
from airflow_mlops.core.metrics.weighted import Mean, Spread, Undefined

SMOOTH = [name for name in METRICS if name != "median_absolute_error"]


def judged(rng: np.random.Generator, name: str, rows: int, classes: int, weights: Any = None) -> LabelledPredictions:
    if METRICS[name].kind == "regression":
        truth = rng.normal(3, 2, rows)
        return LabelledPredictions("regression", truth, truth + rng.normal(size=rows), None, weights)
    truth = np.r_[np.arange(classes), rng.integers(0, classes, rows - classes)]
    raw = rng.exponential(size=(rows, classes)) + np.eye(classes)[truth]
    probabilities = (raw / raw.sum(axis=1, keepdims=True)).round(2)
    task: Any = "binary" if classes == 2 else "multiclass"
    return LabelledPredictions(task, truth, probabilities.argmax(axis=1), probabilities, weights)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_finite_differences(name: str, classes: int, weighted: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr("airflow_mlops.core.metrics.ranking.MIN_LINEAR_CLASS", 2)
    rng = np.random.default_rng(5)
    rows, step = 70, 1e-5
    own = rng.exponential(size=rows) if weighted else None
    metric = METRICS[name].weighted(judged(rng, name, rows, classes, own))
    moved = np.eye(rows) * step
    expected = (metric(1 + moved) - metric(1 - moved)) / (2 * step)
    found: Any = metric.gradient()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.sum() == pytest.approx(0, abs=1e-7)  # twice all weights: the same value
    block = np.arange(rows) // 4
    spread: Any = Spread(metric, block).gradient()
    np.testing.assert_allclose(spread, np.bincount(block, expected), atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_medians_gradient_gives_the_spread_of_resampled_medians(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    rows = 4000
    metric = Median(rng.exponential(size=rows))
    if weighted:
        metric = metric.scale(rng.exponential(size=rows))
    draws = np.concatenate(
        [metric(np.bincount(rng.integers(rows, size=rows), minlength=rows)[None]) for _ in range(1500)]
    )
    found = np.sqrt((metric.gradient() ** 2).sum())
    assert found == pytest.approx(draws.std(), rel=0.12)  # 2 % from 1,500 draws, the rest from the density


@pytest.mark.parametrize("rare", [0.03, 0.5, 0.97])
@pytest.mark.parametrize("weighted", [False, True])
def test_block_pairs_are_right_whichever_class_is_rarer(rare: float, weighted: bool) -> None:
    rng = np.random.default_rng(1)
    rows, blocks = 600, 9
    hit = np.r_[True, False, rng.random(rows - 2) < rare]
    metric: Any = RocAuc(hit, rng.normal(size=rows).round(1))
    if weighted:
        metric = metric.scale(rng.exponential(size=rows))
    block = rng.integers(0, blocks, rows)
    weights = rng.integers(1, 4, (6, blocks)).astype(float)
    pairs = metric.collapse(block, blocks)
    assert isinstance(pairs, PairedAuc)
    np.testing.assert_allclose(pairs(weights), metric(weights[:, block]), rtol=1e-12)
    own = rng.exponential(size=blocks)
    np.testing.assert_allclose(pairs.scale(own)(weights), pairs(weights * own), rtol=1e-12)
    assert pairs.gradient() is None


def test_a_ranking_with_a_rare_class_has_no_gradient() -> None:
    rng = np.random.default_rng(0)
    hit = np.arange(5000) < 100
    metric = RocAuc(hit, rng.normal(size=5000))
    assert metric.gradient() is None
    assert Mean((metric,)).gradient() is None
    even = RocAuc(np.arange(5000) < 2500, rng.normal(size=5000))
    assert even.gradient() is not None
    heavy = np.ones(5000)
    heavy[0] = 1e6  # as good as one positive row
    assert even.scale(heavy).gradient() is None


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", METRICS)
def test_scaling_is_multiplying_the_weights(name: str, classes: int) -> None:
    rng = np.random.default_rng(2)
    rows, blocks = 80, 7
    own, block = rng.exponential(size=rows), np.arange(80) % blocks
    metric = METRICS[name].weighted(judged(rng, name, rows, classes))
    weights, by_block = rng.integers(1, 3, (4, rows)).astype(float), rng.integers(1, 3, (4, blocks)).astype(float)
    expected = metric(weights * own)
    np.testing.assert_allclose(metric.scale(own)(weights), expected, rtol=1e-9)
    np.testing.assert_allclose(metric.scale(own**0.5).scale(own**0.5)(weights), expected, rtol=1e-9)
    of_blocks = metric.scale(own).collapse(block, blocks)
    np.testing.assert_allclose(of_blocks(by_block), metric(by_block[:, block] * own), rtol=1e-9)
    np.testing.assert_allclose(
        metric.collapse(block, blocks).scale(own[:blocks])(by_block),
        metric((by_block * own[:blocks])[:, block]),
        rtol=1e-9,
    )


def test_what_is_undefined_stays_so() -> None:
    nothing = Undefined("there are no rows")
    assert nothing.scale(np.ones(3)) is nothing
    assert nothing.collapse(np.zeros(3, dtype=int), 1) is nothing
    assert nothing.gradient() is None
    assert np.isnan(nothing(np.ones((2, 3)))).all()


@pytest.mark.parametrize("kind", ["smooth", "tied", "heavy", "weighted"])
@pytest.mark.parametrize("metric", [AveragePrecision, Median])
def test_bins_lose_next_to_nothing_of_the_spread_over_blocks(metric: Any, kind: str) -> None:
    rng = np.random.default_rng(3)
    rows, blocks = MANY_ROWS + 500, 40
    block = np.r_[np.arange(blocks), rng.integers(0, blocks, rows - blocks)]
    hit = rng.random(rows) < 0.1
    score = rng.standard_t(1.5, rows) if kind == "heavy" else rng.normal(size=rows)
    score = score + hit + 0.2 * rng.normal(size=blocks)[block]
    if kind == "tied":
        score = score.round(1)
    exact = metric(hit, score) if metric is AveragePrecision else metric(np.abs(score))
    if kind == "weighted":
        exact = exact.scale(rng.exponential(size=rows))
    binned = exact.collapse(block, blocks)
    assert isinstance(binned, BinnedPrecision | BinnedMedian)
    weights = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=60).astype(float)
    expected = exact(weights[:, block])
    error = binned(weights) - expected
    assert np.sqrt((error**2).mean()) < 0.03 * expected.std()  # as good as nothing: spreads add as squares
    ones = np.ones((1, blocks))
    np.testing.assert_allclose(binned(ones), exact(np.ones((1, rows))), rtol=1e-12)
    twice, half = binned.collapse(np.arange(blocks) // 2, blocks // 2), weights[:, : blocks // 2]
    np.testing.assert_allclose(twice(half), binned(np.repeat(half, 2, axis=1)))
    np.testing.assert_allclose(binned.scale(weights[0] + 1)(ones), binned((weights[0] + 1)[None]))
    assert binned.gradient() is None


def test_bins_ascend_and_the_top_is_kept_apart() -> None:
    found = bins_of(np.ones(50_000, dtype=int))
    assert (np.diff(found) >= 0).all()
    assert (np.diff(found) <= 1).all()
    assert len(np.unique(found)) <= BINS
    np.testing.assert_array_equal(np.bincount(found)[:400], 1)
    np.testing.assert_array_equal(bins_of(np.full(7, 9)), np.arange(7))
