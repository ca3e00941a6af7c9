"""What a specification says about who and what lets a model serve, and how two of them differ in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_mlops.spec.dotted import changed_values, flat_values, shown_value

if TYPE_CHECKING:
    from airflow_mlops.spec.model import ModelSpec


def governing_rules(spec: ModelSpec) -> dict[str, Any]:
    """Return gate, risk tier and approval as plain values by dotted path, with their defaults filled in.

    Examples
    --------
    >>> from airflow_mlops.spec import parse_spec
    >>> rules = governing_rules(parse_spec({"name": "m", "owner": "o", "training": {"estimator": "sklearn.svm.SVC"},
    ...     "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y"}}))
    >>> rules["gate.mode"], rules["risk_tier"], rules["promotion.approval.tiers"]
    ('enforce', 'medium', [])
    """
    said = spec.model_dump(mode="json")
    approval = said["promotion"]["approval"]
    return flat_values({"gate": said["gate"], "risk_tier": said["risk_tier"], "promotion": {"approval": approval}})


def changed_rules(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is another value now, a line for each dotted path: who must agree, and whether rules count, first.

    What is told first must not be what a hundred harmless changes stand before. A field that a later version of this
    package brought has not changed while it has its default.

    Parameters
    ----------
    before, now
        What :func:`governing_rules` returned.

    Examples
    --------
    >>> changed_rules({"gate.mode": "enforce", "risk_tier": "low"}, {"gate.mode": "off", "risk_tier": "low"})
    ('gate.mode: "enforce" -> "off"',)
    """
    found = [
        (path, f"{path}: {shown_value(old)} -> {shown_value(new)}")
        for path, old, new in changed_values(before, now)
        if path in before or new != _defaults().get(path)
    ]
    return tuple(line for path, line in sorted(found, key=lambda one: not _FIRST.match(one[0])))


_FIRST = re.compile(r"risk_tier$|promotion\.|gate(\.\w+)?\.mode$")


@cache
def _defaults() -> Mapping[str, Any]:
    from airflow_mlops.spec.model import ModelSpec

    rows = {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y"}
    plain = {"name": "m", "owner": "o", "data": rows, "training": {"estimator": "sklearn.svm.SVC"}}
    return governing_rules(ModelSpec.model_validate(plain))
