"""What a specification says about who and what lets a model serve, and how two of them differ in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlops.spec.dotted import changed_values, shown_value

if TYPE_CHECKING:
    from airflow_mlops.spec.model import ModelSpec


def changed_rules(before: ModelSpec, now: ModelSpec) -> tuple[str, ...]:
    """Return what of gate, risk tier and approval is another value now, a line for each dotted path.

    Two specifications are compared as they are read, with their defaults filled in: a rule that is written out as its
    default has not changed.

    Examples
    --------
    >>> from airflow_mlops.spec import parse_spec
    >>> plain = {"name": "m", "owner": "o", "training": {"estimator": "sklearn.svm.SVC"},
    ...          "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y"}}
    >>> changed_rules(parse_spec(plain), parse_spec({**plain, "gate": {"mode": "off"}}))
    ('gate.mode: "enforce" -> "off"',)
    """
    return tuple(
        f"{path}: {shown_value(old)} -> {shown_value(new)}"
        for path, old, new in changed_values(_governing(before), _governing(now))
    )


def _governing(spec: ModelSpec) -> dict[str, Any]:
    said = spec.model_dump(mode="json")
    approval = said["promotion"]["approval"]
    return {"gate": said["gate"], "risk_tier": said["risk_tier"], "promotion": {"approval": approval}}
