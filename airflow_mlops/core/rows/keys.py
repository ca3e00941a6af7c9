"""What tells one row from another, as numbers of 64 bits, so that millions of rows can be held and joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.rows.frames import to_frame
from airflow_mlops.core.rows.types import plain_type
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_MISSING = 0x6D697373696E672E
"""Stands for a missing value: any number that no small one hashes to."""


def identities(batch: pa.RecordBatch, key: Sequence[str], time: str) -> tuple[Array, Array]:
    """Return a number for each row's key and event time, and one for its key alone; shape (rows,) each, uint64.

    The same value gives the same number in every width of whole numbers and every kind of text, whatever else stands
    in its batch.

    Examples
    --------
    >>> import pyarrow as pa
    >>> narrow, wide = ({"k": pa.array([1, -2], width), "t": pa.array([0, 1], pa.timestamp("us", "UTC"))}
    ...                 for width in (pa.int8(), pa.int64()))
    >>> one, other = (identities(pa.RecordBatch.from_pydict(rows), ["k"], "t")[0] for rows in (narrow, wide))
    >>> bool((one == other).all())
    True
    """
    alone = _number(batch.column(key[0]))
    for name in key[1:]:
        alone = _mixed(alone, _number(batch.column(name)))
    return _mixed(alone, _number(batch.column(time))), alone


def row_numbers(batch: pa.RecordBatch) -> Array:
    """Return a number for each row, shape (rows,), uint64: rows that are the same in every column have the same one.

    Others have the same one with a chance of n**2 / 2**65 among n rows.
    """
    found = None
    for column in batch.columns:
        number = _number(column)
        found = number if found is None else _mixed(found, number)
    if found is None:
        raise ValueError("rows without a column")
    return found


def whole_keys(batch: pa.RecordBatch, key: Sequence[str]) -> pa.RecordBatch:
    """Leave out rows with a missing part of their key: nobody knows which row they are."""
    import pyarrow.compute as pc

    known = None
    for name in key:
        valid = pc.is_valid(batch.column(name))
        known = valid if known is None else pc.and_(known, valid)
    return batch if known is None or pc.all(known).as_py() is not False else batch.filter(known)


def same_kinds(spec: ModelSpec, said: Mapping[str, pa.DataType], schema: pa.Schema) -> None:
    """Refuse a key column that is of another kind in the source than in the score log: no row would be found.

    Raises
    ------
    DataError
        COLUMN_RETYPED, for each such column.
    """
    problems = [
        Problem(
            code=ReasonCode.COLUMN_RETYPED,
            field="data.key",
            found=f"column '{name}' of type {schema.field(name).type}, and {kind} in the score log",
            allowed="the type that was scored",
            fix="mend the source, or score the windows again",
        )
        for name, kind in said.items()
        if _hashed_as(kind) != _hashed_as(schema.field(name).type)
    ]
    if problems:
        raise DataError(problems, subject=spec.name)


def together(batches: Sequence[pa.RecordBatch]) -> pd.DataFrame:
    """Return one frame of at least one batch; of several files, some may lack a column, or hold nothing in it."""
    import pyarrow as pa

    several = [pa.Table.from_batches([batch]) for batch in batches]
    filled = [table for table in several if table.num_rows] or several[:1]
    return to_frame(pa.concat_tables(filled, promote_options="permissive"))


def _hashed_as(type_: pa.DataType) -> str:
    """Name the type that values are hashed in, finer than their kind: 1 and 1.0, a date and its midnight differ."""
    import pyarrow.types as t

    plain = plain_type(type_)
    if t.is_integer(plain):
        return "whole number"
    return "timestamp" if t.is_timestamp(plain) else str(plain)


def _number(values: pa.Array) -> Array:
    """Hash a column in the one type that values of its kind are hashed in."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.types as t

    kind = values.type
    if t.is_dictionary(kind):
        return _number(values.dictionary_decode())
    if values.null_count:  # else NumPy makes floats of whole numbers, and each hashes to something else
        found = np.full(len(values), _MISSING, dtype="uint64")
        found[values.is_valid().to_numpy(zero_copy_only=False)] = _number(values.drop_null())
        return found
    if t.is_timestamp(kind):
        values = values.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(pa.int64())
    elif t.is_integer(kind):
        values = values.cast(pa.uint64() if t.is_unsigned_integer(kind) else pa.int64())
    elif t.is_nested(kind):
        values = pa.array([repr(value) for value in values.to_pylist()], pa.string())
    return np.asarray(pd.util.hash_array(values.to_numpy(zero_copy_only=False)), dtype="uint64")


def _mixed(one: Array, other: Array) -> Array:
    """Mix two hashes into one, as Boost's hash_combine does with its golden ratio of 64 bits."""
    import numpy as np

    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        return one ^ (other + golden + (one << np.uint64(6)) + (one >> np.uint64(2)))
