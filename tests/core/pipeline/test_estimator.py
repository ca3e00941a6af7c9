"""The estimator and its pipeline: seeds, encodings, a transformer of one's own."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.pipeline.estimator import build_estimator, set_seed
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.training.fit import fit


def test_the_seed_reaches_every_open_random_state_and_leaves_n_jobs() -> None:
    path = "sklearn.ensemble.BaggingClassifier"
    from sklearn.tree import DecisionTreeClassifier

    model = build_estimator(path, {"estimator": DecisionTreeClassifier(), "n_jobs": 3})
    set_seed(model, 11)
    assert (model.random_state, model.estimator.random_state, model.n_jobs) == (11, 11, 3)
    mine = build_estimator(path, {"random_state": 5})
    set_seed(mine, 11)
    assert mine.random_state == 5


LOGISTIC = "sklearn.linear_model.LogisticRegression"


FOREST = "sklearn.ensemble.RandomForestClassifier"


HISTOGRAM = "sklearn.ensemble.HistGradientBoostingClassifier"


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
