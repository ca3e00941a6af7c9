"""Rounds are chosen on the newest training rows, and all of them are trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.training.early_stopping import take_early_stopping
from airflow_mlops.core.training.fit import fit
from tests.core.pipeline.test_boosters import SMALL, rows, spec_of

ROUNDS = {"xgboost.XGB": "n_estimators", "lightgbm.LGBM": "n_estimators", "catboost.CatBoost": "iterations"}
KINDS = [*SMALL, "sklearn.ensemble.HistGradientBoosting"]


def most(kind: str) -> dict[str, Any]:
    return {ROUNDS.get(kind, "max_iter"): 300}


@pytest.mark.parametrize("task", ["Classifier", "Regressor"])
@pytest.mark.parametrize("kind", KINDS)
def test_fewer_rounds_than_allowed_are_chosen_and_the_record_says_on_what(loop: Any, kind: str, task: str) -> None:
    frame = rows(loop, kind="binary" if task == "Classifier" else "regression")
    stopping = {"rows": "20 %", "rounds": 10}
    spec = spec_of(kind, task, parameters=most(kind), early_stopping=stopping)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    chosen = fitted.parameters[ROUNDS.get(kind, "max_iter")]
    assert 0 < chosen < 300
    newest = round(0.2 * len(fitted.train_frame))
    words = fitted.parameters["chosen_rounds"]
    assert words.startswith(f"{chosen} of at most 300 rounds, chosen on the newest 20% of the training rows (")
    assert f"({newest})" in words or f"({newest - 1})" in words or f"({newest + 1})" in words


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("xgboost.XGB", "early_stopping_rounds"),
        ("lightgbm.LGBM", "early_stopping_rounds"),
        ("catboost.CatBoost", "early_stopping_rounds"),
        ("catboost.CatBoost", "od_wait"),
        ("catboost.CatBoost", "use_best_model"),
    ],
)
def test_the_librarys_own_parameter_asks_for_it_too(loop: Any, kind: str, name: str) -> None:
    frame = rows(loop)
    spec = spec_of(kind, parameters={**most(kind), name: 5})
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    assert "newest 10% of the training rows" in fitted.parameters["chosen_rounds"]
    assert fitted.parameters.get(name) is None


def test_later_rows_decide_and_not_those_of_the_holdout(loop: Any) -> None:
    """Rows that come after the training part change nothing, however they are labelled."""
    frame = rows(loop)
    spec = spec_of("xgboost.XGB", parameters=most("xgboost.XGB"), early_stopping={"rows": 0.2})
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    other = frame.copy()
    later = other["t"] >= fitted.holdout.start
    other.loc[later, "y"] = np.random.default_rng(0).permutation(other.loc[later, "y"])
    again = fit(spec, loop.snapshot(spec, other), other)
    assert again.parameters["chosen_rounds"] == fitted.parameters["chosen_rounds"]


def test_the_trial_is_trained_before_the_rows_that_it_is_asked_about(loop: Any) -> None:
    """Against the library by hand: the same rounds as XGBoost's own early stopping on the same two parts."""
    from xgboost import XGBRegressor

    frame = rows(loop, kind="regression")
    features = {"numeric": ["a", "b"]}
    spec = spec_of("xgboost.XGB", "Regressor", features=features, early_stopping={"rows": 0.25, "rounds": 7})
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    x, y, times = fitted.train_frame, fitted.train_labels, fitted.train_times
    start = times.iloc[int(len(times) * 0.75)]
    old, new = (times <= start - spec.data.label_delay).to_numpy(), (times >= start).to_numpy()
    by_hand = XGBRegressor(n_estimators=20, random_state=42, early_stopping_rounds=7, n_jobs=1)
    by_hand.fit(x[old], y[old], eval_set=[(x[new], y[new])], verbose=False)
    assert fitted.parameters["n_estimators"] == by_hand.best_iteration + 1


def test_an_estimator_without_rounds_is_refused(loop: Any) -> None:
    spec = loop.spec("sklearn.linear_model.LogisticRegression", training={"early_stopping": {"rows": "10 %"}})
    with pytest.raises(
        TrainingError, match=r"training\.early_stopping: found sklearn\.linear_model\.LogisticRegression"
    ):
        fit(spec, loop.snapshot(spec, loop.frame(800)), loop.frame(800))


def test_too_few_rows_to_choose_on_are_refused(loop: Any) -> None:
    frame = rows(loop)
    spec = spec_of("xgboost.XGB", early_stopping={"rows": 0.002})
    with pytest.raises(DataError, match="training rows to choose the rounds on"):
        fit(spec, loop.snapshot(spec, frame), frame)


def test_nothing_is_asked_for_and_nothing_is_done() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    assert (
        take_early_stopping(spec_of("sklearn.ensemble.HistGradientBoosting"), HistGradientBoostingClassifier()) is None
    )
