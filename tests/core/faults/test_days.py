"""Samples of days: bounded, whatever the batches, and batches of days where days are small."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.faults.days import LEAST, ROWS, batch_length, in_batches, sample_days
from tests.support.fault_streams import DAY, T0, day


def rows(per_day: int, days: int) -> pa.RecordBatch:
    times = [T0 + number * DAY + timedelta(seconds=60 * n) for number in range(days) for n in range(per_day)]
    return pa.record_batch({"t": pa.array(times, pa.timestamp("us", "UTC")), "x": list(range(len(times)))})


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_the_sample_does_not_depend_on_the_batches(cuts):
    whole = rows(700, 4)
    places = sorted({0, whole.num_rows, *(cut % whole.num_rows for cut in cuts)})
    parts = [whole.slice(a, b - a) for a, b in pairwise(places)]
    once, cut = (sample_days(batches, "t", ("x",), seed=3) for batches in ([whole], parts))
    assert len(once) == 4
    assert [d.rows.num_rows for d in once] == [ROWS] * 4
    assert [d.count for d in once] == [700] * 4
    for one, other in zip(once, cut, strict=True):
        assert one.rows.equals(other.rows)


def test_the_sample_is_uniform():
    drawn = np.concatenate(
        [sample_days([rows(1000, 1)], "t", ("x",), seed=s)[0].rows["x"].to_numpy() for s in range(60)]
    )
    counts = np.bincount(drawn // 100, minlength=10)
    assert abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())


def test_small_days_are_put_together_and_always_the_same_ones():
    days = [day(number, np.arange(24)) for number in range(12)]
    length = batch_length(days)
    assert length * 24 >= LEAST > (length - 1) * 24
    ends = {batch.end for batch in in_batches(days, length)}
    later = {batch.end for batch in in_batches(days[3:], length)}
    assert later <= ends
    assert batch_length([day(0, np.arange(250))]) == 1
