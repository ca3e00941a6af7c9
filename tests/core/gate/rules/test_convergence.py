"""What every reviewed estimator tells of its own training, and the verdict on it."""

import json
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from airflow_mlops.core.gate.rules.convergence import judge
from airflow_mlops.core.pipeline.estimator import build_estimator
from airflow_mlops.core.pipeline.trusted_types import REVIEWED
from airflow_mlops.core.records.candidate import MAX_TEXT, MAX_WARNINGS, Candidate
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.training.convergence import observed
from airflow_mlops.spec.problems import ReasonCode

# Reviewed estimators whose number of iterations is the size of the model, or which have no limit of it.
SIZE = {
    "HistGradientBoostingClassifier", "HistGradientBoostingRegressor", "Lars", "OrthogonalMatchingPursuit",
    "QuantileRegressor",
}  # fmt: skip
# What stops them after one iteration, on rows on which one is not enough.
FEW: dict[str, dict[str, Any]] = {
    "ElasticNet": {"max_iter": 1, "alpha": 1e-4},
    "Lasso": {"max_iter": 1, "alpha": 1e-4},
    "LassoLars": {"max_iter": 1, "alpha": 0.01},
    "RidgeClassifier": {"max_iter": 1, "solver": "lsqr"},
    "Ridge": {"max_iter": 1, "solver": "lsqr"},
    "TheilSenRegressor": {"max_iter": 1, "tol": 1e-12},
}
# What they need for being sure to end by themselves.
MANY: dict[str, dict[str, Any]] = {
    "HistGradientBoostingClassifier": {"max_iter": 5}, "HistGradientBoostingRegressor": {"max_iter": 5},
    "LinearSVC": {"max_iter": 100_000}, "LinearSVR": {"max_iter": 100_000}, "MLPClassifier": {"max_iter": 2000},
    "MLPRegressor": {"max_iter": 5000, "solver": "lbfgs"}, "QuadraticDiscriminantAnalysis": {"reg_param": 0.5},
    "RadiusNeighborsClassifier": {"radius": 99.0}, "RadiusNeighborsRegressor": {"radius": 99.0},
    "Ridge": {"max_iter": 1000, "solver": "lsqr"}, "RidgeClassifier": {"max_iter": 1000, "solver": "lsqr"},
}  # fmt: skip


