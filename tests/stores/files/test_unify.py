"""Types are joined as the formats' own libraries join them: pyarrow's permissive rule is the independent word."""

from __future__ import annotations

from itertools import combinations_with_replacement
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.rows.types import kind_of_type, plain_type
from airflow_mlops.spec.data import ColumnType
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.files.unify import cast, join
from tests.support.files import NOON, read

TYPES = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint32(), pa.uint64()),
    *(pa.float32(), pa.float64(), pa.decimal128(9, 2), pa.decimal128(12, 4), pa.bool_(), pa.string(), pa.binary()),
    *(pa.date32(), pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.time64("us")),
    *(pa.duration("us"), pa.null(), pa.list_(pa.int64()), pa.list_(pa.float64()), pa.struct([("a", pa.int8())])),
]
PAIRS = list(combinations_with_replacement(TYPES, 2))
OURS = {
    frozenset(("date32[day]", "timestamp[us]")): "timestamp[us]",
    frozenset(("date32[day]", "timestamp[ns]")): "timestamp[ns]",
    frozenset(("date32[day]", "timestamp[us, tz=UTC]")): "timestamp[us, tz=UTC]",
    frozenset(("timestamp[us]", "timestamp[ns]")): "timestamp[ns]",
    frozenset(("string", "binary")): None,
    frozenset(("float", "decimal128(9, 2)")): "double",
    frozenset(("float", "decimal128(12, 4)")): "double",
}
"""Where we differ from pyarrow: it joins no dates with times, makes bytes of text, and few digits of decimals."""


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=str)
def test_two_types_are_joined_as_pyarrow_joins_them(a: pa.DataType, b: pa.DataType) -> None:
    try:
        schemas = [pa.schema([("x", type_)]) for type_ in (a, b)]
        theirs = str(plain_type(pa.unify_schemas(schemas, promote_options="permissive").field("x").type))
    except pa.ArrowInvalid:
        theirs = "None"
    except pa.ArrowTypeError:
        theirs = "None"
    expected = OURS.get(frozenset((str(a), str(b))), theirs)
    assert str(join(a, b)) == str(join(b, a)) == str(expected)


def test_numbers_and_texts_are_never_joined() -> None:
    kinds = [(a, b) for a, b in PAIRS if {kind_of_type(a), kind_of_type(b)} == {"number", "text"}]
    assert len(kinds) >= 10
    assert all(join(a, b) is None for a, b in kinds)


def test_values_that_would_change_are_refused_without_being_shown() -> None:
    for array, type_ in [
        (pa.array([2**53 + 1]), pa.float64()),
        (pa.array([2**63], pa.uint64()), pa.int64()),
        (pa.array(["secret"]), pa.float64()),
    ]:
        with pytest.raises(DataError, match=r"column x: found values of type .* in a\.parquet") as caught:
            cast(array, type_, "x", "a.parquet")
        assert "secret" not in str(caught.value)
    assert cast(pa.array([1, 2.5]), pa.string(), "x", "").to_pylist() == ["1", "2.5"]


def parquet(folder: Path, name: str, x: pa.Array) -> None:
    pq.write_table(pa.table({"t": pa.array([NOON] * len(x), pa.timestamp("us", "UTC")), "x": x}), folder / name)


def test_whole_numbers_beside_a_column_of_nothing_stay_whole(tmp_path: Path) -> None:
    parquet(tmp_path, "a.parquet", pa.array([10**18 + 1]))
    parquet(tmp_path, "b.parquet", pa.array([None, None], pa.float64()))
    table = read(FileStore(str(tmp_path)), "x")
    assert table["x"].to_pylist() == [10**18 + 1, None, None]
    assert str(table.schema.field("x").type) == "int64"


def test_stated_types_win_over_those_of_the_files(tmp_path: Path) -> None:
    parquet(tmp_path, "a.parquet", pa.array([7]))
    parquet(tmp_path, "b.parquet", pa.array(["007"]))
    for kind, values in [("text", ["7", "007"]), ("integer", [7, 7]), ("number", [7.0, 7.0])]:
        assert read(FileStore(str(tmp_path), types={"x": kind}), "x")["x"].to_pylist() == values
    parquet(tmp_path, "b.parquet", pa.array(["seven"]))
    with pytest.raises(DataError, match=r"column x: found values of type string in .*b\.parquet"):
        read(FileStore(str(tmp_path), types={"x": "number"}), "x")


STATED = [
    (pa.array([True, False]), pa.array([0, 1], pa.int8()), "integer", [1, 0, 0, 1]),
    (pa.array([True, False]), pa.array([0.5, 1.0]), "number", [1.0, 0.0, 0.5, 1.0]),
    (pa.array(["7", "b"]), pa.array([7, 8]), "text", ["7", "b", "7", "8"]),
    (pa.array(["true"]), pa.array([True]), "text", ["true", "true"]),
    (
        pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us")),
        pa.array([NOON], pa.timestamp("us", "UTC")),
        "time",
        [NOON, NOON],
    ),
]


@pytest.mark.parametrize(("first", "second", "kind", "values"), STATED, ids=lambda one: str(getattr(one, "type", "")))
def test_what_a_refusal_tells_to_state_reads_both_files_and_keeps_what_they_mean(
    tmp_path: Path, first: pa.Array, second: pa.Array, kind: ColumnType, values: list[object]
) -> None:
    parquet(tmp_path, "a.parquet", first)
    parquet(tmp_path, "b.parquet", second)
    with pytest.raises(DataError) as error:
        read(FileStore(str(tmp_path)), "x")
    assert f"or state data.source.types: {{x: {kind}}}" in str(error.value)
    assert read(FileStore(str(tmp_path), types={"x": kind}), "x")["x"].to_pylist() == values


def test_where_no_statement_helps_none_is_advised(tmp_path: Path) -> None:
    parquet(tmp_path, "a.parquet", pa.array(["noon"]))
    parquet(tmp_path, "b.parquet", pa.array([NOON], pa.timestamp("us", "UTC")))
    with pytest.raises(DataError, match=r"write one of the two files again with the other's type \[column_retyped\]"):
        read(FileStore(str(tmp_path)), "x")
