"""Other values for one run, at dotted paths: what the form of a triggered run may change, and what it may not.

Whoever may trigger a run need not be one who may write DAG files. So a run may tune a model, but not change which
model it is, where it is recorded, where its rows come from, which code is imported or unpickled, nor what its data
and its candidates are held to.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pydantic_core import ValidationError

from airflow_mlops.spec.error_text import problems_of
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.nested import paths_in
from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError
from airflow_mlops.spec.suggest import shown

LOCKED: dict[str, str] = {
    "name": "it says which model this is",
    "tracking": "it says where the model is recorded",
    "promotion": "it says which model is promoted, and who must agree",
    "risk_tier": "it says who must agree before a candidate serves",
    "retraining": "it says what may cause a training, and how many",
    "retired": "a retired model is not trained, whoever asks",
    "notifications": "it says who is told, and through which code and credentials",
    "data.weight": "it says how much each row counts, also where a candidate is judged",
    "data.source": "it says what is read, and with which credentials",
    "data.time": "with another time, rows from after as-of could be trained on",
    "data.key": "it says what a row is",
    "data.duplicates": "it says which rows count",
    "data.label": "it says what the model predicts",
    "data.labels": "it says what is read, and with which credentials",
    "data.positive": "it says what the model predicts",
    "data.label_delay": "with a shorter one, labels that were not known yet would be trained on",
    "validation": "broken data must not train a model, whoever asks",
    "gate": "a candidate must show what the specification's owner asked for, whoever started the run",
    "features.transformer": "it names code that is run",
    "training.estimator": "it names code that is run",
    "training.format": "cloudpickle runs code when a model is loaded",
    "training.trusted_types": "it says which code a stored model may run",
}
"""Fields that no override changes, and why."""


def overridden(spec: ModelSpec, overrides: Mapping[str, Any]) -> ModelSpec:
    """Return the specification with other values; each value replaces what stood at its path.

    Raises
    ------
    SpecError
        With every problem that was found.
    """
    subject = f"overrides of {spec.name}"
    data = spec.model_dump(mode="json", exclude_unset=True)
    problems: list[Problem] = []
    if not isinstance(overrides, Mapping):
        raise SpecError(
            _refused("overrides", shown(overrides), "a mapping of dotted paths", "write {training.seed: 7}"),
            subject=subject,
        )
    for path, value in overrides.items():
        problem = _locked(str(path)) or _set(data, str(path), value)
        if problem is not None:
            problems.append(problem)
    try:
        made = ModelSpec.validate_raw(data)
    except ValidationError as error:
        raise SpecError([*problems, *problems_of(error, ModelSpec, data)], subject=subject) from None
    problems += [_may_not(path) for path in LOCKED if _get(made, path) != _get(spec, path)]
    problems += _other_code(made, spec)
    if problems:
        raise SpecError(problems, subject=subject)
    return made


def _get(spec: Any, path: str) -> Any:
    for name in path.split("."):
        spec = getattr(spec, name)
    return spec


def _other_code(made: ModelSpec, spec: ModelSpec) -> list[Problem]:
    """Estimators inside parameters are code, too: a run may use those that the specification names there, no others."""
    new = [path for path in _paths(made) if path not in _paths(spec)]
    return [
        _refused(
            "training.parameters",
            f"the estimator {path!r}",
            "those that the specification itself names: it is code that is run",
            "change the YAML file",
        )
        for path in new
    ]


def _paths(spec: ModelSpec) -> tuple[str, ...]:
    search = {} if spec.training.search is None else dict(spec.training.search.parameters)
    return paths_in(spec.training.estimator, [spec.training.parameters, search])[1:]


def _locked(path: str) -> Problem | None:
    for locked in LOCKED:
        if path == locked or path.startswith(f"{locked}."):
            return _may_not(locked)
    return None


def _may_not(path: str) -> Problem:
    return _refused(path, "an override", f"the specification's own value: {LOCKED[path]}", "change the YAML file")


def _refused(field: str, found: str, allowed: str, fix: str) -> Problem:
    return Problem(code=ReasonCode.SPEC_INVALID_VALUE, field=field, found=found, allowed=allowed, fix=fix)


def _set(data: dict[str, Any], path: str, value: Any) -> Problem | None:
    *parents, last = path.split(".")
    here: Any = data
    for depth, (name, following) in enumerate(pairwise((*parents, last)), start=1):
        here = _child(here, name, following)
        if here is None:
            return _no_place(path, ".".join(parents[:depth]))
    if isinstance(here, list):
        if not (last.isdecimal() and int(last) < len(here)):
            return _no_place(path, path)
        here[int(last)] = value
    else:
        here[last] = value
    return None


def _child(here: Any, name: str, following: str) -> Any:
    """Return the mapping or list below; an absent part begins empty. None: there is nothing to go down into."""
    if isinstance(here, list):
        below = here[int(name)] if name.isdecimal() and int(name) < len(here) else None
    else:
        if here.get(name) is None and not following.isdecimal():
            here[name] = {}
        below = here.get(name)
    return below if isinstance(below, dict | list) else None


def _no_place(path: str, at: str) -> Problem:
    return _refused(path, f"nothing to go down into at {at!r}", "dotted names of fields", "see docs/specification.md")
