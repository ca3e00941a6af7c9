"""Training: the same every time, ordered in time, and one clear sentence for whatever cannot be trained."""

import json
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.rows.windows import split
from airflow_mlops.core.training.fit import fit, plain, split_frame
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from tests.support.fitting import LOGISTIC, fitted_of

HISTOGRAM = "sklearn.ensemble.HistGradientBoostingClassifier"


@pytest.mark.parametrize(
    ("estimator", "kind", "classes"),
    [
        (HISTOGRAM, "binary", (False, True)),
        ("sklearn.ensemble.RandomForestClassifier", "multiclass", (0, 1, 2)),
        ("sklearn.neural_network.MLPRegressor", "regression", ()),
        ("sklearn.linear_model.SGDRegressor", "regression", ()),
    ],
)
def test_the_same_snapshot_spec_and_seed_give_the_same_model(
    loop: Any, estimator: str, kind: str, classes: tuple[Any, ...]
) -> None:
    spec, frame = loop.spec(estimator), loop.frame(800, kind=kind)
    first, second = (fitted_of(loop, spec, frame.copy()) for _ in range(2))
    assert first.task == kind
    assert first.classes == classes
    assert first.metrics == second.metrics
    one, two = (predict(f.pipeline, frame, f) for f in (first, second))
    np.testing.assert_array_equal(one.values, two.values)
    if one.probabilities is not None:
        np.testing.assert_array_equal(one.probabilities, two.probabilities)
    json.dumps(dict(first.parameters), allow_nan=False)


def test_another_seed_gives_another_forest(loop: Any) -> None:
    frame = loop.frame(800)
    path = "sklearn.ensemble.RandomForestClassifier"
    found = [fitted_of(loop, loop.spec(path, training={"seed": seed}), frame).metrics["log_loss"] for seed in (1, 2)]
    assert found[0] != found[1]


def test_train_and_holdout_are_disjoint_ordered_and_sorted(loop: Any) -> None:
    spec, frame = loop.spec(), loop.frame(800).sample(frac=1, random_state=1)
    train, holdout = split_frame(spec, frame, split(spec, loop.as_of))
    fitted = fitted_of(loop, spec, frame)
    assert train["t"].is_monotonic_increasing
    assert holdout["t"].is_monotonic_increasing
    assert train["t"].max() < fitted.train.end < fitted.holdout.start <= holdout["t"].min()
    assert fitted.holdout.start - fitted.train.end == spec.data.label_delay
    assert list(fitted.train_frame.index) == list(train.index)
    assert not set(train["id"]) & set(holdout["id"])


def test_labels_that_were_not_known_when_the_holdout_began_teach_nothing(loop: Any) -> None:
    spec, frame = loop.spec(LOGISTIC), loop.frame(800)
    windows = split(spec, loop.as_of)
    between = (frame["t"] >= windows[0].end) & (frame["t"] < windows[1].start)
    assert between.any()
    turned = frame.assign(y=frame["y"] ^ between)
    assert fitted_of(loop, spec, turned).metrics == fitted_of(loop, spec, frame).metrics


def test_rows_from_the_future_are_never_trained_or_judged_on(loop: Any) -> None:
    spec, frame = loop.spec(LOGISTIC), loop.frame(800)
    late = frame.tail(20).assign(t=lambda f: f["t"] + timedelta(days=30), a=1e6)
    together = pd.concat([frame, late], ignore_index=True)
    assert fitted_of(loop, spec, together).metrics == fitted_of(loop, spec, frame).metrics


@pytest.mark.parametrize(
    ("label", "classes"),
    [
        (lambda y: y.astype(int), (0, 1)),
        (lambda y: y.astype(float), (0, 1)),
        (lambda y: y.map({True: "yes", False: "no"}), ("no", "yes")),
        (lambda y: y.astype("boolean"), (False, True)),
        (lambda y: y.map({True: "yes", False: "no"}).astype("category"), ("no", "yes")),
        (lambda y: y.astype(object).where(y.index % 5 > 0), (False, True)),
    ],
)
def test_labels_of_every_storage(loop: Any, label: Any, classes: tuple[Any, ...]) -> None:
    frame = loop.frame(1600)
    fitted = fitted_of(loop, loop.spec(LOGISTIC), frame.assign(y=label(frame["y"])))
    assert fitted.classes == classes
    assert [type(c) for c in fitted.classes] == [type(c) for c in classes]
    assert fitted.metrics["roc_auc"] > 0.8


