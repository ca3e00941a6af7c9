"""From Arrow to pandas without a change of any value."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

EXACT = 2**53
"""Whole numbers up to this are floats of 64 bits without a change; above it, two may become one."""


def to_frame(rows: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """Return rows as a frame; whole numbers stay what they are to the last digit.

    pandas makes floats of whole numbers as soon as one is missing. That loses nothing up to 2**53. A column that has
    larger ones (ids of 64 bits) and a missing value comes in pandas' own nullable type instead, which only then is
    worth it: transformers and estimators know floats.

    Examples
    --------
    >>> import pyarrow as pa
    >>> frame = to_frame(pa.table({"id": [10**18 + 1, None], "n": [1, None]}))
    >>> str(frame["id"].dtype), str(frame["n"].dtype), frame["id"][0]
    ('Int64', 'float64', np.int64(1000000000000000001))
    """
    import pandas as pd
    import pyarrow as pa

    table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
    # By place, not by name: names may come twice, and who reads the frame says so.
    large = [place for place in range(table.num_columns) if _is_rounded(table.column(place))]
    frame: pd.DataFrame = table.to_pandas(split_blocks=True)
    if not large:
        return frame
    nullable = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
    for place in large:
        name = frame.columns[place]
        whole = table.column(place).to_pandas(types_mapper=nullable.get)
        frame = frame.drop(columns=name)
        frame.insert(place, name, whole.set_axis(frame.index))
    return frame


def _is_rounded(column: pa.ChunkedArray) -> bool:
    import pyarrow.compute as pc
    import pyarrow.types as t

    if not (t.is_int64(column.type) or t.is_uint64(column.type)) or not column.null_count:
        return False
    ends = pc.min_max(column).as_py()
    return ends["min"] is not None and not -EXACT <= ends["min"] <= ends["max"] <= EXACT
