"""From pydantic-core's errors to problems in our words. Imported only when something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from pydantic_core import ErrorDetails, ValidationError

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.cross_checks import problems_between
from airflow_mlops.spec.errors import MOST_TOLD
from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError
from airflow_mlops.spec.suggest import did_you_mean, find_nearest, shown

Path = tuple[str | int, ...]
Where = Callable[[Path], str]


def spec_error(
    error: ValidationError, cls: type[SpecModel], data: Any, *, subject: str = "", prefix: str = ""
) -> SpecError:
    """Return the refusal that carries every problem of a mapping that did not validate."""
    return SpecError(problems_of(error, cls, data, prefix=prefix), subject=subject or cls.__name__)


def problems_of(
    error: ValidationError, cls: type[SpecModel], data: Any, *, where: Where = lambda _path: "", prefix: str = ""
) -> tuple[Problem, ...]:
    """Translate the errors, and add what the right parts contradict each other in: the first `MOST_TOLD` of them."""
    found = (problem for details in error.errors(include_url=False) for problem in _translated(details, cls, where))
    whole = isinstance(data, Mapping) and "name" in cls.part_fields and "gate" in cls.part_fields
    unique: dict[Problem, None] = {}
    for problem in chain(found, _between(cls, data, where) if whole else ()):
        if len(unique) == MOST_TOLD:
            unique[_and_more(problem)] = None
            break
        unique[problem] = None
    return tuple(replace(problem, field=_joined(prefix, problem.field)) if prefix else problem for problem in unique)


def _and_more(problem: Problem) -> Problem:
    return Problem(
        code=problem.code,
        field=problem.field,
        found=f"more problems, of which this is the first that is not told after {MOST_TOLD}",
        allowed="none",
        fix="mend those above first",
        where=problem.where,
    )


def _joined(*names: str) -> str:
    return ".".join(name for name in names if name)


def _between(cls: type[SpecModel], data: Mapping[str, Any], where: Where) -> Iterator[Problem]:
    right = {}
    for name, field in cls.part_fields.items():
        if field.holds is None or field.default == ():
            continue
        try:
            right[name] = field.holds.validate_raw(data.get(name, field.default))
        except ValidationError:
            continue  # its own problems are reported already
    for problem in problems_between(right):
        yield _placed(problem, (), where)


def _placed(problem: Problem, path: Path, where: Where) -> Problem:
    # isdigit() alone: the name of a parameter may be a superscript, which is a digit and no number
    names = (name for name in problem.field.split(".") if name)
    inner: Path = tuple(int(name) if name.isascii() and name.isdigit() else name for name in names)
    whole = path + inner
    return replace(problem, field=".".join(map(str, whole)), where=problem.where or where(whole))


_NO_PLACES = frozenset({"~file", "~sql", "[key]"})
"""What pydantic-core names in a place and stands in no file: which kind of source it tried, that a key is wrong."""


def _translated(details: ErrorDetails, cls: type[SpecModel], where: Where) -> Iterator[Problem]:
    *above, last = details["loc"] or ("~file",)
    # A field that nobody knows may have any name, that of a kind of source, too.
    named = details["type"] == "extra_forbidden" or last not in _NO_PLACES
    path: Path = (*(item for item in above if item not in _NO_PLACES), *([last] if named else []))
    context: Mapping[str, Any] = details.get("ctx", {})
    if details["type"] == "spec_problems":
        for problem in context["problems"]:
            yield _placed(problem, path, where)
        return
    code, found, allowed, fix = _words(details, context, path, cls)
    yield Problem(
        code=code,
        field=".".join(map(str, path)) or "(top level)",
        found=found,
        allowed=allowed,
        fix=fix,
        where=where(path),
    )


def _words(
    details: ErrorDetails, context: Mapping[str, Any], path: Path, cls: type[SpecModel]
) -> tuple[ReasonCode, str, str, str]:
    kind, value = details["type"], details["input"]
    if kind == "spec_value":
        code, found, allowed = ReasonCode(context["code"]), context["found"] or shown(value), context["allowed"]
        return code, found, allowed, _suggested(context["fix"], value, allowed)
    if kind == "missing":
        names = _names(value) if isinstance(value, Mapping) and value else "nothing"
        doc = _doc(cls, path)
        fix = (_misspelt(cls, path, value) or f"add {path[-1]!r}") + (f" ({doc})" if doc else "")
        return ReasonCode.SPEC_MISSING_FIELD, f"no {path[-1]!r} among {names}", "a value: it has no default", fix
    if kind == "extra_forbidden":
        known = _known(cls, path[:-1])
        fix = did_you_mean(str(path[-1]), known) or "remove it"
        return ReasonCode.SPEC_UNKNOWN_FIELD, f"unknown field {path[-1]!r}", ", ".join(known), fix
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        keys = f"a mapping of {_names(value)}" if isinstance(value, Mapping) and value else shown(value)
        allowed = "{path: ...}, {conn_id: ..., table: ...} or {conn_id: ..., query: ...}"
        near = did_you_mean(str(next(iter(value))), ("path", "conn_id")) if isinstance(value, Mapping) and value else ""
        return ReasonCode.SPEC_INVALID_VALUE, keys, allowed, near or "write one of these"
    allowed, fix = _typed(kind, context, value)
    return ReasonCode.SPEC_INVALID_VALUE, shown(value), allowed, fix


_COMPARED = 100
"""Names of a mapping that are shown, or compared with a missing one."""


def _names(value: Mapping[str, Any]) -> str:
    return ", ".join(map(str, islice(value, _COMPARED))) + (", ..." if len(value) > _COMPARED else "")


def _suggested(fix: str, value: Any, allowed: str) -> str:
    if fix == "{did_you_mean}":
        names = allowed.rpartition("one of ")[2].split(", ")
        return did_you_mean(str(value), names) or "use one of these"
    if fix == "{did_you_mean_timezone}":
        from zoneinfo import available_timezones

        return did_you_mean(str(value), sorted(available_timezones())) or "write it like Europe/Berlin"
    return fix


_SHAPES: dict[str, tuple[str, str]] = {
    "string_type": ("text", "put it in quotes"),
    "string_too_short": ("text that is not empty", "write it, or leave the field out"),
    "int_type": ("a whole number", "write a whole number, without quotes"),
    "int_from_float": ("a whole number", "write a whole number"),
    "float_type": ("a number", "write a number, without quotes"),
    "finite_number": ("a finite number", "write a number"),
    "bool_type": ("true or false", "write true or false, without quotes"),
    "tuple_type": ("a list", "write it like [a, b]"),
    "dict_type": ("a mapping", "write it like {name: value}"),
    "model_type": ("a mapping of fields", "write it like {field: value}"),
    "model_attributes_type": ("a mapping of fields", "write it like {field: value}"),
    "too_short": ("at least one", "add one"),
    "int_parsing_size": ("a whole number of 64 bits", "write a smaller one"),
    "string_unicode": ("text that is Unicode", "write it again"),
    "recursion_loop": ("values without a circle", "write the values out"),
}
_BOUNDS = {
    "greater_than": (">", "gt"),
    "greater_than_equal": (">=", "ge"),
    "less_than": ("<", "lt"),
    "less_than_equal": ("<=", "le"),
}


def _typed(kind: str, context: Mapping[str, Any], value: Any) -> tuple[str, str]:
    if kind in _BOUNDS:
        sign, name = _BOUNDS[kind]
        return f"{sign} {context[name]:g}", "choose a value within the bound"
    if kind == "literal_error":
        names = [name.strip("'") for name in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return f"one of {', '.join(names)}", did_you_mean(str(value), names) or "use one of these"
    if kind in _SHAPES:
        return _SHAPES[kind]
    if kind == "string_too_long":
        most = context["max_length"]
        return ("one character" if most == 1 else f"at most {most:,} characters"), "shorten it"
    if kind == "too_long":
        return f"at most {context['max_length']:,}", "shorten the list"
    return f"what the field's type allows ({kind})", "see docs/specification.md"


def _part_at(cls: type[SpecModel], path: Path) -> type[SpecModel] | None:
    """Return the part that stands at a path; the source is told apart by nothing here, so both are looked at."""
    here: type[SpecModel] | None = cls
    for item in path:
        if isinstance(item, int):
            continue
        field = here.part_fields.get(item) if here is not None else None
        here = field.holds if field is not None else None
    return here


def _known(cls: type[SpecModel], path: Path) -> list[str]:
    if path[-1:] == ("source",) or (not path and cls.__name__ in ("FileSource", "SqlSource")):
        from airflow_mlops.spec.data import FileSource, SqlSource

        return list(dict.fromkeys((*FileSource.part_fields, *SqlSource.part_fields)))
    here = _part_at(cls, path)
    return list(here.part_fields) if here is not None else []


def _doc(cls: type[SpecModel], path: Path) -> str:
    here = _part_at(cls, path[:-1])
    field = here.part_fields.get(str(path[-1])) if here is not None else None
    return field.doc.rstrip(".") if field is not None else ""


def _misspelt(cls: type[SpecModel], path: Path, value: Any) -> str:
    """Say when an unknown field beside a missing one looks like it."""
    known = _known(cls, path[:-1])
    given = islice(value, _COMPARED) if isinstance(value, Mapping) else ()
    unknown = [str(name) for name in given if name not in known]
    near = find_nearest(str(path[-1]), unknown)
    return f"rename {near!r} to {path[-1]!r}" if near is not None else ""