BROKEN_DATA = {
    "single class": (lambda f: f.assign(y=True), ReasonCode.LABEL_SINGLE_CLASS, "one class only"),
    "single class in the holdout": (
        lambda f: f.assign(y=f["y"] | (f["t"] >= pd.Timestamp("2024-02-15", tz="UTC"))),
        ReasonCode.LABEL_SINGLE_CLASS,
        "holdout rows",
    ),
    "no labels": (lambda f: f.assign(y=None), ReasonCode.LABELS_MISSING, "0 training rows"),
    "infinite": (
        lambda f: f.assign(b=f["b"].where(f.index % 9 > 0, np.inf)),
        ReasonCode.VALUE_NOT_FINITE,
        "features.b",
    ),
    "too few": (lambda f: f.head(40), ReasonCode.LABELS_MISSING, "40 training rows"),
    "holdout too small": (
        lambda f: f[f["t"] < pd.Timestamp("2024-02-16", tz="UTC")],
        ReasonCode.HOLDOUT_TOO_SMALL,
        "gate.min_rows",
    ),
    "a number as class": (
        lambda f: f.assign(y=np.arange(len(f)) * 1.5),
        ReasonCode.ESTIMATOR_INVALID,
        "name a regressor",
    ),
    "label column gone": (lambda f: f.drop(columns="y"), ReasonCode.COLUMN_MISSING, "no column 'y'"),
}


@pytest.mark.parametrize("name", BROKEN_DATA)
def test_broken_data_is_refused_in_a_clear_sentence(loop: Any, name: str) -> None:
    change, code, words = BROKEN_DATA[name]
    spec, frame = loop.spec(), loop.frame(1600)
    with pytest.raises(DataError, match=words) as caught:
        fit(spec, loop.snapshot(spec, frame), change(frame))
    assert code in {problem.code for problem in caught.value.problems}


def test_a_regression_label_must_be_finite_numbers_that_differ(loop: Any) -> None:
    spec, frame = loop.spec("sklearn.linear_model.Ridge"), loop.frame(800, kind="regression")
    for labels in (frame["y"].where(frame.index % 3 > 0, np.inf), frame["y"].astype(str) + "?", 1.0):
        with pytest.raises(DataError, match=r"data\.label"):
            fit(spec, loop.snapshot(spec, frame), frame.assign(y=labels))


BROKEN_TRAINING = {
    "no such module": (
        {"estimator": "sklearn.ensembel.RandomForestClassifier"},
        ReasonCode.IMPORT_FAILED,
        r"did you mean 'sklearn\.ensemble\.RandomForestClassifier'",
    ),
    "no such package": ({"estimator": "xgboots.XGBClassifier"}, ReasonCode.IMPORT_FAILED, "install the package"),
    "no such name": (
        {"estimator": "sklearn.ensemble.RandomForestClasifier"},
        ReasonCode.ESTIMATOR_INVALID,
        r"did you mean 'sklearn\.ensemble\.RandomForestClassifier'",
    ),
    "a function": ({"estimator": "sklearn.base.clone"}, ReasonCode.ESTIMATOR_INVALID, "a function"),
    "a transformer": (
        {"estimator": "sklearn.preprocessing.StandardScaler"},
        ReasonCode.ESTIMATOR_INVALID,
        "neither classifier nor regressor",
    ),
    "unknown parameter": (
        {"estimator": HISTOGRAM, "parameters": {"learning_rte": 0.1}},
        ReasonCode.ESTIMATOR_INVALID,
        "did you mean 'learning_rate'",
    ),
    "impossible parameter": (
        {"estimator": HISTOGRAM, "parameters": {"learning_rate": -1}},
        ReasonCode.ESTIMATOR_INVALID,
        "learning_rate",
    ),
    "needs other estimators": (
        {"estimator": "sklearn.ensemble.VotingClassifier"},
        ReasonCode.ESTIMATOR_INVALID,
        "without estimators",
    ),
    "no predict_proba": (
        {"estimator": "sklearn.svm.LinearSVC"},
        ReasonCode.ESTIMATOR_INVALID,
        "CalibratedClassifierCV",
    ),
    "unknown search parameter": (
        {"estimator": HISTOGRAM, "search": {"parameters": {"max_dept": [2, 3]}}},
        ReasonCode.ESTIMATOR_INVALID,
        r"training\.search\.parameters\.max_dept.*did you mean 'max_depth'",
    ),
    "raises while fitting": (
        {"estimator": "sklearn.naive_bayes.CategoricalNB"},
        ReasonCode.TRAINING_FAILED,
        "raised ValueError while it was fitted",
    ),
}


