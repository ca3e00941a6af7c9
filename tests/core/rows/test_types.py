"""What kind a column is: one answer for all Arrow types and pandas dtypes, whoever asks."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from airflow_mlops.core.monitoring.drift.schema_change import column_changes
from airflow_mlops.core.pipeline.features import as_features, role_of
from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.core.profiles.counting import counted_as, type_problem
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Column
from airflow_mlops.core.rows.keys import identities, same_kinds
from airflow_mlops.core.rows.types import ValueKind, decoded, kind_of_series, kind_of_type, plain_type
from airflow_mlops.core.validation import validate
from airflow_mlops.core.validation.schema import WantedColumn, compare
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.validation import Expectation
from tests.support.builders import make_spec

INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]
DECIMALS = [pa.decimal32(5, 2), pa.decimal64(9, 2), pa.decimal128(20, 2), pa.decimal256(50, 2)]
PLAIN: dict[ValueKind, list[pa.DataType]] = {
    "number": [*INTEGERS, *FLOATS, *DECIMALS],
    "text": [pa.string(), pa.large_string(), pa.string_view()],
    "boolean": [pa.bool_()],
    "time": [pa.timestamp("s"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.date32(), pa.date64()],
    "time of day": [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")],
    "duration": [*(pa.duration(unit) for unit in ("s", "ms", "us", "ns")), pa.month_day_nano_interval()],
    "empty": [pa.null()],
    "other": [
        *(pa.binary(), pa.binary(4), pa.large_binary(), pa.binary_view()),
        *(pa.list_(pa.int64()), pa.list_(pa.int64(), 2), pa.large_list(pa.int64()), pa.list_view(pa.int64())),
        *(pa.large_list_view(pa.int64()), pa.map_(pa.string(), pa.int64()), pa.struct([("number", pa.int64())])),
        *(pa.dense_union([pa.field("a", pa.int8())]), pa.sparse_union([pa.field("a", pa.int8())])),
        pa.run_end_encoded(pa.int32(), pa.int64()),
        *(pa.bool8(), pa.uuid(), pa.json_(), pa.fixed_shape_tensor(pa.int8(), [2])),
    ],
}
ENCODED: dict[ValueKind, list[pa.DataType]] = {
    kind: [pa.dictionary(pa.int32(), type_) for type_ in types]
    for kind, types in PLAIN.items()
    if kind not in {"other", "empty"}
}
TYPES = [(type_, kind) for table in (PLAIN, ENCODED) for kind, types in table.items() for type_ in types]
WITHOUT_A_CLASS = {"Type_INTERVAL_MONTHS", "Type_INTERVAL_DAY_TIME"}
"""Arrow knows them, but Python cannot make one."""


def test_the_table_of_this_test_has_every_arrow_type() -> None:
    known = {name: getattr(pa.lib, name) for name in dir(pa.lib) if name.startswith("Type_")}
    assert len(known) > 40
    ids = {type_.id for type_, _ in TYPES}
    assert {name for name, number in known.items() if number not in ids} == WITHOUT_A_CLASS


@pytest.mark.parametrize(("type_", "kind"), TYPES, ids=str)
def test_everyone_who_asks_hears_the_same_of_an_arrow_type(type_: pa.DataType, kind: ValueKind) -> None:
    assert kind_of_type(type_) == kind_of_type(str(type_)) == kind
    assert kind_of_type(plain_type(type_)) == kind
    assert plain_type(plain_type(type_)) == plain_type(type_)
    assert kind_of_series(pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([], type_)))) == kind
    counted = {"time of day": "time", "duration": "time", "empty": "", "other": None}
    assert counted_as(type_) == counted.get(kind, kind)
    assert role_of(str(type_)) == {"number": "numeric", "boolean": "numeric", "text": "categorical"}.get(kind)


@pytest.mark.parametrize(("type_", "kind"), TYPES, ids=str)
def test_a_change_of_kind_is_a_retyped_column_and_a_change_of_width_is_none(
    type_: pa.DataType, kind: ValueKind
) -> None:
    before, plain = Column(name="x", type=str(type_)), Column(name="x", type=str(plain_type(type_)))
    assert column_changes([before], [before]) == ()
    if kind != "other":  # plain bytes are other bytes
        assert column_changes([before], [plain]) == ()
    others = [other for name, types in PLAIN.items() for other in types[:1] if name not in {kind, "empty"}]
    assert len(others) >= 6
    for other in others:
        (change, *_) = column_changes([before], [Column(name="x", type=str(other))]) or (None,)
        assert (change is None) == (kind == "empty"), other


NUMBER = [np.dtype(name) for name in ("int8", "uint64", "float16", "float64")]
SERIES: list[tuple[str, pd.Series, ValueKind]] = [
    *((str(dtype), pd.Series([1, 2], dtype=dtype), "number") for dtype in NUMBER),
    *((name, pd.Series([1, None], dtype=name), "number") for name in ("Int8", "UInt64", "Float32", "double[pyarrow]")),
    ("decimals", pd.Series([Decimal(1), None]), "number"),
    ("integers and None", pd.Series([1, None], dtype=object), "number"),
    ("integers and floats", pd.Series([1, 1.5, None], dtype=object), "number"),
    ("category of numbers", pd.Series([1, 2], dtype="category"), "number"),
    ("category of decimals", pd.Series([Decimal(1), None], dtype="category"), "number"),
    ("floats, none there", pd.Series([None, None], dtype="float64"), "empty"),
    ("floats, no row", pd.Series([], dtype="float64"), "number"),
    ("Int64, none there", pd.Series([None, None], dtype="Int64"), "empty"),
    ("complex", pd.Series([1j]), "other"),
    *((name, pd.Series(["a", None], dtype=name), "text") for name in ("object", "string", "category")),
    ("string, none there", pd.Series([None], dtype="string"), "text"),
    ("category, none there", pd.Series([None], dtype="category"), "empty"),
    *((name, pd.Series([True, False], dtype=name), "boolean") for name in ("bool", "boolean", "object", "category")),
    ("no booleans", pd.Series([], dtype="bool"), "boolean"),
    ("naive", pd.Series([datetime(2013, 1, 1)]), "time"),
    ("zoned", pd.Series([datetime(2013, 1, 1, tzinfo=UTC), None]), "time"),
    ("category of times", pd.Series([datetime(2013, 1, 1)], dtype="category"), "time"),
    ("no times", pd.Series([None, None], dtype="datetime64[ns, UTC]"), "time"),
    ("dates", pd.Series([date(2013, 1, 1), None]), "time"),
    (
        "two zones",
        pd.Series([datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=timezone(timedelta(hours=1)))]),
        "mixed times",
    ),
    ("clock", pd.Series([time(12), None]), "time of day"),
    ("timedelta64", pd.Series([timedelta(1), None]), "duration"),
    ("timedeltas", pd.Series([timedelta(1), None], dtype=object), "duration"),
    ("period", pd.Series(pd.period_range("2013", periods=2)), "other"),
    ("interval", pd.Series(pd.interval_range(0, 2)), "other"),
    ("bytes", pd.Series([b"a"]), "other"),
    ("lists", pd.Series([[1], [2]]), "other"),
    ("mixture", pd.Series([1, "a"]), "other"),
    ("nothing", pd.Series([None, None], dtype=object), "empty"),
    ("no row", pd.Series([], dtype=object), "empty"),
]


@pytest.mark.parametrize(("series", "kind"), [each[1:] for each in SERIES], ids=[each[0] for each in SERIES])
def test_kinds_of_pandas_dtypes(series: pd.Series, kind: ValueKind) -> None:
    assert kind_of_series(series) == kind
    assert compare(series.to_frame("x"), []).kinds == {"x": kind}


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (pa.int32(), [1, None]), (pa.string(), ["a", None]), (pa.bool_(), [True, None]),
        (pa.timestamp("us", "UTC"), [datetime(2013, 1, 1, tzinfo=UTC), None]), (pa.date32(), [date(2013, 1, 1), None]),
        (pa.time64("us"), [time(12), None]), (pa.duration("us"), [timedelta(1), None]),
        (pa.decimal128(9, 2), [Decimal("1.50"), None]), (pa.binary(), [b"a", None]),
        (pa.dictionary(pa.int32(), pa.int64()), [1, None]),
        (pa.dictionary(pa.int32(), pa.string()), ["a", None]),
    ],
    ids=str,
)  # fmt: skip
def test_rows_are_of_the_kind_of_their_type_after_pandas_read_them(type_: pa.DataType, values: list[Any]) -> None:
    array = pa.array(values, plain_type(type_))
    rows = pa.table({"x": array.dictionary_encode() if pa.types.is_dictionary(type_) else array}).to_pandas()
    assert kind_of_series(rows["x"]) == kind_of_type(type_)


def test_numbers_in_categories_are_bounded_and_trained_on_as_numbers() -> None:
    rows = pd.DataFrame({"x": pd.Series([1.0, 2.0, None, 9.0], dtype="category")})
    asked = [{"expect": "between", "min": 0, "max": 5}, {"expect": "type", "type": "number"}]
    expectations = [Expectation.model_validate({"column": "x", **each}) for each in asked]
    report = validate(rows, expectations, subject="m", wanted_columns=[WantedColumn(name="x", role="numeric")])
    (problem,) = report.problems
    assert "1 of 3 values" in problem.found
    (values,) = as_features(rows, [Feature(name="x", role="numeric")]).to_numpy().T
    assert np.array_equal(values, [1, 2, np.nan, 9], equal_nan=True)
    assert decoded(rows["x"]).tolist()[:2] == [1.0, 2.0]


STORED = """
{"kind": "Profile", "format": 2, "model": "m", "rows": 3, "outputs": [], "importance": {},
 "window": {"start": "2013-01-01T00:00:00Z", "end": "2013-02-01T00:00:00Z"},
 "columns": [{"name": "late", "role": "categorical", "edges": [], "categories": ["1 days 00:00:00"], "counts": [2, 0],
              "missing": 1, "non_finite": 0, "kind": "time"}],
 "schema": [{"name": "late", "type": "duration[us]"}]}
