"""From an import path and parameters in the specification to an estimator, with every problem said at once."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.importing import import_object
from airflow_mlops.core.records.candidate import Task
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.suggest import did_you_mean


def build_estimator(path: str, parameters: Mapping[str, Any], *, field: str = "training.estimator") -> Any:
    """Import an estimator class and construct it.

    Raises
    ------
    TrainingError
        If it is no scikit-learn-compatible class, or a parameter is unknown or missing.
    """
    cls = import_object(path, field)
    if not (inspect.isclass(cls) and all(hasattr(cls, name) for name in ("fit", "get_params", "set_params"))):
        raise TrainingError(_no_estimator(field, path, cls))
    check_parameters(path, parameters, allowed_parameters(cls), field="training.parameters")
    try:
        return cls(**parameters)
    except TypeError as error:
        raise TrainingError(_not_built(path, cls, parameters)) from error


def allowed_parameters(cls: type[Any]) -> tuple[str, ...] | None:
    """Names that the constructor takes; None when it takes any."""
    found = [p for name, p in inspect.signature(cls.__init__).parameters.items() if name != "self"]
    if any(p.kind is p.VAR_KEYWORD for p in found):
        return None
    return tuple(p.name for p in found if p.kind is not p.VAR_POSITIONAL)


def check_parameters(path: str, names: Iterable[str], allowed: tuple[str, ...] | None, *, field: str) -> None:
    """Refuse parameter names that the estimator does not have.

    Raises
    ------
    TrainingError
        One problem for each unknown name, with the nearest that exists.
    """
    problems = []
    for name in names:
        if allowed is None or name in allowed:
            continue
        problems.append(
            Problem(
                code=ReasonCode.ESTIMATOR_INVALID,
                field=f"{field}.{name}",
                found=f"no parameter {name!r} of {path}",
                allowed=f"one of: {', '.join(sorted(allowed)) or 'none'}",
                fix=did_you_mean(name, allowed) or "take it out",
            )
        )
    if problems:
        raise TrainingError(problems)


def set_seed(estimator: Any, seed: int) -> None:
    """Give the seed to every `random_state` that the specification left open, also of nested estimators.

    `n_jobs` stays as it is: how many processors to use is the machine's question, and no result depends on it.

    >>> from sklearn.linear_model import SGDClassifier
    >>> model = SGDClassifier(); set_seed(model, 7); model.random_state
    7
    """
    names = [name for name in estimator.get_params() if name == "random_state" or name.endswith("__random_state")]
    estimator.set_params(**{name: seed for name in names if estimator.get_params()[name] is None})


def is_classification(estimator: Any, path: str) -> bool:
    """Whether the estimator is a classifier (True) or a regressor (False).

    Raises
    ------
    TrainingError
        If it is neither.
    """
    from sklearn.base import is_classifier, is_regressor

    if is_classifier(estimator):
        return True
    if is_regressor(estimator):
        return False
    raise TrainingError(_no_estimator("training.estimator", path, type(estimator)))


def require_probabilities(estimator: Any, path: str, task: Task, metrics: Iterable[str]) -> None:
    """Refuse a classifier without `predict_proba` when a metric of the gate is computed from probabilities.

    Raises
    ------
    TrainingError
        Names the metrics, and the two ways out.
    """
    names = sorted(set(metrics))
    if task == "regression" or not names or hasattr(estimator, "predict_proba"):
        return
    raise TrainingError(
        Problem(
            code=ReasonCode.ESTIMATOR_INVALID,
            field="training.estimator",
            found=f"{path} without predict_proba, and {', '.join(names)} needs probabilities",
            allowed="a classifier with predict_proba, or metrics of predicted labels such as accuracy",
            fix="use sklearn.calibration.CalibratedClassifierCV around it, turn its probability parameter on, "
            "or choose another gate.primary",
        )
    )


def _no_estimator(field: str, path: str, found: Any) -> Problem:
    kind = "a class that is neither classifier nor regressor" if inspect.isclass(found) else f"a {type(found).__name__}"
    return Problem(
        code=ReasonCode.ESTIMATOR_INVALID,
        field=field,
        found=f"{path}, {kind}",
        allowed="the class of a scikit-learn-compatible classifier or regressor",
        fix="name a class such as sklearn.ensemble.HistGradientBoostingClassifier",
    )


def _not_built(path: str, cls: type[Any], parameters: Mapping[str, Any]) -> Problem:
    needed = [
        p.name
        for name, p in inspect.signature(cls.__init__).parameters.items()
        if name != "self" and p.default is p.empty and p.kind not in {p.VAR_KEYWORD, p.VAR_POSITIONAL}
    ]
    missing = [name for name in needed if name not in parameters]
    return Problem(
        code=ReasonCode.ESTIMATOR_INVALID,
        field="training.parameters",
        found=f"{path} without {', '.join(missing)}" if missing else f"parameters that {path} does not take",
        allowed=f"at least: {', '.join(needed)}" if needed else "what its constructor takes",
        fix="write a small class of your own that builds it, and name that class as the estimator",
    )