@pytest.mark.parametrize("name", BROKEN_TRAINING)
def test_broken_training_is_refused_in_a_clear_sentence(loop: Any, name: str) -> None:
    training, code, words = BROKEN_TRAINING[name]
    spec, frame = loop.spec(training=training), loop.frame(800)
    with pytest.raises(TrainingError, match=words) as caught:
        fit(spec, loop.snapshot(spec, frame), frame)
    assert code in {problem.code for problem in caught.value.problems}


def test_a_classifier_without_probabilities_serves_a_metric_of_labels(loop: Any) -> None:
    spec, frame = loop.spec("sklearn.svm.LinearSVC", gate={"primary": "accuracy"}), loop.frame(800)
    fitted = fitted_of(loop, spec, frame)
    assert fitted.metrics["accuracy"] > 0.7
    assert "log_loss" not in fitted.metrics


def test_metrics_of_the_other_kind_of_task_are_named(loop: Any) -> None:
    spec = loop.spec(gate={"primary": "rmse", "absolute": [{"metric": "mae", "max": 1}]})
    with pytest.raises(TrainingError) as caught:
        fitted_of(loop, spec, loop.frame(800))
    assert [p.field for p in caught.value.problems] == ["gate.primary", "gate.absolute[0].metric"]


def test_warnings_of_the_estimator_are_kept_not_raised(loop: Any) -> None:
    spec = loop.spec("sklearn.neural_network.MLPClassifier", training={"parameters": {"max_iter": 2}})
    found = fitted_of(loop, spec, loop.frame(800)).warnings
    assert len(found) == 1
    assert found[0].startswith("ConvergenceWarning: ")


def weighted(loop: Any, estimator: str = LOGISTIC, **parts: Any) -> Any:
    return ModelSpec.model_validate(
        {
            **(spec := loop.spec(estimator, **parts).model_dump(mode="json")),
            "data": {**spec["data"], "weight": "w", "source": {"path": "x/"}},
        }
    )


@pytest.mark.parametrize(
    ("estimator", "kind"),
    [
        (LOGISTIC, "binary"),
        (HISTOGRAM, "binary"),
        (LOGISTIC, "multiclass"),
        ("sklearn.linear_model.Ridge", "regression"),
    ],
)
def test_a_whole_weight_is_as_many_equal_rows(loop: Any, estimator: str, kind: str) -> None:
    # medians and scales are of the rows as they are, so a feature is given that has none to take: zero mean, both ways
    frame = loop.frame(800, kind=kind)[["id", "t", "y", "c"]]
    frame["w"] = np.random.default_rng(1).integers(1, 4, 800)
    parts: dict[str, Any] = {"features": {"categorical": ["c"]}, "training": {"parameters": PARAMETERS[estimator]}}
    often = frame.loc[frame.index.repeat(frame["w"])].assign(w=1.0)
    first, second = (fitted_of(loop, weighted(loop, estimator, **parts), each) for each in (frame, often))
    assert first.metrics == pytest.approx(second.metrics, rel=2e-4)
    plain_spec = loop.spec(estimator, **parts)
    unweighted = fitted_of(loop, plain_spec, frame.drop(columns="w"))
    assert unweighted.metrics != pytest.approx(first.metrics, rel=1e-6)


