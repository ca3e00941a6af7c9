"""Arguments of a Great Expectations name: data, and nothing that the library would run, fetch or look up for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_mlops.spec.errors import wrong

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem

_LONGEST = 1000
"""Characters of a regular expression, or of the name of a type."""
_MAPPINGS = frozenset({"json_schema", "partition_object", "quantile_ranges"})
"""Arguments that are mappings. The library takes one for any other, too, and evaluates an expression in it."""
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef", "$id", "id"})
_PARSERS = ("pandas", "great_expectations")


def argument_problems(arguments: Mapping[str, Any]) -> Iterator[Problem]:
    """Say what of the arguments is more than data; `field` is the argument's name.

    >>> [problem.field for problem in argument_problems({"row_condition": "@os.system('id') == 0"})]
    ['row_condition']
    >>> list(argument_problems({"row_condition": "planned > 0", "condition_parser": "pandas", "min_value": 1}))
    []
    """
    for name, value in arguments.items():
        check = _CHECKS.get(name)
        if check is not None:
            yield from check(name, value)
        elif isinstance(value, Mapping) and name not in _MAPPINGS:
            found = "a mapping, of which Great Expectations evaluates an expression"
            yield _refused(name, found, "a value, or a list of values", "write the value itself")
        elif name == "json_schema":
            yield from _references(name, value)
        elif "regex" in name or name.startswith("type"):
            yield from (problem for one in _several(value) for problem in _pattern(name, one))


def _condition(name: str, value: Any) -> Iterator[Problem]:
    from airflow_mlops.spec.row_conditions import ConditionError, parse_condition

    found = f"a {type(value).__name__}"
    if isinstance(value, str):
        try:
            parse_condition(value)
        except ConditionError as error:
            found = str(error)
        else:
            return
    allowed = "columns compared with literals, together by and, or, not; such as: distance > 0 and origin == 'EWR'"
    yield _refused(name, found, allowed, "write it so, or make the comparison a column of the source's query")


def _parser(name: str, value: Any) -> Iterator[Problem]:
    if value not in _PARSERS:
        yield _refused(name, repr(value)[:60], "pandas or great_expectations; both mean our own", "leave it out")


_CHECKS = {"row_condition": _condition, "condition_parser": _parser}


def _several(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list | tuple) else [value]) if isinstance(one, str)]


def _pattern(name: str, value: str) -> Iterator[Problem]:
    if len(value) > _LONGEST:
        yield _refused(name, f"a text of {len(value)} characters", f"at most {_LONGEST}", "shorten it")


def _references(name: str, value: Any) -> Iterator[Problem]:
    """Refuse what a JSON schema would fetch from an address; references within it begin with #."""
    left = [value]
    while left:
        here = left.pop()
        if isinstance(here, Mapping):
            for key, held in here.items():
                if key in _REFERENCES and isinstance(held, str) and not held.startswith("#"):
                    yield _refused(name, f"{key} to an address", "references within it (#/...)", "write it out")
                left.append(held)
        elif isinstance(here, list | tuple):
            left += here


def _refused(name: str, found: str, allowed: str, fix: str) -> Problem:
    return wrong(name, found, allowed, fix, code="spec_unsafe")
