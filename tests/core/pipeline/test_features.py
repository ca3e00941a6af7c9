"""Features by role, the frame that a pipeline sees, and what that pipeline forgives."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.pipeline.features import as_features, resolve, role_of
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.snapshot import Column
from airflow_mlops.core.training.fit import fit
from airflow_mlops.spec.problems import ReasonCode

DAY = timedelta(days=1)
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


def with_dates(frame: pd.DataFrame) -> pd.DataFrame:
    ages = pd.to_timedelta(np.arange(len(frame)) % 40 + 1, unit="D")
    return frame.assign(signed_up=(frame["t"] - ages).astype("datetime64[us, UTC]"))


def test_dates_are_features_where_the_calendar_names_them_and_with_them_the_event_time_that_ages_need(
    loop: Any,
) -> None:
    frame = with_dates(loop.frame())
    plain = resolve(loop.spec(), loop.snapshot(loop.spec(), frame))
    assert "signed_up" not in {feature.name for feature in plain}
    spec = loop.spec(features={"calendar": {"signed_up": ["age_days"]}})
    found = [(f.name, f.role) for f in resolve(spec, loop.snapshot(spec, frame))]
    assert found == [("a", "numeric"), ("b", "numeric"), ("c", "categorical"), ("signed_up", "time"), ("t", "time")]
    listed = loop.spec(features={"numeric": ["b"], "calendar": {"t": ["hour"]}})
    assert [f.name for f in resolve(listed, loop.snapshot(listed, frame))] == ["b", "t"]


def test_a_date_that_is_listed_without_a_transformer_says_what_to_write(loop: Any) -> None:
    spec = loop.spec(features={"numeric": ["a", "signed_up"]})
    with pytest.raises(DataError, match=r"write features\.calendar: \{signed_up: \[hour, weekday, month, age_days\]\}"):
        resolve(spec, loop.snapshot(spec, with_dates(loop.frame())))


def test_a_transformer_is_given_times_by_listing_and_all_of_them_when_nothing_is_listed(loop: Any) -> None:
    frame, own = with_dates(loop.frame()), {"transformer": "a.B"}
    everything = loop.spec(features=own)
    found = resolve(everything, loop.snapshot(everything, frame))
    assert [(f.name, f.role) for f in found][-2:] == [("signed_up", "time"), ("t", "time")]
    spec = loop.spec(features={**own, "numeric": ["a", "t"], "categorical": ["c", "id"]})
    found = resolve(spec, loop.snapshot(spec, frame))
    assert [(f.name, f.role) for f in found] == [
        ("a", "numeric"), ("c", "categorical"), ("id", "categorical"), ("t", "time"),
    ]  # fmt: skip


def test_the_hour_of_the_event_is_learned_and_served_from_any_type(loop: Any) -> None:
    frame = with_dates(loop.frame(3000))
    frame["y"] = (frame["t"].dt.tz_convert("Asia/Tokyo").dt.hour < 8) | (frame["signed_up"] > frame["t"] - DAY * 5)
    features = {"calendar": {"t": ["hour"], "signed_up": ["age_days"]}, "time_zone": "Asia/Tokyo"}
    spec = loop.spec(features=features)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    assert fitted.metrics["accuracy"] > 0.99
    texts = frame.assign(t=frame["t"].map(pd.Timestamp.isoformat), signed_up=frame["signed_up"].map(str))
    ours = predict(fitted.pipeline, frame, fitted).probabilities
    np.testing.assert_array_equal(predict(fitted.pipeline, texts, fitted).probabilities, ours)
    np.testing.assert_array_equal(fitted.pipeline.predict_proba(texts[["t", "c", "b", "a", "signed_up"]]), ours)


def test_what_the_calendar_makes_may_not_have_the_name_of_a_feature(loop: Any) -> None:
    spec = loop.spec(features={"calendar": {"t": ["hour"]}})
    frame = loop.frame(800).assign(t_hour=1.0)
    with pytest.raises(TrainingError, match="t_hour, made of a time and also a feature"):
        fit(spec, loop.snapshot(spec, frame), frame)


def test_texts_that_are_no_dates_are_refused_in_training(loop: Any) -> None:
    frame = loop.frame(800).assign(born="yesterday")
    spec = loop.spec(features={"numeric": ["a"], "calendar": {"born": ["month"]}})
    with pytest.raises(DataError, match=r"features\.calendar\.born: found no date or time in any of"):
        fit(spec, loop.snapshot(spec, frame), frame)


def test_times_that_a_transformer_leaves_are_no_categories(loop: Any) -> None:
    frame = with_dates(loop.frame(800))
    path = "tests.core.pipeline.test_features.Leaves"
    spec = loop.spec(features={"transformer": path}, training={"trusted_types": [path]})
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    used = [name for _, _, names in fitted.pipeline["columns"].transformers_[:2] for name in names]
    assert used == ["a", "b", "hour", "c"]


class Leaves(TransformerMixin, BaseEstimator):
    """Makes the hour of the event, and leaves every column where it is."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> "Leaves":  # noqa: N803
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803
        return X.assign(hour=X["t"].dt.hour.astype(float))
