"""Profiles: counts that add up, whatever the batches."""

from __future__ import annotations

import bisect
import json
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.profiles.build import build_profile, merge, profile_batches
from airflow_mlops.core.profiles.counting import ColumnCounter, written
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.spec.problems import ReasonCode

WINDOW = Window(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2013, 2, 1, tzinfo=UTC))
X, C = Feature(name="x", role="numeric"), Feature(name="c", role="categorical")

numbers = st.one_of(
    st.none(), st.floats(), st.integers(-3, 3).map(float), st.sampled_from([math.inf, -math.inf, math.nan, 0.0, -0.0])
)
names = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d"]), st.text(max_size=3))
rows = st.lists(st.tuples(numbers, names), min_size=1, max_size=60)


def table(values: list[tuple[float | None, str | None]]) -> pa.Table:
    return pa.table(
        {"x": pa.array([x for x, _ in values], pa.float64()), "c": pa.array([c for _, c in values], pa.string())}
    )


def profile(values: list[tuple[float | None, str | None]], bins: int = 5, top: int = 3) -> Profile:
    return build_profile("m", table(values).to_pandas(), (X, C), WINDOW, bins=bins, top=top)


def counted(reference: Profile, data: pa.Table, chunk: int = 1000) -> Profile:
    return profile_batches(reference, iter(data.to_batches(max_chunksize=chunk)), WINDOW)


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


@settings(deadline=None)
@given(reference=rows, current=rows, chunk=st.integers(1, 20))
def test_any_batches_give_the_same_profile(reference, current, chunk):
    ref = profile(reference)
    assert counted(ref, table(current), chunk) == counted(ref, table(current))


@settings(deadline=None)
@given(reference=rows, left=rows, right=rows)
def test_merging_profiles_equals_profiling_merged_rows(reference, left, right):
    ref = profile(reference)
    whole = counted(ref, table(left + right))
    assert merge(counted(ref, table(left)), counted(ref, table(right))) == whole
    assert merge(counted(ref, table(right)), counted(ref, table(left))) == whole


@settings(deadline=None)
@given(values=rows)
def test_reference_equals_its_own_rows_in_batches_and_survives_json(values):
    ref = profile(values)
    assert counted(ref, table(values)) == ref
    assert Profile.from_json(ref.to_text()) == ref
    for column in ref.columns:
        assert sum(column.counts) + column.missing + column.non_finite == ref.rows


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


def test_categories_are_ranked_and_the_rest_is_other():
    frame = pd.DataFrame({"c": ["b", "a", "b", "c", "a", "d", None]})
    c = build_profile("m", frame, (C,), WINDOW, top=2).columns[0]
    assert (c.categories, c.counts, c.missing) == (("a", "b"), (2, 2, 2), 1)


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


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        ({"x": [1.0, 2.0]}, pa.array(["1", "2"])),
        ({"x": [1.0, 2.0]}, pa.array([datetime(2013, 1, 1, tzinfo=UTC)])),
        ({"c": ["01234", "56789"]}, pa.array([1234, 56789])),
        ({"c": ["AA", "UA"]}, pa.array([True, False])),
        ({"c": [1, 2]}, pa.array(["1", "2"])),
        ({"c": ["a"]}, pa.array([["a"]])),
        ({"c": ["a", "nan", "inf"]}, pa.array([1.5])),
    ],
)
def test_retyped_columns_are_refused(reference, current):
    name = next(iter(reference))
    ref = build_profile("m", pd.DataFrame(reference), (X if name == "x" else C,), WINDOW)
    with pytest.raises(DataError) as caught:
        counted(ref, pa.table({name: current}))
    assert [(p.code, p.field) for p in caught.value.problems] == [(ReasonCode.COLUMN_RETYPED, name)]


@pytest.mark.parametrize(
    ("categories", "current"),
    [(["1", "2"], [1, 2]), (["1.5", "2"], [1.5, 2.0]), (["True", "False"], [True, False])],
)
def test_numbers_that_were_written_as_text_are_not_retyped(categories, current):
    ref = build_profile("m", pd.DataFrame({"c": categories}), (C,), WINDOW)
    assert counted(ref, pa.table({"c": current})).columns[0].counts == (1, 1, 0)


def test_every_problem_is_named_at_once():
    ref = profile([(1.0, "a")])
    with pytest.raises(DataError) as caught:
        counted(ref, pa.table({"y": [1]}))
    assert {(p.code, p.field) for p in caught.value.problems} == {
        (ReasonCode.COLUMN_MISSING, "x"),
        (ReasonCode.COLUMN_MISSING, "c"),
    }
    doubled = pa.Table.from_arrays([pa.array([1.0]), pa.array([1.0]), pa.array(["a"])], names=["x", "x", "c"])
    with pytest.raises(DataError) as caught:
        counted(ref, doubled)
    assert [p.code for p in caught.value.problems] == [ReasonCode.COLUMN_DUPLICATED]


