"""Other values for one run, at dotted paths: what the form of a triggered run may change, and what it may not.

Whoever may trigger a run need not be one who may write DAG files. So a run may tune a model, but not change which
model it is, where it is recorded, where its rows come from, which code is imported or unpickled, nor what its data
and its candidates are held to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from math import isfinite, prod
from typing import Any

from pydantic_core import ValidationError

from airflow_mlops.spec.error_text import problems_of
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.nested import expanded, paths_in
from airflow_mlops.spec.plain_data import first_unsafe
from airflow_mlops.spec.platform_checks import problems_of_platform
from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError
from airflow_mlops.spec.suggest import shown
from airflow_mlops.spec.types import format_duration

LOCKED: dict[str, str] = {
    "name": "it says which model this is",
    "owner": "it says who answers for the model",
    "description": "it is the owner's word on what the model is for, which an approver and the model card read",
    "limitations": "they are the owner's word on what the model must not be used for",
    "tracking": "it says where the model is recorded",
    "promotion": "it says which model is promoted, and who must agree",
    "risk_tier": "it says who must agree before a candidate serves",
    "monitoring": "it says how the model is watched after this run, and what counts as drift or decay",
    "execution": "Airflow has read it before the run: retries, time and pool are the owner's",
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
    unsafe = first_unsafe(overrides)
    if unsafe is not None:
        raise SpecError(unsafe, subject=subject)
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
    if not problems:
        problems += [*_too_much(spec, made), *problems_of_platform(made)]
    if problems:
        raise SpecError(problems, subject=subject)
    return made


MOST_TIMES = 4
"""How many times what its specification asks for a triggered run may ask for."""
FREELY = 1000
"""A number among the estimator's parameters that any run may ask for."""
_AMOUNTS: dict[str, Any] = {
    "data.window": timedelta(days=366),
    "scoring.window": timedelta(days=366),
    "scoring.chunk_rows": 1_000_000,
}
"""What any run may ask for of windows and rows in memory."""
_WORKERS = frozenset({"n_jobs", "nthread", "thread_count", "num_threads", "n_threads", "device", "task_type"})


def _too_much(spec: ModelSpec, made: ModelSpec) -> list[Problem]:
    """Bound what a run asks of the machines: its windows, its search, its estimators, and what these count to."""
    found: list[Problem] = []
    for path, freely in _AMOUNTS.items():
        asked, most = _get(made, path), max(_get(spec, path) * MOST_TIMES, freely)
        if asked > most:
            found.append(_much(path, shown(_plain(asked)), f"at most {_plain(most)}"))
    most = max(MOST_TIMES * _settings(spec), 100)
    if _settings(made) > most:
        found.append(_much("training.search", f"{_settings(made)} trainings", f"at most {most}"))
    most = MOST_TIMES * max(_estimators(spec), 1)
    if _estimators(made) > most:
        found.append(_much("training.parameters", f"{_estimators(made)} estimators inside", f"at most {most}"))
    return found + _too_large(spec, made)


def _too_large(spec: ModelSpec, made: ModelSpec) -> list[Problem]:
    found: list[Problem] = []
    own_numbers = dict(_counts("training.parameters", spec.training.parameters))
    asked = [*_counts("training.parameters", made.training.parameters)]
    searched = {} if made.training.search is None else made.training.search.parameters
    for name, values in searched.items():
        asked += [count for value in values for count in _counts(f"training.search.parameters.{name}", value)]
    for path, number in asked:
        own = own_numbers.get(path, 0)
        if path.rpartition(".")[2].rpartition("__")[2] in _WORKERS:
            if number != own_numbers.get(path):
                found.append(_much(path, str(number), "the specification's own number of processors"))
        elif abs(number) > max(FREELY, MOST_TIMES * abs(own)):
            found.append(_much(path, str(number), f"up to {max(FREELY, MOST_TIMES * abs(own))}"))
    return found


def _plain(value: Any) -> Any:
    return format_duration(value) if isinstance(value, timedelta) else value


def _settings(spec: ModelSpec) -> int:
    """How many trainings a search is."""
    search = spec.training.search
    if search is None:
        return 1
    grid = prod(len(values) for values in search.parameters.values())
    return search.folds * (grid if search.method == "grid" else min(grid, search.iterations))


def _estimators(spec: ModelSpec) -> int:
    """How many estimators stand inside of parameters, each as often as it does."""
    left: list[Any] = [spec.training.parameters, spec.training.search.parameters if spec.training.search else {}]
    count = 0
    while left:
        value = left.pop()
        if isinstance(value, dict):
            value = expanded(value)
            count += "path" in value
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
    return count


def _counts(field: str, value: Any) -> Iterator[tuple[str, int]]:
    """Every number, and of each list the sum or length: 5,000 layers are not few because each of them is small."""
    yield from _numbers(field, value)
    yield from _sums(field, value)


def _sums(field: str, value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for name, held in value.items():
            yield from _sums(f"{field}.{name}", held)
    elif isinstance(value, list | tuple):
        numbers = [abs(one) for one in value if isinstance(one, int) and not isinstance(one, bool)]
        yield f"{field}, together", max(len(value), sum(numbers))
        for held in value:
            yield from _sums(field, held)


def _numbers(field: str, value: Any) -> Iterator[tuple[str, int]]:
    """Whole numbers are counts: of trees, of steps, of units; fractions are rates.

    Under the name of a count, a float or a text that says a whole number is one too: boosters read them so.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        yield field, value
    elif isinstance(value, float | str) and _COUNTS.search(field.rpartition(".")[2]):
        yield from _as_counts(field, value)
    elif isinstance(value, dict):
        for name, held in value.items():
            yield from _numbers(f"{field}.{name}", held)
    elif isinstance(value, list | tuple):
        for held in value:
            yield from _numbers(field, held)


def _as_counts(field: str, value: float | str) -> Iterator[tuple[str, int]]:
    try:
        number = float(value)
    except ValueError:  # a word, such as `sqrt`
        return
    if number.is_integer():
        yield field, int(number)
    elif not isfinite(number):
        yield field, FREELY * FREELY  # without end


_COUNTS = re.compile(
    r"(^|_)(n|num|max|min|nr)_|iter|estimators|trees|rounds|leaves|depth|bins?$|epochs?$|size|jobs|thread"
)


def _much(field: str, found: str, allowed: str) -> Problem:
    return _refused(field, found, allowed, "ask for less, or change the YAML file")


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
