"""Did the optimiser end because it was done: what the estimator said while it was trained, and the verdict on it.

An optimiser that stopped early gives coefficients that depend on where it stopped: another seed, another order of
rows or one more iteration gives another model, and its metrics are luck.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_mlops.core.bench import Bench, Found
from airflow_mlops.core.records.candidate import MAX_TEXT, MAX_WARNINGS
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.spec.problems import ReasonCode

METRIC = "convergence"
"""What the rule's result is about."""
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


def judge(bench: Bench) -> Found:
    """Refuse a candidate whose optimiser warned, or stopped at its limit.

    The rule's value is the number of signs of an unfinished optimiser. A candidate without the record is refused too:
    candidates are judged right after they are trained, so that one without it was trained by another version.
    """
    record = bench.candidate.convergence
    path = bench.spec.training.estimator
    rows = bench.candidate.train_rows
    warned = record.get("warnings")
    if not isinstance(warned, list | tuple):
        why = f"what {path} said while it was trained is not recorded: train the candidate again"
        return Found(rules=(_result(None, rows, ReasonCode.NOT_EVALUATED, why),), evidence={"convergence": record})
    iterations, limit = _number(record, "iterations"), _number(record, "limit")
    stopped = iterations is not None and limit is not None and not iterations < limit
    signs = len(warned) + stopped
    if signs:
        says = " ".join(str(warned[0]).split()) if warned else f"it stopped at its limit of {limit:g} iterations"
        more = f" (and {len(warned) - 1} more)" if len(warned) > 1 else ""
        reason = (
            f"{path} did not converge: {says}{more}; raise training.parameters.max_iter, scale the features, "
            "or loosen tol"
        )
        return Found(
            rules=(_result(float(signs), rows, ReasonCode.NOT_CONVERGED, reason),), evidence={"convergence": record}
        )
    return Found(
        rules=(_result(0.0, rows, None, f"{path} {_fine(iterations, limit)}"),), evidence={"convergence": record}
    )


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


def _number(record: Mapping[str, Any], name: str) -> float | None:
    """A number of the record; NaN when what stands there is none, which no comparison passes."""
    value = record.get(name)
    if value is None:
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _fine(iterations: float | None, limit: float | None) -> str:
    if iterations is None:
        return "gave no warning of convergence, and tells no number of iterations"
    if limit is None:
        return f"gave no warning of convergence in {iterations:g} iterations"
    return f"converged after {iterations:g} of at most {limit:g} iterations, without a warning"


def _result(value: float | None, rows: int, code: ReasonCode | None, reason: str) -> RuleResult:
    return RuleResult(
        rule="convergence",
        metric=METRIC,
        verdict=Verdict.ACCEPT if code is None else Verdict.REJECT,
        value=value,
        bound="no warning, and fewer iterations than the limit",
        rows=rows,
        code=code,
        reason=reason,
    )
