"""Bins that are frozen on the reference: quantiles, heavy values, categories by rank."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.profiles.build import build_profile
from tests.support.profiled_rows import WINDOW, C, X, counted


@settings(deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=80))
def test_edges_are_ascending_and_are_quantiles_or_the_next_number(values):
    x = build_profile("m", pd.DataFrame({"x": values}), (X,), WINDOW, bins=10).columns[0]
    assert list(x.edges) == sorted(set(x.edges))
    for edge in x.edges:
        assert edge in values or math.nextafter(edge, -math.inf) in values or edge == np.finfo(float).tiny


def test_quantile_edges_are_deciles_of_distinct_values():
    frame = pd.DataFrame({"x": np.arange(1000.0)})
    x = build_profile("m", frame, (X,), WINDOW, bins=10).columns[0]
    assert len(x.edges) == 9
    assert max(x.counts) - min(x.counts) <= 2


@pytest.mark.parametrize("constant", [0.0, 7.0, -1e300, 1.7976931348623157e308])
def test_constant_column_notices_a_move_in_either_direction(constant):
    ref = build_profile("m", pd.DataFrame({"x": [constant] * 10}), (X,), WINDOW)
    home = ref.columns[0].counts.index(10)
    for moved in (constant + max(1.0, abs(constant) / 2), constant - max(1.0, abs(constant) / 2)):
        if math.isfinite(moved):
            now = counted(ref, pa.table({"x": [moved]})).columns[0]
            assert now.counts[home] == 0


def test_heavy_value_has_a_bin_of_its_own():
    values = [0.0] * 900 + list(np.linspace(1, 2, 100))
    ref = build_profile("m", pd.DataFrame({"x": values}), (X,), WINDOW)
    assert 900 in ref.columns[0].counts


def test_an_outlier_moves_no_edge():
    values = np.random.default_rng(1).normal(size=5000)
    with_outlier = np.append(values[:-1], max(values[-1], 1e4))
    edges = [build_profile("m", pd.DataFrame({"x": v}), (X,), WINDOW).columns[0].edges for v in (values, with_outlier)]
    np.testing.assert_allclose(edges[0], edges[1], atol=0.02)


def test_categories_are_ranked_and_the_rest_is_other():
    frame = pd.DataFrame({"c": ["b", "a", "b", "c", "a", "d", None]})
    c = build_profile("m", frame, (C,), WINDOW, top=2).columns[0]
    assert (c.categories, c.counts, c.missing) == (("a", "b"), (2, 2, 2), 1)
