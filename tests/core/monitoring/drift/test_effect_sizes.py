"""Effect sizes against scipy and brute force, and what chance gives of them against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import wasserstein_distance
from scipy.stats.contingency import association

from airflow_mlops.core.monitoring.drift.effect_sizes import (
    beyond_chance,
    counts_of,
    cramers_v,
    expected_psi,
    jensen_shannon,
    measure,
    positions,
    psi,
    total_variation,
    wasserstein,
)
from airflow_mlops.core.monitoring.drift.significance import significance
from airflow_mlops.core.records.profile import ColumnProfile
from airflow_mlops.spec.monitoring import EFFECTS

pairs_of_counts = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=25).filter(
    lambda pairs: any(a for a, _ in pairs) and any(b for _, b in pairs)
)
NORMAL = tuple(float(x) for x in np.quantile(np.random.default_rng(0).normal(size=200_000), np.arange(1, 20) / 20))


def sides(pairs):
    return [a for a, _ in pairs], [b for _, b in pairs]


def column(counts, missing=0, edges=NORMAL) -> ColumnProfile:
    return ColumnProfile(name="x", role="numeric", edges=edges, counts=tuple(map(int, counts)), missing=missing)


@given(pairs=pairs_of_counts)
def test_distances_of_shares_are_scipys(pairs):
    a, b = sides(pairs)
    p, q = np.array(a) / sum(a), np.array(b) / sum(b)
    middle = (p + q) / 2  # the formula that stood here before scipy's function did; of almost nothing, roots differ
    divergence = float(np.sum(rel_entr(p, middle) + rel_entr(q, middle))) / 2 / math.log(2)
    assert math.isclose(jensen_shannon(a, b) ** 2, min(max(divergence, 0.0), 1.0), abs_tol=1e-12)
    assert divergence < 1e-8 or math.isclose(jensen_shannon(a, b), math.sqrt(divergence), rel_tol=1e-7)
    assert math.isclose(total_variation(a, b), 0.5 * sum(abs(x - y) for x, y in zip(p, q, strict=True)), abs_tol=1e-12)
    for distance in (jensen_shannon, total_variation, cramers_v):
        assert 0 <= distance(a, b) <= 1 + 1e-12
        assert math.isclose(distance(a, b), distance(b, a), abs_tol=1e-12)
        assert distance(a, a) == 0


@given(pairs=pairs_of_counts)
def test_cramers_v_is_scipys_of_rows_that_weigh_alike(pairs):
    kept = [(a, b) for a, b in pairs if a or b]
    a, b = sides(kept)
    if len(kept) > 1:
        table = np.array([np.array(a) * sum(b), np.array(b) * sum(a)])
        assert math.isclose(cramers_v(a, b), association(table, method="cramer"), abs_tol=1e-9)


@given(pairs=pairs_of_counts, start=st.floats(-1e3, 1e3), steps=st.lists(st.floats(0.1, 50), min_size=30, max_size=30))
def test_wasserstein_is_scipys_at_the_positions(pairs, start, steps):
    a, b = sides(pairs)
    edges = (start + np.cumsum(steps[: len(a) - 1])).tolist()
    at = positions(edges)
    p = np.array(a) / sum(a)
    spread = math.sqrt(p @ (at - p @ at) ** 2)
    found = wasserstein(edges, a, b)
    if spread < 1e-9:
        assert found is None or found > 1e6 or found == 0
    else:
        assert math.isclose(found, wasserstein_distance(at, at, a, b) / spread, rel_tol=1e-6, abs_tol=1e-9)


def test_binned_wasserstein_is_the_shift_in_standard_deviations():
    rng = np.random.default_rng(1)
    counted = [np.bincount(np.searchsorted(NORMAL, rng.normal(m, 1, 200_000), "right"), minlength=20) for m in (0, 0.3)]
    assert wasserstein(NORMAL, *counted) == pytest.approx(0.3, abs=0.01)


def test_positions_of_values_that_repeat_and_of_few_edges():
    five = float(np.nextafter(5.0, 6))
    assert positions([5.0, five]).tolist() == [4.0, 5.0, five + 1]
    assert positions([0.0, float(np.finfo(float).tiny), 2.0])[1] == pytest.approx(0.0)
    assert wasserstein([5.0, five], [0, 10, 0], [10, 0, 0]) is None
    assert wasserstein([], [10], [10]) is None
    assert wasserstein([1.0], [0, 0], [3, 4]) is None


def test_an_outlier_is_one_row_of_the_outer_bin():
    plain = measure(column([100] * 20), column([50] * 20))
    far = measure(column([100] * 20), column([50] * 19 + [51]))
    assert far["wasserstein"] == pytest.approx(plain["wasserstein"], abs=0.02)
    assert far["psi"] < 0.01


@pytest.mark.parametrize("rows", [100, 500, 5000])
@pytest.mark.parametrize("name", EFFECTS)
def test_nothing_is_left_of_chance_and_a_shift_is(name, rows):
    """Under no drift the effect falls below a bound that a shift of 0.3 sigma passes."""
    rng = np.random.default_rng(rows)
    before = column(np.full(20, 1000))
    shifted = np.diff(np.concatenate([[0], [0.5 * math.erfc(-(e - 0.3) / math.sqrt(2)) for e in NORMAL], [1]]))
    left = {}
    for what, shares in (("none", np.full(20, 0.05)), ("shift", shifted)):
        draws = [column(rng.multinomial(rows, shares)) for _ in range(200)]
        left[what] = [beyond_chance(name, measure(before, now), before, now) for now in draws]
    truth = measure(before, column(np.round(shifted * 20_000)))
    true = truth[name]
    assert np.median(left["none"]) < 0.5 * true
    assert np.median(left["shift"]) == pytest.approx(true, rel=0.25 if rows >= 500 else 0.6)
    if name == "psi":
        assert np.mean([psi(counts_of(before), counts_of(now)) for now in draws]) > true


def test_expected_index_under_no_drift_is_simulated():
    rng = np.random.default_rng(2)
    shares = np.full(20, 0.05)
    found = [psi(rng.multinomial(20_000, shares), rng.multinomial(500, shares)) for _ in range(400)]
    assert np.mean(found) == pytest.approx(expected_psi([1000] * 20, [25] * 20), rel=0.06)


def test_a_rise_of_missing_values_is_an_effect_for_wasserstein_too():
    before, now = column([100] * 20), column([50] * 20, missing=1000)
    found = measure(before, now)
    assert found["wasserstein"] == 0
    assert beyond_chance("wasserstein", found, before, now) == pytest.approx(0.5, abs=0.01)
    of_one_value = column([0, 100, 0], edges=(5.0, float(np.nextafter(5.0, 6))))
    moved = column([100, 0, 0], edges=of_one_value.edges)
    found = measure(of_one_value, moved)
    assert found["wasserstein"] is None
    assert beyond_chance("wasserstein", found, of_one_value, moved) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("rows", [10**6, 10**9, 10**12])
def test_a_value_that_is_rare_in_many_rows_and_not_in_the_window_is_found(rows):
    assert significance([((rows, 3, rows), (300, 6, 301))], 0.05)[0] < 0.01
    assert significance([((rows, 3, rows), (300, 0, 301))], 0.05)[0] > 0.05


def test_numbers_without_end_have_no_distance_and_make_no_noise():
    assert wasserstein([-1.7e308, 1.7e308], [3, 4, 3], [1, 4, 5]) is None


def test_exact_p_values_are_those_of_all_tables():
    """Two columns of two bins: the exact conditional p-value is the sum over the hypergeometric distribution."""
    from scipy.stats import hypergeom

    reference, current = [900, 20], [40, 6]
    law = hypergeom(966, 26, 46)  # of 966 rows 26 are rare, 46 are drawn
    likely = [rare for rare in range(27) if likelihood(rare) >= likelihood(6) - 1e-9]
    expected = sum(law.pmf(rare) for rare in likely)
    (found,) = significance([(reference, current)], 0.001)
    assert found == pytest.approx(expected, rel=0.5)
    assert significance([(reference, current)], 0.001) == [found]


def likelihood(rare: int) -> float:
    table = np.array([[920 - 26 + rare, 26 - rare], [46 - rare, rare]], dtype=float)
    return float(np.where(table > 0, table * np.log(np.where(table > 0, table, 1)), 0).sum())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bins", "rows", "columns", "windows"), [(20, 50, 5, 200), (51, 50, 5, 120), (51, 100, 20, 20), (20, 50, 100, 8)]
)
def test_false_discoveries_stay_below_the_level_where_bins_are_rare(bins, rows, columns, windows):
    rng = np.random.default_rng(bins + rows)
    shares = np.full(bins, 1 / bins) if bins == 20 else 1 / np.arange(1, bins + 1)
    shares = shares / shares.sum()
    hits = 0
    for _ in range(windows):
        before, now = (rng.multinomial(n, shares, size=columns).tolist() for n in (20_000, rows))
        hits += min(significance(list(zip(before, now, strict=True)), 0.05)) < 0.05
    assert hits / windows <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / windows)
