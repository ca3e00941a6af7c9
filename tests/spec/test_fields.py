"""Annotations and the schemas of their specifiers say the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic_core import SchemaValidator, ValidationError

from airflow_mlops.spec import ModelSpec, SpecError, parse_spec
from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.data import FileSource, SqlSource
from airflow_mlops.spec.fields import REQUIRED
from airflow_mlops.spec.training import TrainingSpec
from tests.spec.samples import RAW

SAMPLES: tuple[Any, ...] = (
    "word",
    "1d",
    3,
    0.7,
    True,
    None,
    ["a"],
    {"a": ["b"]},
    "2013-01-01",
    "a.B",
    "log_loss",
    "@daily",
)


def subclasses(cls: type[SpecModel]) -> list[type[SpecModel]]:
    direct = cls.__subclasses__()
    return direct + [deeper for one in direct for deeper in subclasses(one)]


PARTS = subclasses(SpecModel)


FIELDS = [(part, name) for part in PARTS for name in part.part_fields]


def test_every_part_is_reached_from_the_whole() -> None:
    def below(part: type[SpecModel]) -> set[type[SpecModel]]:
        held = [field.holds for field in part.part_fields.values() if field.holds is not None]
        return {part, *(found for one in held for found in below(one))}

    assert below(ModelSpec) | {FileSource, SqlSource} == set(PARTS)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type: an independent reading of the annotations."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            fits(k, arguments[0]) and fits(v, arguments[1]) for k, v in value.items()
        )
    return type(value) is hint or (hint in (timedelta, datetime) and isinstance(value, hint))


@pytest.mark.parametrize(("part", "name"), FIELDS, ids=[f"{part.__name__}.{name}" for part, name in FIELDS])
def test_what_a_field_accepts_is_of_its_annotated_type(part: type[SpecModel], name: str) -> None:
    hint, field = get_type_hints(part)[name], part.part_fields[name]
    validator = SchemaValidator(field.model_field()["schema"])
    accepted = []
    for sample in SAMPLES:
        try:
            accepted.append(validator.validate_python(sample))
        except ValidationError:
            continue
    assert all(fits(value, hint) for value in accepted)
    assert (None in accepted) == (hint is Any or NoneType in get_args(hint))
    if field.default is not REQUIRED and field.holds is None:
        assert fits(field.default, hint)


@pytest.mark.parametrize("part", PARTS)
def test_every_annotated_name_is_a_field_with_a_meaning(part: type[SpecModel]) -> None:
    annotated = {name for name in part.__annotations__ if name != "model_config"}
    assert annotated == set(part.part_fields)
    assert all(field.doc and field.words for field in part.part_fields.values())


def test_parameters_are_plain() -> None:
    with pytest.raises(SpecError, match=r"training.parameters.estimator: found a TrainingSpec"):
        parse_spec({**RAW, "training": {**RAW["training"], "parameters": {"estimator": TrainingSpec(estimator="a.B")}}})
