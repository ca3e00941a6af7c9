"""JSON that stands where others may write: a tag, a parameter, an artifact, a file of the storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DEEPEST = 64
"""Levels. No record has so many, and what follows is written as functions that call themselves."""


def read_json(text: str | bytes) -> Any:
    """Read JSON; whatever is wrong with it is a ValueError, and never one of the interpreter.

    Raises
    ------
    ValueError
        If it is no JSON, or deeper than any record.

    Examples
    --------
    >>> read_json('{"a": [1]}')
    {'a': [1]}
    >>> read_json("[" * 5000)
    Traceback (most recent call last):
        ...
    ValueError: JSON of more than 64 levels
    """
    try:
        read = json.loads(text)
    except RecursionError:
        raise ValueError(f"JSON of more than {DEEPEST} levels") from None
    level = [read]
    for _ in range(DEEPEST):
        level = [held for value in level for held in _inside(value)]
        if not level:
            return read
    raise ValueError(f"JSON of more than {DEEPEST} levels")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    return [held for held in value if isinstance(held, dict | list)] if isinstance(value, list) else []
