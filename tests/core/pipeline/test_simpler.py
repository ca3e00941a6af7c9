"""A simpler estimator of the same family: it is built, it fits, and it is surely simpler."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from airflow_mlops.core.importing import import_object
from airflow_mlops.core.pipeline.simpler import EVENTS_IN_A_LEAF, LearnedFrom, simpler_parameters

KNOWN = (
    "sklearn.ensemble.HistGradientBoostingClassifier",
    "sklearn.ensemble.HistGradientBoostingRegressor",
    "sklearn.ensemble.GradientBoostingClassifier",
    "sklearn.ensemble.GradientBoostingRegressor",
    "sklearn.ensemble.RandomForestClassifier",
    "sklearn.ensemble.ExtraTreesRegressor",
    "sklearn.tree.DecisionTreeClassifier",
    "sklearn.linear_model.LogisticRegression",
    "sklearn.linear_model.Ridge",
    "sklearn.linear_model.Lasso",
    "sklearn.linear_model.SGDClassifier",
    "sklearn.svm.SVC",
    "sklearn.neural_network.MLPClassifier",
    "sklearn.neighbors.KNeighborsClassifier",
)
ROWS = 400


@pytest.fixture(scope="module")
def noise() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 6)), (rng.random(ROWS) < 0.2).astype(int)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("path", KNOWN)
def test_what_is_written_is_taken_by_the_estimator(path: str, noise: tuple[np.ndarray, np.ndarray]) -> None:
    found = simpler_parameters(path, {}, LearnedFrom(rows=ROWS, events=int(noise[1].sum())))
    assert found
    model = import_object(path, "training.estimator")(**found).fit(*noise)
    assert model.predict(noise[0]).shape == (ROWS,)
    assert all(type(value) in {int, float} for value in found.values())


@pytest.mark.parametrize("path", [path for path in KNOWN if "Classifier" in path and "SGD" not in path])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_learns_less_of_noise_by_heart(path: str, noise: tuple[np.ndarray, np.ndarray]) -> None:
    cls = import_object(path, "training.estimator")
    found = simpler_parameters(path, {}, LearnedFrom(rows=ROWS, events=int(noise[1].sum())))
    seed = {"random_state": 0} if "random_state" in cls().get_params() else {}
    before, after = (
        log_loss(noise[1], cls(**seed, **parameters).fit(*noise).predict_proba(noise[0])) for parameters in ({}, found)
    )
    assert after > before


def test_sizes_follow_from_events_and_what_is_simple_already_stays() -> None:
    path = "sklearn.ensemble.HistGradientBoostingClassifier"
    few, many = LearnedFrom(rows=10_000, events=50), LearnedFrom(rows=10_000, events=5_000)
    assert simpler_parameters(path, {}, few)["min_samples_leaf"] == EVENTS_IN_A_LEAF * 10_000 // 50
    assert simpler_parameters(path, {}, few)["max_leaf_nodes"] == 5
    assert simpler_parameters(path, {}, many)["min_samples_leaf"] == 100
    assert "max_leaf_nodes" not in simpler_parameters(path, {"max_leaf_nodes": 3}, many)
    assert simpler_parameters(path, {"max_iter": 9}, many)["max_iter"] == 4


@pytest.mark.parametrize("path", ["sklearn.linear_model.LinearRegression", "sklearn.dummy.DummyClassifier"])
def test_what_has_nothing_to_be_simpler_by_says_so(path: str) -> None:
    assert simpler_parameters(path, {}, LearnedFrom(rows=100, events=100)) == {}
