"""The base of every part of the specification: frozen, closed to unknown fields, validated by pydantic-core."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator, ValidationError, core_schema

from airflow_mlops.spec import fields
from airflow_mlops.spec.errors import MOST_TOLD
from airflow_mlops.spec.types import format_duration

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    field_specifiers=(
        fields.character,
        fields.choice,
        fields.choices_by_name,
        fields.duration,
        fields.flag,
        fields.grid,
        fields.instant,
        fields.lists,
        fields.number,
        fields.part,
        fields.parts,
        fields.plain_mapping,
        fields.scalar,
        fields.share,
        fields.text,
        fields.texts,
        fields.whole,
        fields.Field,
    ),
)
class SpecModel:
    """A part of the specification: immutable, and no field that it does not know.

    It behaves like a pydantic model (`model_validate`, `model_dump`, `model_copy`, usable as a field of one) but
    is built without pydantic's reading of annotations. Wrong values raise SpecError with every problem.
    """

    __slots__ = ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")

    # pydantic-core sets these two; not fields, because dataclass_transform leaves out the base itself
    __pydantic_extra__: dict[str, Any] | None
    __pydantic_fields_set__: set[str]

    part_fields: ClassVar[Mapping[str, fields.Field]] = {}
    model_config: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    _schema: ClassVar[CoreSchema | None] = None
    _validator: ClassVar[SchemaValidator | None] = None

    def __init_subclass__(cls) -> None:
        cls.part_fields = {name: value for name, value in vars(cls).items() if isinstance(value, fields.Field)}

    def __init__(self, **data: Any) -> None:
        made = type(self).model_validate(data)
        self.__setstate__(made.__getstate__())

    # -- reading ----------------------------------------------------------------------------------------------

    @classmethod
    def core_schema(cls) -> CoreSchema:
        """The pydantic-core schema that validates this part."""
        schema: CoreSchema | None = cls.__dict__.get("_schema")
        if schema is None:
            inner = core_schema.model_fields_schema(
                {name: field.model_field() for name, field in cls.part_fields.items()},
                extra_behavior=cls.model_config["extra"],
                extras_schema=fields.PLAIN if cls.model_config["extra"] == "allow" else None,
            )
            schema = core_schema.model_schema(cls, inner)
            if cls.problems_within is not SpecModel.problems_within:
                schema = core_schema.no_info_after_validator_function(_audited, schema)
            cls._schema = schema = cls._shorthands(schema)
        return schema

    @classmethod
    def _shorthands(cls, schema: CoreSchema) -> CoreSchema:
        """Let a part accept a shorter way of writing it. Most have none."""
        return schema

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        return cls.core_schema()

    @classmethod
    def model_validate(cls, data: Any) -> Self:
        """Build the part from a mapping as YAML gives it, or return it when it is one already.

        Raises
        ------
        SpecError
            With every problem that was found.
        """
        try:
            return cls.validate_raw(data)
        except ValidationError as error:
            from airflow_mlops.spec.error_text import spec_error

            raise spec_error(error, cls, data) from None

    @classmethod
    def validate_raw(cls, data: Any) -> Self:
        """As :meth:`model_validate`, but with pydantic-core's own ValidationError."""
        validator: SchemaValidator | None = cls.__dict__.get("_validator")
        if validator is None:
            cls._validator = validator = SchemaValidator(cls.core_schema())
        made: Self = validator.validate_python(data)
        return made

    def problems_within(self) -> Iterator[Problem]:
        """What is wrong between the fields, though each is right by itself; `field` is relative to the part."""
        return iter(())

    # -- writing ----------------------------------------------------------------------------------------------

    def model_dump(self, *, mode: str = "python", exclude_unset: bool = False) -> dict[str, Any]:
        """Return nested plain data; with mode ``json``, as the YAML would say it (``60d``, ISO 8601, lists)."""
        names = self.__pydantic_fields_set__ if exclude_unset else self.__dict__.keys()
        items = [(name, getattr(self, name)) for name in self.__dict__ if name in names]
        items += (self.model_extra or {}).items()
        return {name: _dumped(value, mode, exclude_unset) for name, value in items}

    def model_dump_json(self, *, exclude_unset: bool = False) -> str:
        """Return JSON text."""
        return json.dumps(self.model_dump(mode="json", exclude_unset=exclude_unset), ensure_ascii=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """Return a copy with other values for some fields; unlike pydantic's, the copy is validated.

        Raises
        ------
        SpecError
            With every problem that was found.
        """
        given = {name: getattr(self, name) for name in self.__dict__ if name in self.__pydantic_fields_set__}
        return type(self).model_validate({**given, **(self.model_extra or {}), **(update or {})})

    @property
    def model_fields_set(self) -> frozenset[str]:
        """Names of the fields that were given, not left to their default."""
        return frozenset(self.__pydantic_fields_set__)

    def changed_fields(self) -> frozenset[str]:
        """Names of the fields with another value than their default: the same after a full dump and reading."""
        return frozenset(
            name for name, field in self.part_fields.items() if self.__dict__.get(name, field.default) != field.default
        )

    @property
    def model_extra(self) -> dict[str, Any] | None:
        """Arguments beyond the fields, where a part allows them."""
        return self.__pydantic_extra__

    # -- being a frozen value ---------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: make another one with model_copy(update=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __getstate__(self) -> dict[str, Any]:
        return {"values": self.__dict__, "extra": self.__pydantic_extra__, "set": self.__pydantic_fields_set__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        object.__setattr__(self, "__dict__", dict(state["values"]))
        object.__setattr__(self, "__pydantic_extra__", state["extra"])
        object.__setattr__(self, "__pydantic_fields_set__", set(state["set"]))
        object.__setattr__(self, "__pydantic_private__", None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SpecModel) or type(self) is not type(other):
            return NotImplemented
        return self.__dict__ == other.__dict__ and (self.model_extra or {}) == (other.model_extra or {})

    def __hash__(self) -> int:
        return hash((type(self), json.dumps(self.model_dump(mode="json"), sort_keys=True)))

    def __repr__(self) -> str:
        given = {
            **{n: v for n, v in self.__dict__.items() if n in self.__pydantic_fields_set__},
            **(self.model_extra or {}),
        }
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _audited(made: SpecModel) -> SpecModel:
    problems = tuple(islice(made.problems_within(), MOST_TOLD))
    if problems:
        raise PydanticCustomError("spec_problems", "refused", {"problems": problems})
    return made


def _dumped(value: Any, mode: str, exclude_unset: bool) -> Any:
    if isinstance(value, SpecModel):
        return value.model_dump(mode=mode, exclude_unset=exclude_unset)
    if isinstance(value, tuple | list):
        items = [_dumped(item, mode, exclude_unset) for item in value]
        return items if mode == "json" or isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {key: _dumped(item, mode, exclude_unset) for key, item in value.items()}
    if mode == "json" and isinstance(value, timedelta):
        return format_duration(value)
    return value.isoformat() if mode == "json" and isinstance(value, datetime) else value
