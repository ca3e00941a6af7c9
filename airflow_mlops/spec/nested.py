"""Estimators inside an estimator's parameters, as a specification writes them: found and named, never imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ESTIMATORS = frozenset({"estimator", "base_estimator", "final_estimator", "regressor", "classifier", "estimators"})
"""Parameters of scikit-learn's meta-estimators that hold estimators."""


def expanded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Write out the short form of an estimator without parameters: its path alone, where only an estimator can stand.

    >>> expanded({"estimator": "sklearn.svm.SVC", "cv": 3})
    {'estimator': {'path': 'sklearn.svm.SVC'}, 'cv': 3}
    """
    return {name: _written_out(value) if name in _ESTIMATORS else value for name, value in parameters.items()}


def _written_out(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_written_out(item) for item in value]
    names = value.split(".") if isinstance(value, str) else []
    return {"path": value} if len(names) > 1 and all(name.isidentifier() for name in names) else value


def paths_in(path: str, parameters: Any) -> tuple[str, ...]:
    """Import paths of an estimator and of every one inside its parameters, each once; nothing is imported.

    >>> paths_in("a.Stack", {"estimators": [["one", {"path": "b.One"}]], "final_estimator": {"path": "c.Two"}})
    ('a.Stack', 'b.One', 'c.Two')
    """
    found = [path]
    if isinstance(parameters, Mapping):
        parameters = expanded(parameters)
        if isinstance(parameters.get("path"), str):
            found.append(parameters["path"])
        for value in parameters.values():
            found += paths_in(path, value)[1:]
    elif isinstance(parameters, list | tuple):
        for value in parameters:
            found += paths_in(path, value)[1:]
    return tuple(dict.fromkeys(found))