"""
"""As 7ee2d0a, the commit before this table, wrote it of durations."""


def test_a_profile_on_disk_of_durations_still_counts_durations() -> None:
    stored = Profile.from_json(json.loads(STORED))
    rows = pd.DataFrame({"late": [timedelta(1), timedelta(1), None]})
    features = [Feature(name="late", role="categorical")]
    assert build_profile("m", rows, features, stored.window, schema=stored.schema) == stored
    (reference,) = stored.columns
    for type_ in (pa.duration("us"), pa.time64("us"), pa.null()):
        assert type_problem(reference, type_) is None
    assert type_problem(reference, pa.binary()) is not None


def spec() -> ModelSpec:
    return make_spec()


KEYS = [
    pa.array([3], pa.int8()), pa.array([3], pa.uint32()), pa.array([3.0]), pa.array(["3"]),
    pa.array(["3"], pa.large_string()), pa.array(["3"]).dictionary_encode(), pa.array([date(1970, 1, 4)]),
    pa.array([datetime(1970, 1, 4)], pa.timestamp("s")), pa.array([datetime(1970, 1, 4)], pa.timestamp("us")),
    pa.array([timedelta(days=3)], pa.duration("us")), pa.array([time(3)], pa.time64("us")), pa.array([True]),
]  # fmt: skip


@pytest.mark.parametrize("one", KEYS, ids=lambda array: str(array.type))
@pytest.mark.parametrize("other", KEYS, ids=lambda array: str(array.type))
def test_keys_that_are_taken_for_one_another_hash_alike(one: pa.Array, other: pa.Array) -> None:
    times = pa.array([0], pa.timestamp("us", "UTC"))
    batches = [pa.RecordBatch.from_pydict({"id": array, "t": times}) for array in (one, other)]
    try:
        same_kinds(spec(), {"id": one.type}, batches[1].schema)
    except ValueError:
        return
    left, right = (identities(batch, ["id"], "t")[1] for batch in batches)
    assert len(left) == len(right) == 1
    assert left[0] == right[0]
