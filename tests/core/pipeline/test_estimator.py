"""The estimator and its pipeline: seeds, encodings, a transformer of one's own."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.pipeline.class_weights import match_class_weights
from airflow_mlops.core.pipeline.estimator import build_estimator, set_seed
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.pipeline.trusted_types import trusted_types
from airflow_mlops.core.training.fit import fit
from tests.support.builders import make_spec


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


CALIBRATED = "sklearn.calibration.CalibratedClassifierCV"
SVC = {"path": "sklearn.svm.SVC", "parameters": {"C": 2.0}}
PARTS = [["lr", {"path": LOGISTIC}], ["hgb", {"path": HISTOGRAM, "parameters": {"max_iter": 5}}]]
NESTED: dict[str, dict[str, Any]] = {
    "calibration": {"estimator": CALIBRATED, "parameters": {"estimator": SVC, "cv": 3}},
    "calibration, the path alone": {"estimator": CALIBRATED, "parameters": {"estimator": "sklearn.svm.SVC", "cv": 3}},
    "stacking": {"estimator": "sklearn.ensemble.StackingClassifier", "parameters": {"estimators": PARTS, "cv": 3}},
    "stacking with one on top": {
        "estimator": "sklearn.ensemble.StackingClassifier",
        "parameters": {"estimators": PARTS, "cv": 3, "final_estimator": {"path": FOREST}},
    },
    "voting": {
        "estimator": "sklearn.ensemble.VotingClassifier",
        "parameters": {"voting": "soft", "estimators": PARTS},
    },
    "boosting of trees": {
        "estimator": "sklearn.ensemble.AdaBoostClassifier",
        "parameters": {
            "estimator": {"path": "sklearn.tree.DecisionTreeClassifier", "parameters": {"max_depth": 2}},
            "n_estimators": 5,
        },
    },
    "bagging of calibrated ones": {
        "estimator": "sklearn.ensemble.BaggingClassifier",
        "parameters": {
            "n_estimators": 3,
            "estimator": {"path": CALIBRATED, "parameters": {"estimator": {"path": LOGISTIC}, "cv": 3}},
        },
    },
    "xgboost inside": {
        "estimator": "sklearn.ensemble.VotingClassifier",
        "parameters": {
            "voting": "soft",
            "estimators": [*PARTS, ["x", {"path": "xgboost.XGBClassifier", "parameters": {"n_estimators": 5}}]],
        },
    },
}


@pytest.mark.parametrize("training", NESTED.values(), ids=NESTED)
def test_estimators_inside_others_are_trained_stored_and_loaded(loop: Any, training: dict[str, Any]) -> None:
    spec, frame = loop.spec(training={**training, "calibration": "never"}), loop.frame(900)
    frame["y"] = np.where(frame["y"], "fraud", "legit")
    spec = spec.model_copy(update={"data": spec.data.model_copy(update={"positive": "fraud"})})
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    assert fitted.metrics["roc_auc"] > 0.75
    loaded = skops.io.loads(skops.io.dumps(fitted.pipeline), trusted=list(trusted_types(spec)))
    ours, theirs = (predict(pipeline, frame, fitted) for pipeline in (fitted.pipeline, loaded))
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    seeds = [value for name, value in fitted.pipeline.get_params().items() if name.endswith("random_state")]
    assert set(seeds) <= {spec.training.seed}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a field beside": ({"estimator": {"path": LOGISTIC, "C": 2}}, r"parameters\.estimator: .*move C under parameters"),
    "no estimator": (
        {"estimator": {"path": "sklearn.utils.Bunch"}},
        r"parameters\.estimator\.path: found sklearn\.utils\.Bunch",
    ),
    "nothing that the platform allows": (
        {"estimator": {"path": "collections.Counter"}},
        r"parameters\.estimator\.path: found 'collections\.Counter'.*allowed_imports",
    ),
    "a function": (
        {"estimator": {"path": "sklearn.base.clone"}},
        r"estimator\.path: found sklearn\.base\.clone, a func",
    ),
    "a wrong name inside": (
        {"estimator": {"path": LOGISTIC, "parameters": {"Cc": 1}}},
        r"parameters\.estimator\.parameters\.Cc: .*did you mean 'C'",
    ),
}


@pytest.mark.parametrize(("parameters", "words"), REFUSED.values(), ids=REFUSED)
def test_what_stands_inside_is_refused_by_its_place(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        build_estimator(CALIBRATED, parameters)


def test_nothing_inside_is_run_that_is_no_estimator() -> None:
    """A path inside parameters may not start a program."""
    with pytest.raises(TrainingError, match=r"subprocess\.Popen"):
        build_estimator(CALIBRATED, {"estimator": {"path": "subprocess.Popen", "parameters": {"args": ["false"]}}})


def test_predictors_of_several_columns_are_refused_with_the_one_to_name() -> None:
    with pytest.raises(TrainingError, match=rf"predicts several columns; .*name {LOGISTIC} as training\.estimator"):
        build_estimator("sklearn.multioutput.MultiOutputClassifier", {"estimator": {"path": LOGISTIC}})


@pytest.mark.parametrize(
    ("labels", "weights", "expected"),
    [
        ([0, 1], {"0": 1, "1": 5}, {0: 1, 1: 5}),
        ([0, 1], {0: 1, 1: 5}, {0: 1, 1: 5}),
        ([False, True], {"false": 1, "true": 5}, {False: 1, True: 5}),
        (["0", "1"], {"0": 1, "1": 5}, {"0": 1, "1": 5}),
        (["no", "yes"], {"no": 1, "yes": 5}, {"no": 1, "yes": 5}),
        ([1.5, 2.0], {"1.5": 1, "2": 5}, {1.5: 1, 2.0: 5}),
    ],
)
def test_class_weights_find_their_labels(labels: list[Any], weights: Any, expected: Any) -> None:
    spec = make_spec(LOGISTIC, training={"estimator": LOGISTIC, "parameters": {"class_weight": weights}})
    model = build_estimator(LOGISTIC, spec.training.parameters)
    match_class_weights(model, labels)
    assert model.class_weight == expected
    assert [type(key) for key in model.class_weight] == [type(key) for key in expected]


def test_weights_of_no_class_and_weights_that_are_none_are_told_at_once() -> None:
    model = build_estimator(LOGISTIC, {"class_weight": {"2": 1, "1": "much"}})
    with pytest.raises(TrainingError) as caught:
        match_class_weights(model, [0, 1])
    found = {problem.field: problem.found for problem in caught.value.problems}
    assert found["training.parameters.class_weight.2"] == "a weight of the class '2', which no training row has"
    assert found["training.parameters.class_weight.1"] == "the weight 'much'"


def test_weights_inside_an_estimator_inside_are_matched_too(loop: Any) -> None:
    inner = {"path": LOGISTIC, "parameters": {"class_weight": {"false": 1, "true": 9}}}
    training = {"estimator": CALIBRATED, "parameters": {"estimator": inner, "cv": 3}, "calibration": "never"}
    spec, frame = loop.spec(training=training), loop.frame(900)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    assert fitted.pipeline[-1].estimator.class_weight == {False: 1, True: 9}


def test_an_error_of_the_estimator_is_told_in_its_own_words(loop: Any) -> None:
    training = {"estimator": "sklearn.naive_bayes.CategoricalNB", "calibration": "never"}
    spec, frame = loop.spec(training=training), loop.frame(900)
    with pytest.raises(TrainingError, match="raised ValueError while it was fitted: Negative values in data"):
        fit(spec, loop.snapshot(spec, frame), frame)