PARAMETERS: dict[str, dict[str, Any]] = {
    LOGISTIC: {"tol": 1e-10, "max_iter": 1000},
    HISTOGRAM: {"min_samples_leaf": 1, "early_stopping": False},
    "sklearn.linear_model.Ridge": {},
}


def test_rows_of_weight_zero_teach_nothing_and_are_not_judged_on(loop: Any) -> None:
    frame = loop.frame(2000)
    off = frame.index % 3 == 0
    silent = frame.assign(w=np.where(off, 0.0, 1.0), y=frame["y"] ^ off, a=0.0, b=0.0)
    parts = {"features": {"categorical": ["c"]}}
    found = fitted_of(loop, weighted(loop, **parts), silent)
    expected = fitted_of(loop, weighted(loop, **parts), silent[~off])
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-4)


def test_the_weight_is_no_feature_and_a_search_uses_it(loop: Any) -> None:
    search = {"parameters": {"C": [1e-6, 1.0]}, "folds": 2}
    fitted = fitted_of(loop, weighted(loop, training={"search": search}), loop.frame(800).assign(w=2.0))
    assert [feature.name for feature in fitted.features] == ["a", "b", "c"]
    assert fitted.parameters["C"] == 1.0


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (lambda f: f["w"].where(f.index != 5), r"1 missing or no number among \d+ weights of training rows"),
        (lambda f: f["w"].where(f.index % 100 > 0, -1.0), "negative among"),
        (lambda f: f["w"].where(f.index % 100 > 0, np.inf), "infinite among .* weights of holdout rows"),
        (lambda f: f["w"] * 0, "all .* weights of training rows are 0"),
        (lambda f: f["w"].astype(str) + "kg", "missing or no number"),
    ],
)
def test_weights_that_are_none_are_counted(loop: Any, weights: Any, words: str) -> None:
    frame = loop.frame(800).assign(w=1.0)
    with pytest.raises(DataError, match=words) as caught:
        fitted_of(loop, weighted(loop), frame.assign(w=weights(frame)))
    assert {problem.field for problem in caught.value.problems} == {"data.weight"}


def test_a_missing_weight_column_is_named(loop: Any) -> None:
    with pytest.raises(DataError, match=r"data\.weight: found no column 'w'"):
        fitted_of(loop, weighted(loop), loop.frame(800))


def test_weights_for_an_estimator_that_takes_none_are_refused_before_fitting(loop: Any) -> None:
    frame = loop.frame(800).assign(w=1.0)
    with pytest.raises(TrainingError, match=r"data\.weight.*takes no sample_weight"):
        fitted_of(loop, weighted(loop, "sklearn.neighbors.KNeighborsClassifier"), frame)


def test_what_the_estimator_tells_of_its_training_is_kept(loop: Any) -> None:
    spec = loop.spec("sklearn.neural_network.MLPClassifier", training={"parameters": {"max_iter": 2}})
    found = fitted_of(loop, spec, loop.frame(800)).convergence
    assert (found["iterations"], found["limit"], len(found["warnings"])) == (2, 2, 1)


def test_parameters_become_plain_data() -> None:
    found = plain({"a": np.float64(1.5), "b": (1, None), "c": {"d": np.int64(2)}, "e": print})
    assert found == {"a": 1.5, "b": [1, None], "c": {"d": 2}, "e": repr(print)}


def test_a_class_that_only_the_holdout_has_is_named_where_two_classes_are_asked_about(loop: Any) -> None:
    spec, frame = loop.spec(LOGISTIC), loop.frame(800)
    label, ordered = spec.data.label, frame.sort_values(spec.data.time).index
    texts = frame[label].map(lambda late: "b" if late else "a").astype(object)
    texts[ordered[-60:]] = "c"
    with pytest.raises(DataError) as error:
        fitted_of(loop, spec, frame.assign(**{label: texts}))
    (problem,) = error.value.problems
    assert problem.code is ReasonCode.LABEL_AMBIGUOUS
    assert "the holdout rows have 'c', too, which no training row has" in problem.found
    assert problem.fix.startswith(
        "lengthen data.window until the training rows have all classes, or write data.positive"
    )