def rows(classification: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    if classification:
        found: tuple[np.ndarray, np.ndarray] = make_classification(150, 6, flip_y=0.2, random_state=seed)
        return found
    x, y = make_regression(150, 6, noise=5, random_state=seed)
    return x, 1 + np.abs(y) / np.abs(y).std()


def fitted(estimator: Any) -> dict[str, Any]:
    """As training does it: every warning is kept, with its category."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(*rows(is_classifier(estimator)))
    return observed(estimator, [f"{w.category.__name__}: {w.message}" for w in caught])


def stopped(found: dict[str, Any]) -> bool:
    return "limit" in found and found["iterations"] >= found["limit"]


def made(path: str, parameters: dict[str, Any]) -> Any:
    taken = build_estimator(path, {}).get_params()
    if "n_estimators" in taken:
        parameters = {"n_estimators": 3, **parameters}
    if "random_state" in taken:
        parameters = {"random_state": 0, **parameters}
    return build_estimator(path, parameters)


@pytest.mark.parametrize("path", REVIEWED, ids=lambda path: path.rpartition(".")[2])
def test_every_reviewed_estimator_that_ends_by_itself_is_seen_to(path: str) -> None:
    name = path.rpartition(".")[2]
    estimator = made(path, MANY.get(name, {}))
    found = fitted(estimator)
    assert json.loads(json.dumps(found)) == found
    told = getattr(estimator, "n_iter_", None) is not None
    assert not stopped(found)
    if name != "GaussianProcessRegressor":  # its kernel's parameters end at their bounds, and it says so
        assert found["warnings"] == []
    if told:
        assert found["iterations"] == np.max(estimator.n_iter_)
        unlimited = name in SIZE or ("SV" in name and not name.startswith("Linear"))
        assert ("limit" in found) is not unlimited
    elif path != "sklearn.calibration.CalibratedClassifierCV":
        assert "limit" not in found


LIMITED = [
    path
    for path in REVIEWED
    if path.rpartition(".")[2] not in SIZE and "max_iter" in build_estimator(path, {}).get_params()
]


def test_the_limit_of_every_estimator_that_has_one_is_read() -> None:
    assert {path.rpartition(".")[2] for path in LIMITED} == {
        "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "GammaRegressor", "HuberRegressor", "Lasso",
        "LassoCV", "LassoLars", "LinearSVC", "LinearSVR", "LogisticRegression", "LogisticRegressionCV", "MLPClassifier",
        "MLPRegressor", "NuSVC", "NuSVR", "Perceptron", "PoissonRegressor", "Ridge", "RidgeClassifier",
        "SGDClassifier", "SGDRegressor", "SVC", "SVR", "TheilSenRegressor", "TweedieRegressor",
    }  # fmt: skip


@pytest.mark.parametrize("path", LIMITED, ids=lambda path: path.rpartition(".")[2])
def test_every_reviewed_estimator_that_is_stopped_after_one_iteration_is_seen_to(path: str) -> None:
    name = path.rpartition(".")[2]
    found = fitted(made(path, FEW.get(name, {"max_iter": 1})))
    assert stopped(found) or found["warnings"]
    assert found["limit"] == 1


def test_the_size_of_a_model_is_no_limit() -> None:
    found = fitted(build_estimator("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 4}))
    assert found == {"warnings": [], "iterations": 4}


def test_without_a_tolerance_sgd_has_nothing_to_converge_to() -> None:
    assert fitted(SGDClassifier(max_iter=3, tol=None)) == {"warnings": [], "iterations": 3}
    assert stopped(fitted(SGDClassifier(max_iter=3, tol=1e-9)))


SHORT = LogisticRegression(max_iter=2)


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), SHORT),
        BaggingClassifier(SHORT, n_estimators=2),
        CalibratedClassifierCV(SHORT, cv=2),
        CalibratedClassifierCV(make_pipeline(StandardScaler(), SHORT), cv=2, ensemble=False),
        GridSearchCV(SHORT, {"C": [1.0]}, cv=2),
        StackingClassifier([("a", DecisionTreeClassifier()), ("b", SHORT)], final_estimator=SVC(), cv=2),
        VotingClassifier([("a", DecisionTreeClassifier()), ("b", SHORT)]),
        BaggingClassifier(CalibratedClassifierCV(SHORT, cv=2), n_estimators=2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_the_worst_of_the_estimators_inside_is_what_counts(estimator: Any) -> None:
    found = fitted(estimator)
    assert (found["iterations"], found["limit"]) == (2, 2)
    assert "lbfgs failed to converge" in found["warnings"][0]


def test_inside_a_transformed_target() -> None:
    found = fitted(TransformedTargetRegressor(Lasso(max_iter=1, alpha=1e-6), transformer=StandardScaler()))
    assert stopped(found)


class Strange(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Somebody's own, for which reaching max_iter means nothing that is known."""

    max_iter = 5

    def __init__(self, told: Any = 5) -> None:
        self.n_iter_ = told


@pytest.mark.parametrize(
    ("told", "expected"),
    [(5, {"iterations": 5}), ([3, 4], {"iterations": 4}), (None, {}), ("many", {}), ([], {}), (["a"], {})],
)
def test_what_a_stranger_tells_is_taken_with_care(told: Any, expected: dict[str, Any]) -> None:
    assert observed(Strange(told), []) == {"warnings": [], **expected}
    assert observed(object(), []) == {"warnings": []}


class Own(LogisticRegression):  # type: ignore[misc]
    """A team's subclass."""


def test_a_subclass_is_what_its_parent_is() -> None:
    assert stopped(fitted(Own(max_iter=1)))


def test_only_warnings_of_convergence_are_kept_and_not_too_many() -> None:
    said = ["UserWarning: row 3 holds 'Jane'", "ConvergenceWarning: a\n  b ", "ConvergenceWarning: a b"]
    assert observed(Ridge(), said)["warnings"] == ["a b"]
    many = observed(Ridge(), [f"ConvergenceWarning: {number} {'x' * 999}" for number in range(99)])["warnings"]
    assert len(many) == MAX_WARNINGS
    assert all(len(text) == MAX_TEXT for text in many)
    name = ConvergenceWarning.__name__
    assert observed(Ridge(), [f"{name}: x"])["warnings"] == ["x"]


@pytest.fixture(scope="module")
def bench(loop: Any) -> Any:
    return loop.bench()


FINE = {"warnings": [], "iterations": 7, "limit": 100}


@pytest.mark.parametrize(
    ("record", "code", "words"),
    [
        (FINE, None, "converged after 7 of at most 100 iterations"),
        ({"warnings": [], "iterations": 60}, None, "in 60 iterations"),
        ({"warnings": []}, None, "tells no number of iterations"),
        ({**FINE, "iterations": 100}, ReasonCode.NOT_CONVERGED, "stopped at its limit of 100 iterations"),
        ({**FINE, "warnings": ["lbfgs failed", "x"]}, ReasonCode.NOT_CONVERGED, "lbfgs failed (and 1 more); raise tr"),
        ({**FINE, "iterations": "7"}, ReasonCode.NOT_CONVERGED, "did not converge"),
        ({**FINE, "limit": float("nan")}, ReasonCode.NOT_CONVERGED, "did not converge"),
        ({}, ReasonCode.NOT_EVALUATED, "not recorded: train the candidate again"),
        ({"iterations": 7, "limit": 100}, ReasonCode.NOT_EVALUATED, "not recorded"),
        ({"warnings": "none"}, ReasonCode.NOT_EVALUATED, "not recorded"),
    ],
)
def test_the_verdict(bench: Any, record: dict[str, Any], code: ReasonCode | None, words: str) -> None:
    found = judge(replace(bench, candidate=replace(bench.candidate, convergence=record)))
    (rule,) = found.rules
    assert (rule.rule, rule.metric, rule.code) == ("convergence", "convergence", code)
    assert rule.verdict is (Verdict.ACCEPT if code is None else Verdict.REJECT)
    assert words in rule.reason
    assert rule.reason.startswith(("sklearn.linear_model.LogisticRegression", "what sklearn.linear_model.Logistic"))
    assert found.evidence == {"convergence": record}
    assert rule.rows == bench.candidate.train_rows
    if code is None:
        assert rule.value == 0


def test_the_verdict_is_the_same_after_the_record_went_through_json(bench: Any) -> None:
    found = fitted(SHORT)
    candidate = replace(bench.candidate, convergence=found)
    again = Candidate.from_json(candidate.to_text())
    rules = [judge(replace(bench, candidate=one)).rules for one in (candidate, again)]
    assert rules[0] == rules[1]
    assert rules[0][0].code is ReasonCode.NOT_CONVERGED
