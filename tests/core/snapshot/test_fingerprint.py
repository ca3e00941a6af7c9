"""The content hash: blind to storage, and to nothing else."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_mlops.core.snapshot.fingerprint import fingerprint

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
SAMPLES: dict[pa.DataType, list[Any]] = {
    pa.int8(): [1, None, 3, -1],
    pa.uint64(): [1, None, 2**64 - 1],
    pa.float32(): [1.5, None, float("nan")],
    pa.float64(): [1.5, None, float("inf"), -0.0],
    pa.bool_(): [True, None, False],
    pa.string(): ["a", None, "", "äö"],
    pa.binary(): [b"a", None, b"", b"\x00"],
    pa.timestamp("us", "UTC"): [MOMENT, None],
    pa.timestamp("ns"): [MOMENT.replace(tzinfo=None), None],
    pa.date32(): [date(2024, 1, 1), None],
    pa.time64("us"): [time(1), None],
    pa.duration("us"): [timedelta(1), None],
    pa.decimal128(10, 2): [Decimal("1.20"), None],
    pa.binary(3): [b"abc", None],
    pa.list_(pa.int64()): [[1, None], None, []],
    pa.struct([("a", pa.int64()), ("b", pa.string())]): [{"a": 1, "b": None}, None, {"a": None, "b": "x"}],
    pa.map_(pa.string(), pa.int64()): [[("a", 1)], None, []],
    pa.null(): [None, None],
}


def batch(values: list[Any], type_: pa.DataType, name: str = "x") -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(values, type_)], [name])


def of(*batches: pa.RecordBatch) -> str:
    return fingerprint(batches, batches[0].schema)


@pytest.mark.parametrize("type_", SAMPLES, ids=str)
def test_boundaries_and_parquet_change_nothing(type_: pa.DataType) -> None:
    whole = batch(SAMPLES[type_] * 5, type_)
    parts = [whole.slice(i, 3) for i in range(0, whole.num_rows, 3)]
    assert of(*parts) == of(whole) == of(whole.slice(0, 2), whole.slice(2, 0), whole.slice(2))
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_batches([whole]), sink, row_group_size=4, compression="zstd")
    back = pq.read_table(sink)
    assert fingerprint(back.to_batches(max_chunksize=7), back.schema) == of(whole)


@pytest.mark.parametrize("type_", [t for t in SAMPLES if t != pa.null()], ids=str)
def test_each_null_and_value_counts(type_: pa.DataType) -> None:
    values = SAMPLES[type_]
    changed = [[*values[:i], other, *values[i + 1 :]] for i in range(len(values)) for other in values]
    distinct = {repr(row): of(batch(row, type_)) for row in changed}
    assert len(set(distinct.values())) == len(distinct)


def test_bytes_below_a_null_do_not_count() -> None:
    clean = pa.array([1, None, 3])
    dirty = pa.Array.from_buffers(
        pa.int64(), 3, [clean.buffers()[0], pa.py_buffer(pa.array([1, 99, 3]).buffers()[1].to_pybytes())]
    )
    assert of(pa.RecordBatch.from_arrays([dirty], ["x"])) == of(pa.RecordBatch.from_arrays([clean], ["x"]))


def test_dictionaries_and_large_types_are_the_values_they_hold() -> None:
    plain = pa.array(["a", None, "b", "a"])
    variants = [plain, plain.dictionary_encode(), plain.cast(pa.large_string())]
    assert len({of(pa.RecordBatch.from_arrays([array], ["x"])) for array in variants}) == 1


def test_name_type_and_order_of_columns_count() -> None:
    one, two = pa.array([1, 2]), pa.array([3, 4])
    hashes = {
        of(pa.RecordBatch.from_arrays([one, two], ["a", "b"])),
        of(pa.RecordBatch.from_arrays([two, one], ["a", "b"])),
        of(pa.RecordBatch.from_arrays([two, one], ["b", "a"])),
        of(pa.RecordBatch.from_arrays([one.cast(pa.int32()), two], ["a", "b"])),
        of(pa.RecordBatch.from_arrays([one, two], ["a", "c"])),
    }
    assert len(hashes) == 5


def test_where_one_text_ends_and_the_next_begins_counts() -> None:
    assert of(batch(["ab", "c"], pa.string())) != of(batch(["a", "bc"], pa.string()))


@pytest.mark.parametrize("row", [0, 9_999, 10_000, 29_999])
def test_every_row_counts_also_beyond_the_ten_thousandth(row: int) -> None:
    values = list(range(30_000))
    before = of(batch(values, pa.int64()))
    values[row] += 1
    assert of(batch(values, pa.int64())) != before


ROWS = st.lists(st.tuples(st.none() | st.integers(-5, 5), st.none() | st.text(max_size=3)), min_size=1, max_size=20)


def pairs(rows: list[tuple[int | None, str | None]]) -> pa.RecordBatch:
    numbers, texts = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays([pa.array(numbers, pa.int64()), pa.array(texts, pa.string())], ["n", "t"])


@given(one=ROWS, two=ROWS)
def test_equal_hashes_mean_equal_rows(one: Any, two: Any) -> None:
    assert (of(pairs(one)) == of(pairs(two))) == (one == two)


@given(rows=ROWS, cuts=st.lists(st.integers(0, 20)))
def test_any_cut_gives_the_same_hash(rows: Any, cuts: list[int]) -> None:
    whole = pairs(rows)
    ends = sorted({min(cut, len(rows)) for cut in cuts} | {0, len(rows)})
    assume(len(ends) > 1)
    assert of(*(whole.slice(a, b - a) for a, b in pairwise(ends))) == of(whole)
