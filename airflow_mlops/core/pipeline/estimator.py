"""From an import path and parameters in the specification to an estimator, with every problem said at once."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.importing import import_object
from airflow_mlops.core.pipeline import boosters
from airflow_mlops.core.records.candidate import Task
from airflow_mlops.core.text import LONGEST, one_line
from airflow_mlops.spec.named_code import problems_of_parameters
from airflow_mlops.spec.nested import expanded
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.suggest import did_you_mean


def build_estimator(
    path: str, parameters: Mapping[str, Any], *, field: str = "training.estimator", inside: str = "training.parameters"
) -> Any:
    """Import an estimator class and construct it, with every estimator that stands inside its parameters.

    Parameters
    ----------
    parameters
        Of its constructor; a mapping ``{path: ..., parameters: {...}}``, however deep, is an estimator.
    field, inside
        Where path and parameters stand in the specification.

    Raises
    ------
    TrainingError
        If it is no scikit-learn-compatible class, a parameter is unknown or missing, or it predicts several columns.
    """
    cls = import_object(path, field)
    if not (inspect.isclass(cls) and all(hasattr(cls, name) for name in ("fit", "get_params", "set_params"))):
        raise TrainingError(_no_estimator(field, path, cls))
    if cls.__module__ == "sklearn.multioutput":
        raise TrainingError(_several_columns(field, path, parameters))
    places = tuple(problems_of_parameters("training.parameters", parameters))
    if places:
        raise TrainingError(places)
    return _construct(path, cls, parameters, inside)


def _construct(path: str, cls: type[Any], parameters: Mapping[str, Any], inside: str) -> Any:
    check_parameters(path, parameters, allowed_parameters(cls), field=inside)
    values = {name: with_estimators(value, f"{inside}.{name}") for name, value in expanded(parameters).items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise TrainingError(_not_built(path, cls, parameters, inside, error)) from error
    except Exception as error:  # a constructor may raise anything
        raise TrainingError(
            Problem(
                code=ReasonCode.ESTIMATOR_INVALID,
                field=inside,
                found=f"{path} raised {in_own_words(error)} when it was made",
                allowed="parameters that its constructor takes",
                fix="correct the parameter that it names",
            )
        ) from error


def with_estimators(value: Any, field: str) -> Any:
    """Return a parameter's value with every estimator in it built, and number keys as numbers.

    Raises
    ------
    TrainingError
        If what stands inside is no class with parameters, or a mapping with `path` has other fields.
    """
    if isinstance(value, Mapping) and "path" in value:
        return _inner(value, field)
    if isinstance(value, Mapping):
        return {key: with_estimators(item, f"{field}.{key}") for key, item in _keyed(value).items()}
    if isinstance(value, list | tuple):
        found = [with_estimators(item, f"{field}.{place}") for place, item in enumerate(value)]
        named = len(found) == 2 and isinstance(found[0], str) and hasattr(found[1], "get_params")  # noqa: PLR2004
        return tuple(found) if named else found  # scikit-learn names its parts by pairs
    return value


def _inner(value: Mapping[str, Any], field: str) -> Any:
    path, parameters = value["path"], value.get("parameters") or {}
    strange = sorted(set(value) - {"path", "parameters"})
    if strange or not isinstance(path, str) or not isinstance(parameters, Mapping):
        raise TrainingError(
            Problem(
                code=ReasonCode.ESTIMATOR_INVALID,
                field=field,
                found=f"a mapping of {', '.join(map(str, value))}",
                allowed="{path: import path, parameters: {name: value}}",
                fix=f"move {strange[0]} under parameters" if strange else "write it so",
            )
        )
    cls = import_object(path, f"{field}.path")
    if not (inspect.isclass(cls) and all(hasattr(cls, name) for name in ("get_params", "set_params"))):
        raise TrainingError(_no_estimator(f"{field}.path", path, cls))
    return _construct(path, cls, parameters, f"{field}.parameters")


def _keyed(value: Mapping[Any, Any]) -> dict[Any, Any]:
    """Mappings are kept with text keys, as JSON has them: where every key is a number, numbers were written."""
    numbers = [_number_of(key) for key in value]
    if value and all(number is not None for number in numbers):
        return dict(zip(numbers, value.values(), strict=True))
    return dict(value)


def _number_of(key: Any) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(key)
        except (TypeError, ValueError):
            continue
    return None


def in_own_words(error: BaseException) -> str:
    """An error's type and what it says, in one line of a bounded length."""
    said = one_line(str(error), LONGEST)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


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
    boosters.quieten(estimator, seed)
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
    if task == "regression" or not names or _gives_probabilities(estimator):
        return
    raise TrainingError(
        Problem(
            code=ReasonCode.ESTIMATOR_INVALID,
            field="training.estimator",
            found=f"{path} without predict_proba, and {', '.join(names)} needs probabilities",
            allowed="a classifier with predict_proba, or metrics of predicted labels such as accuracy",
            fix="write estimator: sklearn.calibration.CalibratedClassifierCV with parameters: {estimator: {path: "
            f"{path}}}}}, turn its probability parameter on, or choose another gate.primary",
        )
    )


def _gives_probabilities(estimator: Any) -> bool:
    """Whether it will have `predict_proba`: stacking does not say so before it is fitted with the default on top."""
    stacked = type(estimator).__name__ == "StackingClassifier" and estimator.final_estimator is None
    return stacked or hasattr(estimator, "predict_proba")


def _no_estimator(field: str, path: str, found: Any) -> Problem:
    kind = "a class that is neither classifier nor regressor" if inspect.isclass(found) else f"a {type(found).__name__}"
    return Problem(
        code=ReasonCode.ESTIMATOR_INVALID,
        field=field,
        found=f"{path}, {kind}",
        allowed="the class of a scikit-learn-compatible classifier or regressor",
        fix="name a class such as sklearn.ensemble.HistGradientBoostingClassifier"
        if inspect.isclass(found)
        else "name the class; estimators inside it are written {path: ..., parameters: {...}} among its parameters",
    )


def _several_columns(field: str, path: str, parameters: Mapping[str, Any]) -> Problem:
    inner = parameters.get("estimator")
    named = inner["path"] if isinstance(inner, Mapping) and "path" in inner else "the estimator inside it"
    return Problem(
        code=ReasonCode.ESTIMATOR_INVALID,
        field=field,
        found=f"{path}, which predicts several columns",
        allowed="an estimator that predicts one column: data.label is one",
        fix=f"name {named} as training.estimator",
    )


def _not_built(path: str, cls: type[Any], parameters: Mapping[str, Any], field: str, error: Exception) -> Problem:
    needed = [
        p.name
        for name, p in inspect.signature(cls.__init__).parameters.items()
        if name != "self" and p.default is p.empty and p.kind not in {p.VAR_KEYWORD, p.VAR_POSITIONAL}
    ]
    missing = [name for name in needed if name not in parameters]
    return Problem(
        code=ReasonCode.ESTIMATOR_INVALID,
        field=field,
        found=f"{path} without {', '.join(missing)}"
        if missing
        else f"parameters that {path} does not take ({in_own_words(error)})",
        allowed=f"at least: {', '.join(needed)}" if needed else "what its constructor takes",
        fix="write them; an estimator inside is {path: ..., parameters: {...}}"
        if missing
        else "correct the parameter that it names",
    )
