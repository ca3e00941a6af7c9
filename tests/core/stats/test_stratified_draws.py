"""Sums of a resample by strata: their moments exactly, their quantiles against drawing every unit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from airflow_mlops.core.stats.stratified_draws import ALONE, MAX_STRATA, Strata, stratify


def moments(found: Strata) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the sums that `draw` gives, from the multinomial's own."""
    shares = found.sizes / found.units
    mean = found.units * (found.centre + shares @ found.means)
    counted = np.diag(found.sizes) - np.outer(found.sizes, shares)
    covariance = found.means.T @ counted @ found.means
    return mean, covariance + (0 if found.rest is None else found.rest @ found.rest.T)


def example(rng: np.random.Generator, rows: int, kind: str) -> np.ndarray:
    made = {
        "normal": lambda: rng.normal(5, 1, (rows, 2)),
        "heavy": lambda: rng.pareto(1.5, (rows, 2)),
        "tied": lambda: rng.integers(0, 3, (rows, 2)).astype(float),
        "equal": lambda: np.ones((rows, 2)),
    }[kind]()
    return np.column_stack([np.ones(rows), made])


@pytest.mark.parametrize("kind", ["normal", "heavy", "tied", "equal"])
@given(seed=st.integers(0, 1000), rows=st.integers(MAX_STRATA - 5, 3 * MAX_STRATA))
@settings(max_examples=15, deadline=None)
def test_mean_and_covariance_are_those_of_resampling_every_unit(kind: str, seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    table = example(rng, rows, kind)
    count = rng.integers(1, 4, rows)
    for each in (None, count):
        every = table if each is None else np.repeat(table, each, axis=0)
        expected = every.sum(axis=0), len(every) * np.cov(every.T, ddof=0)
        influence = table[:, 1] - table[:, 2]
        for given_rows in (table, sparse.csr_array(table)):
            found = moments(stratify(given_rows, influence, each))
            rounding = 1e-7 * (1 + np.sqrt(np.abs(expected[1]).max()))
            np.testing.assert_allclose(found[0], expected[0], rtol=1e-9)
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-6, atol=rounding)


def test_a_table_of_patterns_is_the_product_that_is_never_made() -> None:
    rng = np.random.default_rng(0)
    table, pattern, weight = rng.normal(size=(5, 3)), rng.integers(0, 5, 4000), rng.exponential(size=4000)
    factor = sparse.csr_array((weight, pattern, np.arange(4001)), shape=(4000, 5))
    rows = weight[:, None] * table[pattern]
    found, product = stratify(factor, rows[:, 0], table=sparse.csr_array(table)), stratify(rows, rows[:, 0])
    for one, other in zip(moments(found), moments(product), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    np.testing.assert_array_equal(found.sizes, product.sizes)


def test_units_far_out_stay_alone_and_strata_are_few() -> None:
    influence = np.random.default_rng(0).pareto(1.1, 100_000)
    found = stratify(influence[:, None], influence)
    assert len(found.sizes) <= MAX_STRATA
    assert found.sizes.sum() == found.units == 100_000
    extreme = np.sort(influence)[-ALONE:]
    np.testing.assert_allclose(found.means[-ALONE:, 0] + found.centre[0], extreme)
    assert (found.sizes[-ALONE:] == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("tail", [1.2, 2.5])
def test_skewness_and_quantiles_of_heavy_tails_are_those_of_resampling(tail: float) -> None:
    rng = np.random.default_rng(1)
    values = rng.pareto(tail, 6000)
    found = np.concatenate(list(stratify(values[:, None], values).draw(rng, 40_000)))[:, 0]
    brute = np.array([values[rng.integers(6000, size=6000)].sum() for _ in range(8000)])
    assert stats.ks_2samp(found, brute).pvalue > 0.001
    assert stats.skew(found) == pytest.approx(stats.skew(brute), abs=0.15)


def test_as_many_sums_are_drawn_as_were_asked_for(monkeypatch: Any) -> None:
    monkeypatch.setattr("airflow_mlops.core.stats.stratified_draws.AT_ONCE", 2000)
    found = list(stratify(np.ones((700, 1)), np.arange(700.0)).draw(np.random.default_rng(0), 11))
    assert [len(part) for part in found] == [3, 3, 3, 2]
    np.testing.assert_allclose(np.concatenate(found), 700)
