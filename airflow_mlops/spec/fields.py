"""Field specifiers: one line says a field's type, bounds, default and meaning.

Each returns a :class:`Field` that holds a pydantic-core schema. The schemas are built directly, and not by
pydantic's reading of annotations, because every parse of a DAG file pays for it: with plain pydantic models a parse
costs 20 ms more (docs/decisions/0012-the-specification-keeps-its-fields.md; the first look was 0002).

Who knows pydantic reads them so; `doc` is `description`, and bounds are pydantic's own `ge`, `gt`, `le` and `lt`:

==================================  =========================================================================
here                                in a pydantic model
==================================  =========================================================================
``a: str = text(doc=...)``          ``a: Annotated[str, StringConstraints(strict=True, strip_whitespace=True,
                                    min_length=1)] = Field(description=...)``
``text(..., check=f)``              ``Annotated[str, ..., AfterValidator(f)]``
``whole(default=2, ge=0, ...)``     ``Annotated[int, Strict()] = Field(default=2, ge=0, ...)``
``number(...)``                     ``Annotated[float, Strict(), AllowInfNan(False)]``
``flag(...)``, ``choice("a", ...)``  ``StrictBool``, ``Literal["a", ...]``
``duration(default="1d", ...)``     ``Annotated[timedelta, BeforeValidator(...), PlainSerializer(...)]``
``texts(...)``                      ``tuple[Annotated[str, ...], ...]``
``part(Other, default={}, ...)``    ``Other = Field(default={}, validate_default=True, ...)``
``parts(Other, ...)``               ``tuple[Other, ...] = Field(default=(), ...)``
``problems_within(self)``           ``@model_validator(mode="after")``, but it says every problem, not the first
==================================  =========================================================================

A test (tests/spec/test_fields.py) holds every annotation against what its specifier accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from airflow_mlops.spec.types import parse_duration

if TYPE_CHECKING:
    from airflow_mlops.spec.base import SpecModel
    from airflow_mlops.spec.errors import Code

REQUIRED: Any = object()
"""The default of a field that has none."""


class Field:
    """What is known of one field: its schema, default, meaning, its type in words, and the part it holds."""

    __slots__ = ("default", "doc", "holds", "nullable", "schema", "words")

    def __init__(
        self,
        schema: CoreSchema,
        words: str,
        default: Any,
        doc: str,
        *,
        holds: type[SpecModel] | None = None,
        nullable: bool = False,
    ) -> None:
        self.schema, self.words, self.default, self.doc, self.holds = schema, words, default, doc, holds
        self.nullable = nullable or default is None

    def model_field(self) -> core_schema.ModelField:
        """The schema of the field in its part, with its default."""
        schema = self.schema
        if self.nullable:
            schema = {"type": "nullable", "schema": schema}
        if self.default is not REQUIRED:
            inside = self.holds is not None and self.default is not None
            schema = {"type": "default", "schema": schema, "default": self.default, "validate_default": inside}
        about = {"pydantic_js_updates": {"description": self.doc}}
        return {"type": "model-field", "schema": schema, "metadata": about}


def refuse(found: str | None, allowed: str, fix: str, code: Code = "spec_invalid_value") -> NoReturn:
    """Refuse a value from inside pydantic-core, in the words of a Problem. `found` None: show the value."""
    raise PydanticCustomError("spec_value", "refused", {"found": found, "allowed": allowed, "fix": fix, "code": code})


Check = Callable[[Any], Any]

# Written out, because the functions of core_schema that write these dictionaries cost 0.5 ms of a parse.
_TEXT: core_schema.StringSchema = {"type": "str", "strict": True, "strip_whitespace": True}


LONGEST = 1000
"""Characters of a text that says nothing else: Airflow and MLflow keep them in columns of their databases."""
LARGEST = 10**12
"""A whole number that no field needs more than, and that every library counts to."""
_LARGEST_PLAIN = 2**63 - 1
_MOST_PARTS = 5000


def _checked(schema: CoreSchema, check: Check | None) -> CoreSchema:
    return schema if check is None else core_schema.no_info_after_validator_function(check, schema)


def text(
    *,
    doc: str,
    default: Any = REQUIRED,
    words: str = "text",
    min_length: int = 1,
    max_length: int = LONGEST,
    check: Check | None = None,
    nullable: bool = False,
) -> Any:
    """Text; never a number or truth value that YAML made of it."""
    schema: core_schema.StringSchema = {**_TEXT, "max_length": max_length}
    if min_length:
        schema["min_length"] = min_length
    return Field(_checked(schema, check), words, default, doc, nullable=nullable)


def character(*, doc: str, default: str | None, check: Check | None = None, nullable: bool = False) -> Any:
    """One character, white space included."""
    schema = core_schema.str_schema(strict=True, min_length=1, max_length=1)
    return Field(_checked(schema, check), "one character", default, doc, nullable=nullable)


def choice(*values: str, doc: str, default: Any = REQUIRED) -> Any:
    """One of a few words."""
    words = " or ".join(f"`{value}`" for value in values)
    return Field(core_schema.literal_schema(list(values)), words, default, doc)


def flag(*, doc: str, default: bool) -> Any:
    """`true` or `false`."""
    return Field(core_schema.bool_schema(strict=True), "`true` or `false`", default, doc)


def whole(*, doc: str, default: Any = REQUIRED, ge: int | None = None, le: int | None = None) -> Any:
    """A whole number within bounds; without an upper one, as large as any library counts to."""
    bounds = _given(ge=ge, le=le)
    schema: Any = {"type": "int", "strict": True, "le": LARGEST, **bounds}
    return Field(schema, "whole number" + _bounds(bounds), default, doc)


def number(
    *,
    doc: str,
    default: Any = REQUIRED,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    nullable: bool = False,
) -> Any:
    """A finite number within bounds."""
    bounds = _given(ge=ge, gt=gt, le=le, lt=lt)
    schema: Any = {"type": "float", "strict": True, "allow_inf_nan": False, **bounds}
    return Field(schema, "number" + _bounds(bounds), default, doc, nullable=nullable)


_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _given(**bounds: float | None) -> dict[str, float]:
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _bounds(given: Mapping[str, float]) -> str:
    return f" {' and '.join([f'{_SIGNS[name]} {bound}' for name, bound in given.items()])}" if given else ""


_DURATION_TEXT = core_schema.str_schema(pattern=r"^\d+\s*[smhdw]$")
_LONGEST = timedelta(days=36525)
_FIRST, _LAST = 1900, 2199
"""Years of an instant: outside of them, a zone or a window would soon lead beyond what a date can be."""


def _duration(value: Any) -> timedelta:
    try:
        parsed = parse_duration(value)
    except (ValueError, OverflowError):
        refuse(None, "a whole number and a unit s, m, h, d or w, up to 100 years", "write it like 90s, 12h or 60d")
    if not timedelta(0) <= parsed <= _LONGEST:
        refuse(None, "0s up to 100 years (36525d)", "write it like 90s, 12h or 60d")
    return parsed


def _positive_duration(value: Any) -> timedelta:
    parsed = _duration(value)
    if not parsed:
        refuse(None, "a duration longer than 0s", "write it like 90s, 12h or 60d")
    return parsed


_ANY_DURATION, _POSITIVE_DURATION = (
    core_schema.no_info_before_validator_function(
        function, core_schema.timedelta_schema(), json_schema_input_schema=_DURATION_TEXT
    )
    for function in (_duration, _positive_duration)
)


def duration(*, doc: str, default: Any = REQUIRED, positive: bool = True, nullable: bool = False) -> Any:
    """A span of time such as ``90s``, ``12h`` or ``60d``."""
    value = parse_duration(default) if isinstance(default, str) else default
    schema = _POSITIVE_DURATION if positive else _ANY_DURATION
    return Field(schema, "duration", value, doc, nullable=nullable)


def _instant(value: Any) -> Any:
    read = value if isinstance(value, datetime | date) else None
    if isinstance(value, str):
        try:
            read = datetime.fromisoformat(value)
        except ValueError:
            read = None
    if read is not None and not _FIRST <= read.year <= _LAST:
        refuse(None, f"a time in the years {_FIRST} to {_LAST}", "correct the year")
    if read is not None:
        return read
    refuse(None, "an ISO 8601 date or time", "write it like 2013-03-01 or 2013-03-01T06:00:00+01:00")


def instant(*, doc: str, default: Any = REQUIRED) -> Any:
    """A date or time; a bare number is refused, because pydantic would read it as seconds since 1970."""
    schema = core_schema.no_info_before_validator_function(
        _instant, core_schema.datetime_schema(), json_schema_input_schema=core_schema.str_schema()
    )
    return Field(schema, "ISO 8601 date or time", default, doc)


def _tuple(item: CoreSchema, min_length: int | None = None, max_length: int | None = None) -> CoreSchema:
    return core_schema.tuple_schema([item], variadic_item_index=0, min_length=min_length, max_length=max_length)


def texts(*, doc: str, default: Any = REQUIRED, words: str, check: Check | None = None, single: bool = False) -> Any:
    """A list of texts; with `single`, one text stands for a list of one."""
    item = _checked({**_TEXT, "min_length": 1, "max_length": LONGEST}, check)
    schema = _tuple(item, min_length=1 if default is REQUIRED else None)
    if single:
        schema = core_schema.no_info_before_validator_function(
            _one_is_a_list, schema, json_schema_input_schema=core_schema.union_schema([item, schema])
        )
    return Field(schema, words, default, doc)


def _one_is_a_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Refuse what JSON cannot carry: the specification is written to files and fingerprinted.

    Keys become text, as they are in JSON: ``{0: 1}`` of Python is what YAML writes ``{0: 1}``.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return _plain_number(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str | int | float) for key in value):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, dict):
        refuse(
            "a mapping with keys that are no text", "mappings with keys of text, numbers, true or false", "write it so"
        )
    refuse(f"a {type(value).__name__}", "text, numbers, true, false, null, lists and mappings of them", "write it so")


def _key(key: str | float) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _plain_number(value: float) -> float:
    if isinstance(value, int):
        if abs(value) > _LARGEST_PLAIN:
            refuse("a whole number of more than 64 bits", "whole numbers of 64 bits", "write a smaller one")
    elif value != value or value in (_INFINITE, -_INFINITE):  # noqa: PLR0124 - NaN differs from itself
        refuse(str(value), "finite numbers, which JSON can carry", "write null where a value is missing")
    return value


_INFINITE = float("inf")
PLAIN = core_schema.no_info_before_validator_function(
    _plain, core_schema.any_schema(), json_schema_input_schema=core_schema.any_schema()
)


def scalar(*, doc: str, default: Any = None) -> Any:
    """One value as data have it: text, a finite number, `true` or `false`."""
    kinds: list[Any] = [core_schema.bool_schema(), core_schema.int_schema(), core_schema.float_schema(), _TEXT]
    schema = core_schema.no_info_before_validator_function(
        _one_value, core_schema.any_schema(), json_schema_input_schema=core_schema.union_schema(kinds)
    )
    return Field(schema, "text, number, `true` or `false`", default, doc)


def _one_value(value: Any) -> Any:
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, bool | int) or (isinstance(value, float) and abs(value) < float("inf")):
        return value
    refuse(None, "text, a finite number, true or false", "write the value as it stands in the data")


def lists(*, doc: str, words: str, check: Check | None = None) -> Any:
    """A mapping of names to lists of texts, at least one each; empty by default."""
    schema = core_schema.dict_schema(
        core_schema.str_schema(strict=True, min_length=1),
        core_schema.no_info_before_validator_function(
            _one_is_a_list, _tuple(_checked({**_TEXT, "min_length": 1}, check), min_length=1)
        ),
    )
    return Field(schema, words, {}, doc)


def share(*, doc: str, default: Any = REQUIRED) -> Any:
    """A share of a whole, above 0 and below 1: a number, or per cent as text, ``10 %``."""
    schema = core_schema.no_info_before_validator_function(
        _per_cent,
        {"type": "float", "gt": 0.0, "lt": 1.0, "allow_inf_nan": False},
    )
    return Field(schema, "share, such as `10 %` or `0.1`", default, doc)


def _per_cent(value: Any) -> Any:
    """Read ``10 %`` as 0.1."""
    if isinstance(value, str) and value.rstrip().endswith("%"):
        try:
            value = float(value.rstrip().removesuffix("%")) / 100
        except ValueError:
            refuse(None, "a share above 0 % and below 100 %", "write it like 10 %")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        refuse(None, "a share above 0 % and below 100 %", "write it like 10 %")
    return float(value)


def plain_mapping(*, doc: str) -> Any:
    """A mapping of names to plain values; empty by default."""
    return Field(core_schema.dict_schema(core_schema.str_schema(strict=True), PLAIN), "mapping", {}, doc)


def choices_by_name(*values: str, doc: str) -> Any:
    """A mapping of names to one of a few words each; empty by default."""
    words = f"mapping of columns to {' or '.join(f'`{value}`' for value in values)}"
    name = core_schema.str_schema(strict=True, min_length=1)
    return Field(core_schema.dict_schema(name, core_schema.literal_schema(list(values))), words, {}, doc)


def grid(*, doc: str) -> Any:
    """A mapping of names to the values to try."""
    schema = core_schema.dict_schema(core_schema.str_schema(strict=True), _tuple(PLAIN, min_length=1), min_length=1)
    return Field(schema, "mapping of lists", REQUIRED, doc)


def part(cls: type[SpecModel], *, doc: str, default: Any = REQUIRED) -> Any:
    """Another part; with the default ``{}``, every field of it has its own default."""
    return Field(cls.core_schema(), f"[{cls.__name__}](#{cls.__name__.lower()})", default, doc, holds=cls)


def parts(cls: type[SpecModel], *, doc: str) -> Any:
    """A list of parts; empty by default."""
    words = f"list of [{cls.__name__}](#{cls.__name__.lower()})"
    return Field(_tuple(cls.core_schema(), max_length=_MOST_PARTS), words, (), doc, holds=cls)


def shorthand(schema: CoreSchema, expand: Check, short: CoreSchema) -> CoreSchema:
    """A schema that also accepts a short form, which `expand` writes out."""
    return core_schema.no_info_before_validator_function(
        expand, schema, json_schema_input_schema=core_schema.union_schema([short, schema])
    )
