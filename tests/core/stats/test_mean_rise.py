"""The split of a series after which it lies surely higher, against sums written out, and what it is sure of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.stats.mean_rise import (
    FEWEST_AFTER,
    FEWEST_BEFORE,
    FEWEST_LOSSES,
    LEVEL,
    MOST_DEPENDENT,
    chance_of_no_loss,
    chance_of_no_rise,
    find_rise,
    widening,
)


def inflation(dependence: float, count: int) -> float:
    """Variance of a mean of neighbours of an autoregression, times their number: the sum over all pairs."""
    return sum(dependence ** abs(one - other) for one in range(count) for other in range(count)) / count


def chance_at(series: Sequence[float], place: int, allowance: float) -> float:
    """The p-value of one split, written out."""
    values = np.asarray(series)
    parts = values[:place], values[place:]
    count = len(values)
    residuals = [part - part.mean() for part in parts]
    squares = sum(float((part**2).sum()) for part in residuals)
    products = sum(float((part[:-1] * part[1:]).sum()) for part in residuals)
    raw = products / squares * count / (count - 2)
    dependence = min(max(raw + (1 + 3 * raw) / count, 0.0), MOST_DEPENDENT)
    scale = squares / (count - 2) / max(1 - (inflation(dependence, count) - 1) / (count - 1), 0.2)
    error = math.sqrt(scale * sum(inflation(dependence, len(part)) / len(part) for part in parts))
    freedom = max(count * (1 - dependence**2) / (1 + dependence**2), 4) - 2
    return float(stats.t.sf((parts[1].mean() - parts[0].mean() - allowance) / error, freedom))


@pytest.mark.parametrize("seed", range(5))
def test_the_most_telling_split_is_that_of_the_smallest_chance_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    series = rng.uniform(-1, 1, 40)  # within three robust deviations: nothing is clipped
    series[25:] += 0.4 * seed / 4
    found = find_rise(series.tolist(), 14, 0.1, widest=5.0)
    assert found is not None
    chances = {place: chance_at(series, place, 0.1) for place in range(14, 40 - FEWEST_AFTER + 1)}
    best = min(chances, key=lambda place: chances[place])
    assert (found.start, found.p) == (best, pytest.approx(chances[best], rel=1e-9))
    assert found.size == pytest.approx(series[best:].mean() - series[:best].mean())


def test_a_rise_is_found_where_it_began_and_is_surely_less_than_it_is() -> None:
    rng = np.random.default_rng(3)
    series = rng.normal(size=60)
    series[30:] += 4
    found = find_rise(series.tolist(), 14, 1.0)
    assert found is not None
    assert found.sure
    assert abs(found.start - 30) <= 1
    assert 1.0 < found.surely < found.size
    assert not math.isclose(found.surely, found.size)


def test_what_is_allowed_is_no_rise() -> None:
    rng = np.random.default_rng(4)
    series = rng.normal(size=80)
    series[40:] += 2
    found = [find_rise(series.tolist(), 14, allowed, widest=5.0) for allowed in (0.5, 3.0)]
    assert [one.sure for one in found if one is not None] == [True, False]


@given(st.integers(0, FEWEST_BEFORE + FEWEST_AFTER - 1))
def test_of_too_few_blocks_nothing_is_said(count: int) -> None:
    assert find_rise([0.0] * count, min(count, 3), 0.0) is None


def test_the_reference_is_never_split() -> None:
    series = [0.0] * 10 + [9.0] * 10 + [9.0] * 10
    found = find_rise([*np.random.default_rng(0).normal(size=30) * 0.01 + series], 20, 0.0)
    assert found is not None
    assert found.start >= 20
    assert not found.sure, "what the holdout shows is what was promised"


def test_one_day_alone_decides_nothing_however_bad() -> None:
    rng = np.random.default_rng(5)
    series = rng.normal(size=60)
    series[50] = 1e6
    found = find_rise(series.tolist(), 14, 0.0)
    assert found is not None
    assert not found.sure


def test_a_series_without_any_spread() -> None:
    flat = find_rise([1.0] * 30, 14, 0.0)
    risen = find_rise([1.0] * 20 + [2.0] * 10, 14, 0.5)
    assert flat is not None
    assert risen is not None
    assert (flat.sure, risen.sure, risen.start, risen.size) == (False, True, 20, 1.0)


@given(
    st.lists(st.floats(-100, 100), min_size=20, max_size=60),
    st.floats(-50, 50),
    st.floats(0.01, 100),
)
@settings(max_examples=60, deadline=None)
def test_units_and_origin_are_no_matter(values: list[float], shift: float, scale: float) -> None:
    spread = np.random.default_rng(1).normal(size=len(values))  # so that no two splits are the same
    series = np.round(values, 6) + spread
    first = find_rise(series.tolist(), 10, 0.3)
    second = find_rise((series * scale + shift).tolist(), 10, 0.3 * scale)
    assert first is not None
    assert second is not None
    assert second.start == first.start
    assert second.p == pytest.approx(first.p, rel=1e-5, abs=1e-12)
    assert second.size == pytest.approx(first.size * scale, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_one_look_at_a_known_split_has_the_chance_written_out(seed: int) -> None:
    series = np.random.default_rng(seed).uniform(-1, 1, 34)  # within three robust deviations: nothing is clipped
    series[14:] += 0.1 * seed
    found = chance_of_no_rise(series[:14].tolist(), series[14:].tolist())
    assert found == pytest.approx(chance_at(series, 14, 0.0), rel=1e-9)


def test_one_look_at_too_few_blocks_is_not_known_and_at_blocks_without_spread_is_sure() -> None:
    assert chance_of_no_rise([1.0] * (FEWEST_BEFORE - 1), [2.0] * 9) is None
    assert chance_of_no_rise([1.0] * 9, [2.0] * (FEWEST_AFTER - 1)) is None
    assert chance_of_no_rise([1.0] * 9, [2.0] * 9) == 0.0
    assert chance_of_no_rise([1.0] * 9, [1.0] * 9) == 1.0


def test_a_loss_against_nothing_is_students_t_where_blocks_are_independent() -> None:
    rng = np.random.default_rng(8)
    half = rng.uniform(-1, 1, 30)
    losses = np.column_stack([half, -half]).ravel()  # neighbours lie apart: that is no dependence, and its error none
    centred = losses - losses.mean()
    assert (centred[:-1] * centred[1:]).sum() / (centred**2).sum() < -0.3
    found = chance_of_no_loss((losses + 0.3).tolist())
    assert found == pytest.approx(stats.ttest_1samp(losses + 0.3, 0.0, alternative="greater").pvalue, rel=0.05)


def test_a_loss_of_too_few_blocks_is_not_known_and_one_without_spread_is_sure() -> None:
    assert chance_of_no_loss([1.0] * (FEWEST_LOSSES - 1)) is None
    assert chance_of_no_loss([1.0] * 9) == 0.0
    assert chance_of_no_loss([-1.0] * 9) == 1.0
    sure = chance_of_no_loss((np.random.default_rng(2).normal(size=28) * 0.1 + 1).tolist())
    assert sure is not None
    assert sure < LEVEL


def autoregression(rng: np.random.Generator, count: int, dependence: float) -> Array:
    found = np.empty(count)
    value = rng.normal()
    for place in range(count):
        value = dependence * value + np.sqrt(1 - dependence**2) * rng.normal()
        found[place] = value
    return found


def test_an_interval_is_as_much_wider_as_the_mean_of_neighbours_is_uncertain() -> None:
    """The factor for a known dependence, against the spread of means of 14 neighbours that are really drawn."""
    rng = np.random.default_rng(5)
    for dependence in (0.3, 0.6):
        row = autoregression(rng, 60_000, dependence)
        means = row.reshape(-1, 15)[:, :14].mean(axis=1)
        deviations = row.reshape(-1, 15)[:, :14].std(axis=1, ddof=1)
        # What an interval of independent blocks takes for its standard error, on average, against what it is.
        really = means.std() / np.sqrt((deviations**2).mean() / 14)
        found = widening(list(row[:3000]), list(row[3000:6000]), 14, confidence=0.95, wanted=0.95)
        worth = 14 * (1 - dependence**2) / (1 + dependence**2)
        quantiles = stats.t.ppf(0.95, worth - 1) / stats.t.ppf(0.95, 13)
        assert found == pytest.approx(really * quantiles, rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("dependence", [0.0, 0.4, 0.6])
def test_a_widened_bound_is_below_the_truth_about_as_often_as_it_says(dependence: float) -> None:
    """Means of 14 neighbours, their interval by Student, widened by what 44 others show; 95 %, and an error of 1 %."""
    rng = np.random.default_rng(6)
    plain = widened = 0
    for _ in range(2000):
        row = autoregression(rng, 58, dependence)
        newest = row[-14:]
        below = float(stats.t.ppf(0.95, 13)) * newest.std(ddof=1) / np.sqrt(14)
        plain += newest.mean() > below
        widened += newest.mean() > below * widening(list(row[:14]), list(row[14:]), 14, confidence=0.95, wanted=0.95)
    assert widened / 2000 < 0.075
    if dependence:
        assert plain / 2000 > 0.1  # what it is about


def test_where_too_little_is_known_no_interval_is_widened_and_none_is_ever_narrowed() -> None:
    assert widening([1.0, 2.0], [1.0, 2.0, 3.0], 14, confidence=0.95, wanted=0.95) == 1.0
    assert widening([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 1, confidence=0.95, wanted=0.95) == 1.0
    turns = [1.0, -1.0] * 20
    assert widening(turns, turns, 14, confidence=0.95, wanted=0.95) == 1.0
    plain = stats.t.ppf(0.99, 13) / stats.t.ppf(0.95, 13)
    assert widening([1.0], [2.0], 14, confidence=0.95, wanted=0.99) == pytest.approx(plain)
    assert widening([1.0] * 9, [1.0] * 9, 14, confidence=0.95, wanted=0.95) >= 1.0
