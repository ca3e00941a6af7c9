"""Rows inside and outside of spans."""

from __future__ import annotations

import pyarrow as pa

from airflow_mlops.core.faults.spans import covering
from airflow_mlops.core.records.fault import FaultySpan
from airflow_mlops.core.rows.windows import rows_outside, within_any
from tests.support.fault_streams import DAY, T0


def span(first: int, last: int) -> FaultySpan:
    return FaultySpan(start=T0 + first * DAY, end=T0 + last * DAY, column="x", cause="constant", words="", rows=1)


def test_rows_are_left_out_by_half_open_spans():
    times = pa.array([T0 + n * DAY for n in range(6)] + [None], pa.timestamp("us", "UTC"))
    batch = pa.record_batch({"t": times, "n": list(range(7))})
    windows = covering([span(3, 4), span(1, 2), span(2, 3)])
    assert len(windows) == 1
    assert within_any(times, windows).tolist() == [False, True, True, True, False, False, False]
    assert rows_outside(batch, "t", windows)["n"].to_pylist() == [0, 4, 5, 6]
    assert rows_outside(batch, "t", ()) is batch
