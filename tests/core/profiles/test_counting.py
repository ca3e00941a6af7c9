"""Counting in frozen bins, against a count by hand, for every kind of array."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from datetime import datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.core.profiles.counting import ColumnCounter, written
from airflow_mlops.core.records.profile import ColumnProfile
from tests.support.profiled_rows import WINDOW, C, X, counted, profile, rows, table


@settings(deadline=None)
@given(reference=rows, current=rows)
def test_counts_equal_a_count_by_hand(reference, current):
    ref = profile(reference)
    x, c = counted(ref, table(current)).columns
    bins, missing, infinite = Counter(), 0, 0
    for value, _ in current:
        if value is None or math.isnan(value):
            missing += 1
        elif math.isinf(value):
            infinite += 1
        else:
            bins[bisect.bisect_right(x.edges, value)] += 1
    assert x.counts == tuple(bins[i] for i in range(len(x.edges) + 1))
    assert (x.missing, x.non_finite) == (missing, infinite)
    seen = Counter(name for _, name in current)
    assert c.counts[:-1] == tuple(seen[name] for name in c.categories)
    assert c.missing == seen[None]
    assert c.counts[-1] == len(current) - c.missing - sum(c.counts[:-1])


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        (pd.Series([True, False, True, None], dtype="boolean"), (0, 1, 0, 2, 0)),
        (pd.Series([True, False, True, None], dtype=object), (0, 1, 0, 2, 0)),
        (pd.Series([1, 0, 1, None], dtype="Int64"), (0, 1, 0, 2, 0)),
        (pd.Series([Decimal(1), Decimal(0), Decimal(1), None], dtype=object), (0, 1, 0, 2, 0)),
    ],
)
def test_booleans_nullable_integers_and_decimals_are_numbers(values, counts):
    x = build_profile("m", pd.DataFrame({"x": values}), (X,), WINDOW, bins=20).columns[0]
    assert x.counts == counts
    assert (x.missing, x.kind) == (1, "number")


@pytest.mark.parametrize("empty", [[None, None], [math.nan, math.nan]])
def test_all_null_columns_are_counted_as_missing(empty):
    frame = pd.DataFrame({"x": pd.Series(empty, dtype=object), "c": pd.Series(empty, dtype=object)})
    x, c = build_profile("m", frame, (X, C), WINDOW).columns
    assert (x.edges, x.counts, x.missing, x.kind) == ((), (0,), 2, "")
    assert (c.categories, c.counts, c.missing, c.kind) == ((), (0,), 2, "")
    text = pa.table({"x": pa.array([None], pa.string()), "c": pa.array([None], pa.null())})
    now = counted(build_profile("m", frame, (X, C), WINDOW), text)
    assert [column.missing for column in now.columns] == [1, 1]


def test_numbers_as_categories_are_named_alike_with_and_without_missing_ones():
    ref = build_profile("m", pd.DataFrame({"c": [1, 2, 2]}), (C,), WINDOW)
    assert ref.columns[0].categories == ("2", "1")
    floats = counted(ref, pa.table({"c": pa.array([2.0, None, math.nan, 2.5])})).columns[0]
    assert (floats.counts, floats.missing) == ((1, 0, 1), 2)


def test_dictionary_columns_count_like_text():
    ref = build_profile("m", pd.DataFrame({"c": pd.Series(["a", "b", None], dtype="category")}), (C,), WINDOW)
    encoded = pa.table({"c": pa.array(["a", "a", None, "z"]).dictionary_encode()})
    plain = pa.table({"c": pa.array(["a", "a", None, "z"])})
    assert counted(ref, encoded) == counted(ref, plain)
    assert counted(ref, plain).columns[0].counts == (2, 0, 1)


def plain_count(reference: ColumnProfile, found: list[object]) -> tuple[tuple[int, ...], int, int]:
    """Value by value: the slow way that the fast one must agree with."""
    bins, missing, infinite = [0] * (1 + max(len(reference.edges), len(reference.categories))), 0, 0
    for value in found:
        if value is None or value != value:  # noqa: PLR0124
            missing += 1
        elif reference.role == "categorical":
            text = written(value)
            bins[reference.categories.index(text) if text in reference.categories else -1] += 1
        elif math.isinf(float(value)):  # type: ignore[arg-type]
            infinite += 1
        else:
            bins[bisect.bisect_right(reference.edges, float(value))] += 1  # type: ignore[arg-type]
    return tuple(bins), missing, infinite


exact = st.decimals(-100, 100, allow_nan=False, places=3)


ARRAYS = {
    "float64": (pa.float64(), st.floats()),
    "float32": (pa.float32(), st.floats(width=32)),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "decimal": (pa.decimal128(20, 3), exact),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.sampled_from(["a", "b", "", "ä", "1"])),
    "large text": (pa.large_string(), st.text(max_size=2)),
    "codes": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b", "c", "zz"])),
    "coded numbers": (pa.dictionary(pa.int8(), pa.float64()), st.sampled_from([1.0, 2.5, math.nan, -0.0])),
    "days": (pa.date32(), st.dates()),
    "instants": (pa.timestamp("us", tz="UTC"), st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1))),
}


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("role", ["numeric", "categorical"])
@settings(max_examples=20, deadline=None)
@given(data=st.data(), chunk=st.integers(1, 30))
def test_every_kind_of_array_is_counted_as_value_by_value(kind, role, data, chunk):
    type_, values = ARRAYS[kind]
    if role == "numeric" and kind in {"text", "large text", "codes", "days", "instants"}:
        return
    array = pa.array(data.draw(st.lists(st.none() | values, min_size=1, max_size=60)), type_)
    some = [value for value in array.to_pylist() if value is not None and value == value]  # noqa: PLR0124
    if role == "numeric":
        edges = sorted({float(value) for value in some[::2] if math.isfinite(float(value))} | {0.0})
        bare = ColumnProfile(name="x", role="numeric", counts=(), edges=tuple(edges))
    else:
        bare = ColumnProfile(
            name="x", role="categorical", counts=(), categories=tuple({written(value): 0 for value in some[::2]})
        )
    counter = ColumnCounter(bare)
    for start in range(0, len(array), chunk):
        counter.add(array.slice(start, chunk))
    whole = ColumnCounter(bare)
    whole.add(pa.chunked_array([array.slice(0, chunk), array.slice(chunk)]))
    found = counter.result()
    assert (found.counts, found.missing, found.non_finite) == plain_count(bare, array.to_pylist())
    assert whole.result() == found
    assert counter.problem is None


def test_a_decimal_equal_to_an_edge_is_in_the_bin_that_begins_there():
    """Arrow's own cast of decimals to floats is off in the last digit for every tenth value."""
    prices = [Decimal(i) / 100 for i in range(1, 2000)]
    ref = build_profile("m", pd.DataFrame({"x": [float(price) for price in prices]}), (X,), WINDOW)
    assert counted(ref, pa.table({"x": pa.array(prices, pa.decimal128(12, 4))})).columns[0].counts == (
        ref.columns[0].counts
    )


def test_problems_do_not_depend_on_where_batches_end():
    ref = profile([(1.0, "a"), (2.0, "b")])
    odd = pa.table({"x": pa.array([None] * 9 + ["1"]), "c": pa.array([1] + [None] * 9, pa.int64())})
    for chunk in (1, 3, 10):
        with pytest.raises(DataError) as caught:
            counted(ref, odd, chunk)
        assert [p.field for p in caught.value.problems] == ["x", "c"]
