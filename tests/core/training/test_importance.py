"""Permutation importance: the same as scikit-learn's, bounded, and shares of one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import permutation_importance as by_sklearn

from airflow_mlops.core.training import importance as module
from airflow_mlops.core.training.fit import fit
from airflow_mlops.core.training.importance import permutation_importance
from airflow_mlops.core.training.reference_profile import reference_profile

RIDGE, FOREST = "sklearn.linear_model.Ridge", "sklearn.ensemble.RandomForestClassifier"
SVC = "sklearn.svm.LinearSVC"


def fitted_of(loop: Any, kind: str = "binary", estimator: str | None = None, rows: int = 4000) -> Any:
    named = {"estimator": estimator} if estimator else {}
    gate = {"gate": {"primary": "accuracy"}} if estimator == SVC else {}
    spec = loop.spec(**named, **gate)
    frame = loop.frame(rows=rows, kind=kind)
    return spec, loop.snapshot(spec, frame), fit(spec, loop.snapshot(spec, frame), frame)


@pytest.mark.parametrize(
    ("kind", "estimator", "scoring"),
    [
        ("binary", None, "neg_log_loss"),
        ("multiclass", None, "neg_log_loss"),
        ("regression", RIDGE, "neg_mean_squared_error"),
        ("binary", SVC, "accuracy"),
    ],
)
def test_shares_are_those_of_scikit_learn(loop: Any, kind: str, estimator: str | None, scoring: str) -> None:
    spec, _, fitted = fitted_of(loop, kind, estimator)
    ours = permutation_importance(spec, fitted)
    theirs = by_sklearn(
        fitted.pipeline, fitted.holdout_frame, fitted.holdout_labels.to_numpy(), scoring=scoring, n_repeats=20,
        random_state=0,
    )  # fmt: skip
    rises = np.clip(theirs.importances_mean, 0, None)
    # What 3 repeats and a sample of rows leave to chance, in standard deviations of one repeat.
    slack = 5 * theirs.importances_std.max() / rises.sum() + 0.02
    for name, share in zip(fitted.holdout_frame.columns, rises / rises.sum(), strict=True):
        assert ours[name] == pytest.approx(share, abs=slack), name
    assert max(ours, key=lambda name: ours[name]) == "a"
    assert math.fsum(ours.values()) == pytest.approx(1)
    assert all(share >= 0 for share in ours.values())
    assert permutation_importance(spec, fitted) == ours


def test_many_features_are_scored_in_parts_with_the_same_result(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, _, fitted = fitted_of(loop, rows=1000)
    whole = permutation_importance(spec, fitted)
    monkeypatch.setattr(module, "CELLS", 1)
    assert permutation_importance(spec, fitted) == pytest.approx(whole)


def test_the_rows_that_are_scored_are_bounded(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, _, fitted = fitted_of(loop)
    sizes: list[int] = []
    real = module.predict
    monkeypatch.setattr(module, "predict", lambda *given: (sizes.append(len(given[1])), real(*given))[1])
    monkeypatch.setattr(module, "PREDICTIONS", 900)
    permutation_importance(spec, fitted)
    assert sum(sizes) <= 900 + 300


class Careful:
    """A pipeline that takes no row in which values were permuted."""

    classes_ = np.array([False, True])

    def __init__(self, known: pd.DataFrame) -> None:
        self.known = set(map(tuple, known.fillna("-").to_numpy()))

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        if not set(map(tuple, frame.fillna("-").to_numpy())) <= self.known:
            raise ValueError("a row that cannot be: secret")
        return np.full((len(frame), 2), 0.5)


def test_no_feature_that_matters_and_no_answer_are_an_empty_mapping(loop: Any, caplog: Any) -> None:
    spec, _, fitted = fitted_of(loop, rows=1000)
    alike = replace(
        fitted, holdout_frame=fitted.holdout_frame.iloc[[0] * 100], holdout_labels=fitted.holdout_labels[:100]
    )
    assert permutation_importance(spec, alike) == {}
    assert permutation_importance(spec, replace(fitted, pipeline=Careful(fitted.holdout_frame))) == {}
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_labels_that_training_did_not_know_are_counted_as_wrong(loop: Any) -> None:
    spec, _, fitted = fitted_of(loop, "multiclass")
    strange = fitted.holdout_labels.where(np.arange(len(fitted.holdout_labels)) % 50 != 0, 99)
    found = permutation_importance(spec, replace(fitted, holdout_labels=strange))
    assert math.fsum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("kind", "estimator", "roles"),
    [
        ("binary", None, ("numeric", "categorical")),
        ("multiclass", None, ("categorical", "categorical")),
        ("regression", RIDGE, ("numeric", "numeric")),
        ("binary", SVC, ("categorical", "categorical")),
    ],
)
def test_the_reference_profile_has_outputs_importance_and_schema(
    loop: Any, kind: str, estimator: str | None, roles: tuple[str, str]
) -> None:
    spec, snapshot, fitted = fitted_of(loop, kind, estimator)
    found = reference_profile(spec, snapshot, fitted)
    assert [(c.name, c.role) for c in found.outputs] == [("prediction", roles[0]), ("label", roles[1])]
    for column in found.outputs:
        assert sum(column.counts) == len(fitted.holdout_frame)
    assert found.rows == len(fitted.train_frame)
    assert set(found.importance) == {feature.name for feature in fitted.features}
    assert found.schema == snapshot.source_columns
    assert found.window == fitted.train
    assert reference_profile(spec, snapshot, fitted) == found
