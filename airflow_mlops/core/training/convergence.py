"""What a fit says of its own convergence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_mlops.core.records.candidate import MAX_TEXT, MAX_WARNINGS

_CATEGORIES = ("ConvergenceWarning", "OptimizeWarning")


# scikit-learn's estimators for which `n_iter_` at `max_iter` means: stopped, not done. Not here, on purpose: boosting
# and forests (the number of trees is the model's size), Lars and OrthogonalMatchingPursuit (the number of steps is the
# number of features taken), QuantileRegressor (its linear program warns, and has no max_iter). What `max_iter` means to
# an estimator of somebody else nobody knows here: its warnings are read, its limit is not.
_LIMITED = frozenset(
    {
        "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "GammaRegressor", "HuberRegressor", "Lasso",
        "LassoCV", "LassoLars", "LinearSVC", "LinearSVR", "LogisticRegression", "LogisticRegressionCV", "MLPClassifier",
        "MLPRegressor", "MultiTaskElasticNet", "MultiTaskLasso", "NuSVC", "NuSVR", "PassiveAggressiveClassifier",
        "PassiveAggressiveRegressor", "Perceptron", "PoissonRegressor", "Ridge", "RidgeClassifier", "SGDClassifier",
        "SGDRegressor", "SVC", "SVR", "TheilSenRegressor", "TweedieRegressor",
    }
)  # fmt: skip


# With tol=None these are told to make exactly max_iter passes over the rows: there is nothing to converge to.
_WITHOUT_TOL = frozenset(
    {"PassiveAggressiveClassifier", "PassiveAggressiveRegressor", "Perceptron", "SGDClassifier", "SGDRegressor"}
)


_PARTS = ("best_estimator_", "regressor_", "final_estimator_", "estimators_", "calibrated_classifiers_")
"""Where scikit-learn's meta-estimators keep what they fitted."""


_DEPTH = 5


def observed(pipeline: Any, warnings: Sequence[str]) -> dict[str, Any]:
    """Note what a fitted pipeline tells of its own training.

    Parameters
    ----------
    pipeline
        Fitted; its last step is the estimator. Estimators inside bagging, calibration, stacking, voting and searches
        are looked at too.
    warnings
        What was warned of while it was fitted, each as ``Category: text``.

    Returns
    -------
    dict
        Plain JSON data for `Candidate.convergence`: `warnings`, a list of texts (only those about convergence: others
        may quote data); `iterations`, where the estimator tells them, of the part that came nearest to its limit;
        `limit`, where reaching it means that the optimiser was stopped.

    Examples
    --------
    >>> from sklearn.linear_model import SGDClassifier
    >>> model = SGDClassifier(max_iter=900, random_state=0).fit([[0.0], [1.0]] * 20, [0, 1] * 20)
    >>> found = observed(model, ["UserWarning: something else"])
    >>> found["warnings"], found["iterations"] < found["limit"] == 900
    ([], True)
    """
    found: dict[str, Any] = {"warnings": _about_convergence(warnings)}
    known = list(_counted(pipeline, _DEPTH))
    if known:
        iterations, limit = max(known, key=lambda pair: (pair[0] / pair[1] if pair[1] else 0.0, pair[0]))
        found["iterations"] = iterations
        if limit is not None:
            found["limit"] = limit
    return found


def _about_convergence(warnings: Sequence[str]) -> list[str]:
    """Texts of the categories that are about convergence, each once, in one line and cut to a bounded length."""
    texts = []
    for warning in dict.fromkeys(warnings):
        category, _, text = warning.partition(":")
        if category.strip() in _CATEGORIES:
            texts.append(" ".join(text.split())[:MAX_TEXT])
    return list(dict.fromkeys(texts))[:MAX_WARNINGS]


def _counted(estimator: Any, depth: int) -> Iterator[tuple[int, int | None]]:
    """Iterations and limit of an estimator and of the fitted ones inside it."""
    steps = getattr(estimator, "steps", None)
    if isinstance(steps, list) and steps:
        yield from _counted(steps[-1][1], depth)
        return
    made = _iterations(estimator)
    if made is not None:
        yield made, _limit(estimator)
    if depth:
        for part in _parts(estimator):
            yield from _counted(part, depth - 1)


def _parts(estimator: Any) -> Iterator[Any]:
    import numpy as np

    for name in _PARTS:
        value = getattr(estimator, name, None)
        if isinstance(value, np.ndarray):  # gradient boosting: trees by round and class
            value = list(value.ravel())
        for part in value if isinstance(value, list | tuple) else [value]:
            # a calibrated classifier of one fold keeps its fitted estimator under the name of a parameter
            yield part.estimator if name == "calibrated_classifiers_" and part is not None else part


def _iterations(estimator: Any) -> int | None:
    """Largest number of iterations: several classes, targets or folds have one each; None when it is not told."""
    import numpy as np

    told = getattr(estimator, "n_iter_", None)
    if told is None or isinstance(told, str):
        return None
    numbers = np.asarray(told).ravel()
    if not numbers.size or not np.issubdtype(numbers.dtype, np.number):
        return None
    return int(numbers.max())


def _limit(estimator: Any) -> int | None:
    """`max_iter` where reaching it means not converged; -1 and None are no limit."""
    names = {cls.__name__ for cls in type(estimator).__mro__ if cls.__module__.partition(".")[0] == "sklearn"}
    limit = getattr(estimator, "max_iter", None)
    if not names & _LIMITED or limit is None or limit < 1:
        return None
    if names & _WITHOUT_TOL and getattr(estimator, "tol", None) in {None, -math.inf}:
        return None
    return int(limit)
