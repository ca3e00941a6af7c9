"""Values at dotted paths of a specification's plain data: ``gate.champion.confidence``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_mlops.redaction import redact


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Set a value; parts on the way that are not there, or null, begin empty.

    Whoever may not be trusted with every path asks :mod:`airflow_mlops.spec.overrides` instead.

    >>> data = {"gate": {"holdout": "14d"}, "training": None}
    >>> put(data, "gate.champion.margin", 0.1); put(data, "training.seed", 7); data
    {'gate': {'holdout': '14d', 'champion': {'margin': 0.1}}, 'training': {'seed': 7}}
    """
    *parents, last = path.split(".")
    for name in parents:
        if data.get(name) is None:
            data[name] = {}
        data = data[name]
    data[last] = value


def changed_values(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[tuple[str, Any, Any], ...]:
    """Return path, value before and value now of everything that differs between two of a specification's plain data.

    Each value has a line of its own, also where a whole part was replaced: nothing can hide behind what stands beside
    it. Lists are values; what is not there, and an empty part, is None.

    >>> changed_values({"a": {"b": 1, "c": [1]}, "d": {}}, {"a": {"b": 1, "c": [2]}, "d": {"e": None, "f": 0}})
    (('a.c', [1], [2]), ('d.f', None, 0))
    """
    old, new = flat_values(before), flat_values(now)
    return tuple((path, old.get(path), new.get(path)) for path in sorted(old | new) if old.get(path) != new.get(path))


def flat_values(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return every value of plain data by its dotted path; lists are values.

    >>> flat_values({"a": {"b": 1, "c": {}}, "d": [2]})
    {'a.b': 1, 'd': [2]}
    """
    return dict(_flat(data))


def shown_value(value: Any) -> str:
    """Return a plain value as one line of JSON, of bounded length and without secrets; what is not there is `nothing`.

    >>> shown_value("30d"), shown_value(None)
    ('"30d"', 'nothing')
    """
    text = "nothing" if value is None else redact(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}... ({len(text)} characters)"


_LONGEST_VALUE = 200


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, held in value.items():
        if isinstance(held, Mapping):
            yield from _flat(held, f"{above}{name}.")
        else:
            yield f"{above}{name}", held
