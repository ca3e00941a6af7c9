"""What a mapping may hold that did not come from a file: of a triggered run, or written in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.yaml_lines import DEEPEST, MOST, unstorable

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem


def first_unsafe(data: Any, where: str = "") -> Problem | None:
    r"""Hold plain data to the bounds of a file: depth, number of values, and characters that a database can hold.

    It does not recurse, so that data of any depth, or with a circle in it, is refused and not a RecursionError.

    >>> print(first_unsafe({"a": ["\x00"]}))
    a.0: found the character '\x00'; allowed: text without control characters; remove the character [spec_unsafe]
    >>> first_unsafe({"a": ["b", 1]}) is None
    True
    """
    left: list[tuple[tuple[str, ...], Any]] = [((), data)]
    seen = 0
    while left:
        path, value = left.pop()
        seen += 1
        bad = unstorable(value) if isinstance(value, str) else None
        if bad is not None:
            return _unsafe(
                path, f"the character {bad}", "text without control characters", "remove the character", where
            )
        inner = _inner(value)
        if inner and len(path) >= DEEPEST:
            return _unsafe(path, f"more than {DEEPEST} levels", f"{DEEPEST} levels at most", "flatten it", where)
        if seen + len(left) + len(inner) > MOST:
            return _unsafe((), f"more than {MOST} values", f"{MOST} values at most", "shorten it", where)
        for key, held in inner:
            if isinstance(key, str) and unstorable(key) is not None:
                found = f"a key with the character {unstorable(key)}"
                return _unsafe(path, found, "plain text keys", "remove it", where)
            left.append(((*path, str(key)), held))
    return None


def _inner(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []


def _unsafe(path: tuple[str, ...], found: str, allowed: str, fix: str, where: str) -> Problem:
    field = ".".join(path) or "(top level)"
    return wrong(field, found, allowed, fix, code="spec_unsafe", where=where)
