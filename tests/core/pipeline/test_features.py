"""Features by role, the frame that a pipeline sees, and what that pipeline forgives."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.pipeline.features import as_features, resolve, role_of
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.snapshot import Column
from airflow_mlops.spec.problems import ReasonCode

AGE, KIND = Feature(name="age", role="numeric"), Feature(name="kind", role="categorical")


@pytest.mark.parametrize(
    ("arrow", "role"),
    [
        *((name, "numeric") for name in ("int8", "uint32", "float", "double", "halffloat", "decimal128(9, 2)", "bool")),
        *((name, "categorical") for name in ("string", "large_string", "dictionary<values=string, indices=int32>")),
        *((name, None) for name in ("timestamp[us, tz=UTC]", "date32[day]", "binary", "list<item: int64>", "null")),
    ],
)
def test_roles_follow_arrow_types(arrow: str, role: str | None) -> None:
    assert role_of(arrow) == role


def test_features_by_type_leave_out_every_column_with_another_role(loop: Any) -> None:
    spec = loop.spec(features={"exclude": ["b"]})
    found = resolve(spec, loop.snapshot(spec, loop.frame()))
    assert [(f.name, f.role) for f in found] == [("a", "numeric"), ("c", "categorical")]


def test_listed_features_are_taken_numbers_first(loop: Any) -> None:
    spec = loop.spec(features={"categorical": ["c"], "numeric": ["b"]})
    assert [f.name for f in resolve(spec, loop.snapshot(spec, loop.frame()))] == ["b", "c"]


def test_a_listed_column_that_is_missing_gets_the_nearest_name(loop: Any) -> None:
    spec = loop.spec(features={"numeric": ["agee"]})
    with pytest.raises(DataError, match="did you mean 'age'") as caught:
        resolve(spec, loop.snapshot(spec, loop.frame().assign(age=1.0)))
    assert caught.value.problems[0].code is ReasonCode.COLUMN_MISSING


def test_no_feature_at_all_is_refused(loop: Any) -> None:
    spec = loop.spec()
    with pytest.raises(DataError, match="no usable column"):
        resolve(spec, loop.snapshot(spec, loop.frame()[["id", "t", "y"]]))


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, 2, None]),
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series([1.0, 2.0, None], dtype="Float64"),
        pd.Series([Decimal(1), Decimal(2), None], dtype=object),
        pd.Series([True, 2, None], dtype=object).astype(float),
    ],
)
def test_numbers_of_every_storage_become_the_same_floats(values: pd.Series) -> None:
    found = as_features(pd.DataFrame({"age": values}), [AGE])["age"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.to_numpy(), [1.0, 2.0, np.nan])


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, 2, None], dtype=object),
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series([1.0, 2.0, np.nan]),
        pd.Series(["1", "2", None], dtype="string"),
        pd.Series(["1", "2", None], dtype="category"),
    ],
)
def test_categories_of_every_storage_become_the_same_texts(values: pd.Series) -> None:
    found = as_features(pd.DataFrame({"kind": values}), [KIND])["kind"]
    assert list(found[:2]) == ["1", "2"]
    assert isinstance(found[2], float)
    assert np.isnan(found[2])


def test_text_in_a_numeric_feature_is_refused_without_showing_it() -> None:
    with pytest.raises(DataError, match=r"features\.numeric\.age") as caught:
        as_features(pd.DataFrame({"age": ["secret", "2"]}), [AGE])
    assert caught.value.problems[0].code is ReasonCode.COLUMN_RETYPED
    assert "secret" not in str(caught.value)


def test_all_missing_columns_are_named_at_once() -> None:
    with pytest.raises(DataError) as caught:
        as_features(pd.DataFrame({"other": [1]}), [AGE, KIND])
    assert [p.field for p in caught.value.problems] == ["features.age", "features.kind"]


def test_columns_of_no_usable_type_are_said(loop: Any) -> None:
    spec, frame = loop.spec(), loop.frame(100)[["id", "t", "y"]]
    snapshot = loop.snapshot(spec, frame)
    from dataclasses import replace

    snapshot = replace(snapshot, columns=(*snapshot.columns, Column(name="when", type="timestamp[us]")))
    with pytest.raises(DataError, match=r"when \(timestamp\[us\]\)"):
        resolve(spec, snapshot)
