"""Profiles: counts that add up, whatever the batches."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.profiles.build import build_profile, merge, profile_batches
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.spec.problems import ReasonCode
from tests.support.profiled_rows import WINDOW, C, X, counted, profile, rows, table


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
