"""Homogeneity against scipy, adjustment against statsmodels, and bins that are rare."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from statsmodels.stats.multitest import multipletests

from airflow_mlops.core.monitoring.drift.significance import homogeneity, significance
from tests.support.compared_windows import counts


@given(pairs=st.lists(st.tuples(st.integers(40, 500), st.integers(40, 500)), min_size=2, max_size=25))
def test_homogeneity_is_scipys_where_no_bin_is_rare(pairs):
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    if min(a) / sum(a) * min(sum(a), sum(b)) >= 5:
        expected = chi2_contingency([a, b], correction=False).pvalue
        assert math.isclose(homogeneity(a, b), expected, rel_tol=1e-9, abs_tol=1e-300)
        assert homogeneity([*a, 0], [*b, 0]) == homogeneity(a, b)


@given(pairs=counts)
def test_bins_that_are_rare_in_the_reference_are_pooled(pairs):
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    bins = sorted((pair for pair in pairs if any(pair)), key=lambda pair: pair[0])
    rows = min(sum(a), sum(b))
    least = min(5, rows / len(bins) / 2)
    pool = [pair for pair in bins if pair[0] * rows / sum(a) < least]
    rest = bins[len(pool) :]
    while pool and rest and sum(map(sum, pool)) * rows / (sum(a) + sum(b)) < least:
        pool.append(rest.pop(0))
    kept = ([tuple(map(sum, zip(*pool, strict=True)))] if pool else []) + rest
    found = homogeneity(a, b)
    if len(kept) < 2:
        assert found == 1
    else:
        expected = chi2_contingency(np.array(kept).T, correction=False).pvalue
        assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-300)


def test_a_new_value_is_found_though_the_reference_has_none():
    assert homogeneity([2500, 2500, 0], [500, 0, 500]) < 1e-10
    assert homogeneity([2500, 2500, 0], [500, 500, 0]) == 1


def test_one_rare_value_in_a_small_window_is_no_miracle():
    reference = [500_000, 500_000, 1]
    current = [250, 249, 1]
    assert chi2_contingency([reference, current], correction=False).pvalue < 1e-10
    assert homogeneity(reference, current) > 0.5


@given(tables=st.lists(st.lists(st.integers(5000, 6000), min_size=6, max_size=6), min_size=1, max_size=30))
def test_adjustment_is_that_of_benjamini_and_hochberg(tables):
    """Of so many rows no table is drawn: what is left is chi-squared, adjusted."""
    pairs = [(table[:3], table[3:]) for table in tables]
    p = [homogeneity(*pair) for pair in pairs]
    found = significance(pairs, 0.05)
    np.testing.assert_allclose(found, multipletests(p, method="fdr_bh")[1], atol=1e-12)
    np.testing.assert_allclose(found, adjusted_by_hand(p), atol=1e-12)


def adjusted_by_hand(p_values):
    """What stood here before scipy's function did."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[::-1]
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum.accumulate(np.minimum(scaled, 1.0))
    return adjusted


def test_adjustment_of_nothing():
    assert significance([], 0.05) == []
