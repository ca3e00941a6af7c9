"""Boosted models of other libraries: text labels, categories, constraints, and files that load without code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.metrics import recall_score, roc_auc_score

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.pipeline.boosters import boosted, family_of, leaves
from airflow_mlops.core.pipeline.estimator import build_estimator
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.pipeline.trusted_types import trusted_types
from airflow_mlops.core.training.fit import fit
from tests.support.builders import make_spec

SMALL: dict[str, dict[str, Any]] = {
    "xgboost.XGB": {"n_estimators": 20, "n_jobs": 1},
    "lightgbm.LGBM": {"n_estimators": 20, "n_jobs": 1},
    "catboost.CatBoost": {"iterations": 20, "thread_count": 1},
}
KINDS = [*SMALL]


def spec_of(kind: str, task: str = "Classifier", features: Any = None, positive: Any = "fraud", **training: Any) -> Any:
    parameters = {**SMALL.get(kind, {}), **training.pop("parameters", {})}
    return make_spec(
        data={"label_delay": "1d", "window": "60d", "positive": positive if task == "Classifier" else None},
        features=features or {"numeric": ["a", "b"], "categorical": ["c", "m"]},
        training={"estimator": f"{kind}{task}", "parameters": parameters, "calibration": "never", **training},
        gate={"min_rows": 100},
    )


def rows(loop: Any, labels: tuple[Any, Any] = ("legit", "fraud"), kind: str = "binary") -> pd.DataFrame:
    """Rows whose label depends on a number and on ids of 64 bits that only differ in the last digit."""
    frame = loop.frame(1500, kind=kind)
    rng = np.random.default_rng(3)
    frame["m"] = 10**18 + rng.integers(1, 5, len(frame))
    if kind == "binary":
        odd = (frame["m"] % 2 == 1).to_numpy()
        frame["y"] = np.where((frame["a"].fillna(0).to_numpy() + 3 * odd + rng.normal(size=1500)) > 1.5, *labels[::-1])
    return frame


@pytest.mark.parametrize("kind", KINDS)
def test_text_labels_are_encoded_and_the_named_class_is_the_positive_one(loop: Any, kind: str) -> None:
    spec, frame = spec_of(kind), rows(loop)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    assert (fitted.classes, fitted.positive) == (("fraud", "legit"), "fraud")
    held = frame.loc[fitted.holdout_frame.index]
    said = predict(fitted.pipeline, held, fitted)
    assert said.classes == ("legit", "fraud")
    fraud = held["y"] == "fraud"
    assert fitted.metrics["roc_auc"] == pytest.approx(roc_auc_score(fraud, said.positive))
    assert fitted.metrics["recall"] == pytest.approx(recall_score(fraud, said.values == "fraud"))
    assert fitted.metrics["roc_auc"] > 0.85, "the last digit of the ids was lost"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [(0, 1), (1, 2), (False, True)])
def test_the_same_model_whatever_the_labels_are_called(loop: Any, kind: str, labels: tuple[Any, Any]) -> None:
    spec = spec_of(kind, positive=None)
    found = []
    for names in (labels, ("no", "yes")):
        frame = rows(loop, names)
        fitted = fit(spec, loop.snapshot(spec, frame), frame)
        assert fitted.positive == names[1]
        found.append(predict(fitted.pipeline, frame, fitted).positive)
    np.testing.assert_allclose(*found)


@pytest.mark.parametrize("task", ["Classifier", "Regressor"])
@pytest.mark.parametrize("kind", KINDS)
def test_stored_and_loaded_with_exactly_the_reviewed_types(loop: Any, kind: str, task: str) -> None:
    spec, frame = spec_of(kind, task), rows(loop, kind="binary" if task == "Classifier" else "regression")
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    loaded = skops.io.loads(skops.io.dumps(fitted.pipeline), trusted=list(trusted_types(spec)))
    raw = frame[["m", "c", "b", "a"]]
    np.testing.assert_array_equal(loaded.predict(raw), fitted.pipeline.predict(raw))
    odd = raw.assign(c=["never seen", None, "x"] * 500, m=7, a=None)
    assert len(predict(loaded, odd, fitted).values) == len(odd)


@pytest.mark.parametrize("kind", KINDS)
def test_categories_are_the_librarys_own(loop: Any, kind: str) -> None:
    spec, frame = spec_of(kind), rows(loop)
    told = fit(spec, loop.snapshot(spec, frame), frame).parameters
    expected = {
        "xgboost.XGB": ("feature_types", ["q", "q", "c", "c"]),
        "lightgbm.LGBM": ("categorical_column", [2, 3]),
        "catboost.CatBoost": ("cat_features", [2, 3]),
    }
    name, value = expected[kind]
    assert told[name] == value


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("xgboost.XGB", "monotone_constraints"),
        ("lightgbm.LGBM", "monotone_constraints"),
        ("catboost.CatBoost", "monotone_constraints"),
        ("sklearn.ensemble.HistGradientBoosting", "monotonic_cst"),
    ],
)
def test_monotonic_constraints_are_written_by_feature_name(loop: Any, kind: str, name: str) -> None:
    frame = rows(loop)
    features = {"numeric": ["b", "a"], "categorical": [] if kind == "catboost.CatBoost" else ["c"]}
    spec = spec_of(kind, features=features, parameters={name: {"a": 1}})
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    grid = pd.DataFrame({"a": np.linspace(-3, 3, 200), "b": 0.3, "c": "x"})
    assert (np.diff(predict(fitted.pipeline, grid, fitted).positive) >= -1e-12).all()
    wrong = spec_of(kind, features=features, parameters={name: {"aa": 1, "b": 2}})
    with pytest.raises(TrainingError) as caught:
        fit(wrong, loop.snapshot(wrong, frame), frame)
    assert [problem.field.rpartition(".")[2] for problem in caught.value.problems] == ["aa", "b"]
    assert "did you mean 'a'?" in str(caught.value)


def test_constraints_by_name_are_refused_where_features_become_other_columns(loop: Any) -> None:
    spec = loop.spec(training={"parameters": {"monotonic_cst": {"a": 1}}}, features={"encoding": "onehot"})
    with pytest.raises(TrainingError, match="set features.encoding: ordinal"):
        fit(spec, loop.snapshot(spec, loop.frame(800)), loop.frame(800))


@pytest.mark.parametrize(("kind", "name"), [("lightgbm.LGBM", "class_weight"), ("catboost.CatBoost", "class_weights")])
def test_class_weights_are_of_the_labels_and_not_of_their_alphabet(loop: Any, kind: str, name: str) -> None:
    frame = rows(loop)
    shares = []
    for weight in (1, 20):
        spec = spec_of(kind, parameters={name: {"legit": 1, "fraud": weight}})
        fitted = fit(spec, loop.snapshot(spec, frame), frame)
        shares.append((predict(fitted.pipeline, frame, fitted).values == "fraud").mean())
    assert shares[1] > shares[0] + 0.05


def test_weights_of_the_positive_class_are_about_the_named_one(loop: Any) -> None:
    frame = rows(loop)
    shares = []
    for weight in (1.0, 20.0):
        spec = spec_of("xgboost.XGB", parameters={"scale_pos_weight": weight})
        fitted = fit(spec, loop.snapshot(spec, frame), frame)
        shares.append((predict(fitted.pipeline, frame, fitted).values == "fraud").mean())
    assert shares[1] > shares[0] + 0.05


def test_a_search_reaches_the_estimator_that_was_named(loop: Any) -> None:
    frame = rows(loop)
    search = {"method": "grid", "parameters": {"max_depth": [1, 3]}, "folds": 2}
    spec = spec_of("xgboost.XGB", search=search)
    assert fit(spec, loop.snapshot(spec, frame), frame).parameters["max_depth"] in {1, 3}


def test_boosted_models_are_found_inside_others() -> None:
    inner = {"path": "sklearn.ensemble.HistGradientBoostingClassifier"}
    one = build_estimator("sklearn.calibration.CalibratedClassifierCV", {"estimator": inner})
    found = boosted(one)
    assert found is not None
    assert found[0] == "estimator"
    parts = [["a", inner], ["b", {"path": "sklearn.linear_model.LogisticRegression"}]]
    stack = build_estimator("sklearn.ensemble.StackingClassifier", {"estimators": parts})
    assert boosted(stack) is None
    assert [path for path, _ in leaves(stack)] == ["a", "b"]
    assert family_of(clone(stack)) is None
