"""Features by role, the frame that a pipeline sees, and what that pipeline forgives."""

import sys
from decimal import Decimal
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.pipeline.features import as_features, resolve, role_of
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.snapshot import Column
from airflow_mlops.core.training.fit import fit
from airflow_mlops.spec.problems import ReasonCode

LOGISTIC = "sklearn.linear_model.LogisticRegression"
FOREST = "sklearn.ensemble.RandomForestClassifier"
HISTOGRAM = "sklearn.ensemble.HistGradientBoostingClassifier"
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


@pytest.mark.parametrize("estimator", [HISTOGRAM, LOGISTIC, FOREST])
@pytest.mark.parametrize("encoding", ["auto", "ordinal", "onehot"])
def test_a_pipeline_forgives_order_extras_unseen_and_missing(loop: Any, estimator: str, encoding: str) -> None:
    spec, frame = loop.spec(estimator, features={"encoding": encoding}), loop.frame(800)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    rows = frame.head(50)
    plain = predict(fitted.pipeline, rows, fitted).probabilities
    shuffled = rows[["c", "y", "b", "a"]].assign(extra="?")
    np.testing.assert_array_equal(predict(fitted.pipeline, shuffled, fitted).probabilities, plain)
    odd = rows.assign(c=["never seen", None] * 25, a=None)
    assert np.isfinite(predict(fitted.pipeline, odd, fitted).probabilities).all()
    with pytest.raises(DataError, match="no column 'a'"):
        predict(fitted.pipeline, rows.drop(columns="a"), fitted)


@pytest.mark.parametrize("estimator", [HISTOGRAM, LOGISTIC])
def test_the_pipeline_itself_scores_a_raw_frame_like_predict_does(loop: Any, estimator: str) -> None:
    """Whoever serves the stored model directly gets the same answers, for None as for NaN."""
    spec, frame = loop.spec(estimator), loop.frame(800)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    ours = predict(fitted.pipeline, frame, fitted).probabilities
    np.testing.assert_array_equal(fitted.pipeline.predict_proba(frame[["c", "b", "a"]]), ours)


@pytest.mark.parametrize(("estimator", "encoder"), [(HISTOGRAM, OrdinalEncoder), (LOGISTIC, OneHotEncoder)])
def test_auto_encoding_follows_the_estimators_tags(loop: Any, estimator: str, encoder: type) -> None:
    spec, frame = loop.spec(estimator), loop.frame(800)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    found = fitted.pipeline["columns"].named_transformers_["categorical"]
    assert isinstance(found if encoder is OrdinalEncoder else found[-1], encoder)


def test_histogram_boosting_is_told_which_codes_are_categories(loop: Any) -> None:
    spec, frame = loop.spec(), loop.frame(800)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    assert fitted.parameters["categorical_features"] == [False, False, True]


def test_thousands_of_categories_stay_within_the_bins(loop: Any) -> None:
    frame = loop.frame(2000)
    frame["c"] = [f"k{n % 1500}" for n in range(2000)]
    for bins in (255, 16):
        spec = loop.spec(training={"parameters": {"max_bins": bins}})
        fitted = fit(spec, loop.snapshot(spec, frame), frame)
        assert np.isfinite(fitted.metrics["log_loss"])


class Doubled(TransformerMixin, BaseEstimator):
    """A team's own transformer: adds a column that the specification does not name."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> "Doubled":  # noqa: N803
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803
        return X.assign(double=X["a"] * 2)


@pytest.fixture
def team_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("team_transformers")
    monkeypatch.setattr(Doubled, "__module__", "team_transformers")
    module.Doubled = Doubled  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "team_transformers", module)


@pytest.mark.usefixtures("team_module")
def test_a_transformer_runs_first_in_training_and_in_scoring(loop: Any) -> None:
    path = "team_transformers.Doubled"
    spec = loop.spec(LOGISTIC, features={"transformer": path}, training={"trusted_types": [path]})
    frame = loop.frame(800)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    assert fitted.pipeline["columns"].transformers_[0][2] == ["a", "b", "double"]
    assert len(predict(fitted.pipeline, frame.tail(3), fitted).values) == 3


@pytest.mark.usefixtures("team_module")
def test_a_transformer_is_not_trusted_by_being_named(loop: Any) -> None:
    spec, frame = loop.spec(LOGISTIC, features={"transformer": "team_transformers.Doubled"}), loop.frame(800)
    with pytest.raises(TrainingError, match=r"team_transformers\.Doubled"):
        fit(spec, loop.snapshot(spec, frame), frame)


def test_a_transformer_that_returns_arrays_is_refused(loop: Any) -> None:
    path = "sklearn.preprocessing.MaxAbsScaler"
    spec, frame = loop.spec(features={"transformer": path, "numeric": ["a", "b"]}), loop.frame(800)
    with pytest.raises(TrainingError, match="returned a ndarray"):
        fit(spec, loop.snapshot(spec, frame), frame)


def test_columns_of_no_usable_type_are_said(loop: Any) -> None:
    spec, frame = loop.spec(), loop.frame(100)[["id", "t", "y"]]
    snapshot = loop.snapshot(spec, frame)
    from dataclasses import replace

    snapshot = replace(snapshot, columns=(*snapshot.columns, Column(name="when", type="timestamp[us]")))
    with pytest.raises(DataError, match=r"when \(timestamp\[us\]\)"):
        resolve(spec, snapshot)
