"""Values at dotted paths of a specification's plain data: ``gate.champion.confidence``."""

from __future__ import annotations

from typing import Any


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