def test_a_reference_needs_rows_columns_and_one_type_in_each():
    with pytest.raises(DataError) as caught:
        build_profile("m", pd.DataFrame({"x": []}), (X,), WINDOW)
    assert [p.code for p in caught.value.problems] == [ReasonCode.WINDOW_EMPTY]
    with pytest.raises(DataError) as caught:
        build_profile("m", pd.DataFrame({"y": [1]}), (X, C), WINDOW)
    assert [p.code for p in caught.value.problems] == [ReasonCode.COLUMN_MISSING] * 2
    mixed = pd.DataFrame({"x": pd.Series([1, "secret"], dtype=object), "c": pd.Series(["a", 3], dtype=object)})
    with pytest.raises(DataError) as caught:
        build_profile("m", mixed, (X, C), WINDOW)
    assert [p.code for p in caught.value.problems] == [ReasonCode.COLUMN_RETYPED] * 2
    assert "secret" not in str(caught.value)


def test_no_batch_is_a_profile_of_no_rows():
    ref = profile([(1.0, "a")])
    none = profile_batches(ref, iter(()), WINDOW)
    assert none.rows == 0
    assert merge(none, ref) == ref


@settings(max_examples=20, deadline=None)
@given(other=st.sampled_from(["model", "bins"]))
def test_profiles_of_other_bins_do_not_merge(other):
    a = profile([(1.0, "a"), (2.0, "b")])
    b = (
        profile([(5.0, "a")])
        if other == "bins"
        else build_profile("n", table([(1.0, "a")]).to_pandas(), (X, C), WINDOW)
    )
    with pytest.raises(RecordError):
        merge(a, b)


def test_merged_window_covers_both():
    a = profile([(1.0, "a")])
    later = Window(start=datetime(2013, 3, 1, tzinfo=UTC), end=datetime(2013, 4, 1, tzinfo=UTC))
    b = profile_batches(a, iter(()), later)
    assert merge(b, a).window == Window(start=WINDOW.start, end=later.end)


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


outputs = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)
P, L = Feature(name="prediction", role="numeric"), Feature(name="label", role="categorical")


def with_outputs(made, **given):
    values = [(P, np.array([p for p, _ in made])), (L, np.array([label for _, label in made]))]
    return build_profile("m", table([(1.0, "a")]).to_pandas(), (X, C), WINDOW, outputs=values, **given)


def outputs_of(reference: Profile, made) -> Profile:
    """Count outputs in a reference's bins."""
    columns = {"prediction": [p for p, _ in made], "label": [label for _, label in made]}
    found = profile_batches(replace(reference, columns=reference.outputs), [pa.record_batch(columns)], WINDOW)
    return replace(counted(reference, table([(1.0, "a")] * len(made))), outputs=found.columns)


@settings(deadline=None)
@given(reference=outputs, left=outputs, right=outputs)
def test_merging_outputs_equals_counting_merged_outputs(reference, left, right):
    ref = with_outputs(reference, importance={"x": 1.0}, schema=(Column(name="x", type="double"),))
    merged = merge(outputs_of(ref, left), outputs_of(ref, right))
    assert merged == outputs_of(ref, left + right)
    assert merge(ref, outputs_of(ref, right)).importance == {"x": 1.0}
    assert merge(outputs_of(ref, right), ref).schema == ref.schema
    assert Profile.from_json(ref.to_text()) == ref
    assert [c.name for c in ref.outputs] == ["prediction", "label"]
    assert sum(ref.outputs[0].counts) == sum(ref.outputs[1].counts) == len(reference)


def test_profiles_with_other_outputs_do_not_merge():
    ref = with_outputs([(0.5, True)])
    with pytest.raises(RecordError):
        merge(ref, counted(ref, table([(1.0, "a")])))


def test_a_profile_of_format_1_is_read():
    now = profile([(1.0, "a"), (2.0, None)])
    old = json.loads(now.to_text())
    for name in ("outputs", "importance", "schema"):
        del old[name]
    old["format"] = 1
    assert Profile.from_json(json.dumps(old)) == now


def test_a_profile_of_many_columns_is_tens_of_kilobytes():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"n{i}": rng.normal(size=2000) for i in range(20)})
    names = [f"a rather long name {i}" for i in range(80)]
    frame = frame.assign(**{f"c{i}": rng.choice(names, 2000) for i in range(10)})
    features = [Feature(name=n, role="numeric" if n[0] == "n" else "categorical") for n in frame.columns]
    schema = [Column(name=f"column{i}", type="timestamp[us, tz=UTC]") for i in range(60)]
    found = build_profile("m", frame, features, WINDOW, schema=schema, importance=dict.fromkeys(frame.columns, 1 / 30))
    assert len(found.to_text()) < 60_000
