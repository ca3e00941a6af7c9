"""From Arrow to pandas without a change of any value."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from airflow_mlops.core.rows.frames import to_frame


def test_large_whole_numbers_beside_missing_ones_stay_whole_and_others_are_what_pandas_makes() -> None:
    large = [2**63 - 1, None, -(2**60) - 1]
    table = pa.table(
        {
            "large": large,
            "unsigned": pa.array([2**64 - 1, None, 0], pa.uint64()),
            "edge": [2**53, None, -(2**53)],
            "whole": [2**60 + 1, 1, 2],
            "empty": pa.nulls(3, pa.int64()),
            "text": ["a", None, "b"],
        }
    )
    frame = to_frame(table)
    assert list(frame) == table.schema.names
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "UInt64", "float64", "int64", "float64", "object"]
    assert frame["large"].dropna().tolist() == [large[0], large[2]]
    assert frame["unsigned"][0] == 2**64 - 1
    assert to_frame(table.to_batches()[0]).equals(frame)
    assert np.array_equal(frame["edge"], [2.0**53, np.nan, -(2.0**53)], equal_nan=True)
