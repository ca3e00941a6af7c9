"""Points of a grid: the specification with other settings of gate, monitoring and retraining."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic_core import ValidationError

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.dotted import put
from airflow_mlops.spec.error_text import problems_of
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError
from airflow_mlops.spec.suggest import did_you_mean

PARTS = ("gate", "monitoring", "retraining")
MODEL = {
    "gate.holdout": "it says what the model is trained on",
    "gate.primary": "points are compared by it",
    "gate.metrics": "it names code, and points are compared by them",
    "retraining.cost": "points are compared by it",
}
"""What a grid may not change, and why."""
MOST_POINTS = 500
_COMMA = re.compile(r",(?![^\[{]*[\]}])")


@dataclass(frozen=True, kw_only=True)
class GridPoint:
    """One point of a grid: a specification with other settings."""

    settings: Mapping[str, str]
    spec: ModelSpec

    @property
    def name(self) -> str:
        """The settings in one line."""
        return ", ".join(f"{path}={value}" for path, value in self.settings.items())


def grid_of(spec: ModelSpec, texts: Sequence[str]) -> tuple[GridPoint, ...]:
    """Cross every path with every value.

    Parameters
    ----------
    texts
        ``path=value,value,...`` each: dotted names of fields, and values as YAML writes them.

    Raises
    ------
    SpecError
        Every path that there is not, every value that a field does not take.

    Examples
    --------
    >>> spec = ModelSpec.model_validate({
    ...     "name": "m", "owner": "o", "training": {"estimator": "sklearn.dummy.DummyClassifier"},
    ...     "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y"}})
    >>> points = grid_of(spec, ["gate.champion.confidence=0.8,0.9", "monitoring.drift.references=[training, previous]"])
    >>> [point.name for point in points]  # doctest: +NORMALIZE_WHITESPACE
    ['gate.champion.confidence=0.8, monitoring.drift.references=[training, previous]',
     'gate.champion.confidence=0.9, monitoring.drift.references=[training, previous]']
    """
    axes = [_axis(text) for text in texts]
    problems = [problem for axis in axes for problem in _problems(axis)]
    count = 1
    for _, values in axes:
        count *= len(values)
    if count > MOST_POINTS:
        found = f"{count:,} points"
        problems.append(_invalid("--grid", found, f"at most {MOST_POINTS}", "give fewer values"))
    if problems or not axes:
        if problems:
            raise SpecError(problems, subject=f"grid of {spec.name}")
        return ()
    paths = [path for path, _ in axes]
    points: list[GridPoint] = []
    refused: dict[str, Problem] = {}
    for values in product(*(found for _, found in axes)):
        settings = dict(zip(paths, values, strict=True))
        made = _varied(spec, settings)
        if isinstance(made, ModelSpec):
            points.append(GridPoint(settings=settings, spec=made))
        else:
            refused |= {str(problem): problem for problem in made}
    if refused:
        raise SpecError(refused.values(), subject=f"grid of {spec.name}")
    return tuple(points)


def _axis(text: str) -> tuple[str, tuple[str, ...]]:
    path, _, values = text.partition("=")
    return path.strip(), tuple(value.strip() for value in _COMMA.split(values) if value.strip())


def _problems(axis: tuple[str, tuple[str, ...]]) -> Iterator[Problem]:
    path, values = axis
    if not values:
        found = f"{path!r} without values"
        yield _invalid("--grid", found, "path=value,value,...", "write gate.champion.confidence=0.8,0.9")
        return
    for locked, why in MODEL.items():
        if path == locked or path.startswith(f"{locked}."):
            yield _invalid(
                f"--grid {path}", "a setting that is not varied", f"settings but {locked}: {why}", "leave it"
            )
            return
    yield from _unknown(path)


def _unknown(path: str) -> Iterator[Problem]:
    """A path of which a name is not there; the last name must be a field that holds a value."""
    here: type[SpecModel] = ModelSpec
    names = path.split(".")
    for depth, name in enumerate(names):
        known = PARTS if depth == 0 else tuple(here.part_fields)
        if name not in known:
            said = did_you_mean(name, known) or "see docs/specification.md"
            yield _invalid(f"--grid {path}", f"no field {name!r}", f"one of: {', '.join(known)}", said)
            return
        held = here.part_fields[name].holds
        last = depth == len(names) - 1
        if held is None or here.part_fields[name].default == ():
            if not last:
                yield _invalid(f"--grid {path}", f"nothing below {name!r}", "the path of one setting", f"end at {name}")
            return
        if last:
            known = tuple(held.part_fields)
            yield _invalid(f"--grid {path}", "a whole part", f"one setting of it: {', '.join(known)}", "name one")
        here = held


def _varied(spec: ModelSpec, settings: Mapping[str, str]) -> ModelSpec | Sequence[Problem]:
    data = spec.model_dump(mode="json", exclude_unset=True)
    for path, value in settings.items():
        put(data, path, _value(value))
    try:
        return ModelSpec.validate_raw(data)
    except ValidationError as error:
        return problems_of(error, ModelSpec, data, prefix="--grid")


def _value(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _invalid(field: str, found: str, allowed: str, fix: str) -> Problem:
    return Problem(code=ReasonCode.SPEC_INVALID_VALUE, field=field, found=found, allowed=allowed, fix=fix)
