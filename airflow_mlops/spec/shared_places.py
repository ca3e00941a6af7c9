"""Specifications that are read together, and name one registered model or one experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_mlops.spec.errors import wrong

if TYPE_CHECKING:
    from airflow_mlops.spec.model import ModelSpec
    from airflow_mlops.spec.problems import Problem

_MODEL, _EXPERIMENT = "promotion.registered_model", "tracking.experiment"
_Place = tuple[str, str, str]


def shared_places(specs: Mapping[str, ModelSpec]) -> dict[str, tuple[Problem, ...]]:
    """Return what is wrong with those that name what another one has, by their key; the other one stands.

    A model and an experiment belong to the specification of the same name, also when that one is wrong otherwise, and
    else to the first that names them and is not refused itself: whoever writes a file cannot take another's away by
    what it says. Two connections may lead to one MLflow; whether they do is seen when a run asks.

    Parameters
    ----------
    specs
        By file name, in the order in which they are read; names of specifications are unique.
    """
    holders = {place: key for key, spec in specs.items() for place in _places(spec) if place[-1] == spec.name}
    found: dict[str, tuple[Problem, ...]] = {}
    for key, spec in specs.items():
        taken = [place for place in _places(spec) if holders.get(place, key) != key]
        if taken:
            found[key] = tuple(
                _shared(spec.name, place, specs[holders[place]].name, holders[place], key) for place in taken
            )
        else:
            holders |= dict.fromkeys(_places(spec), key)
    return found


def _places(spec: ModelSpec) -> tuple[_Place, ...]:
    """Field, connection and name of what the specification writes to."""
    conn_id = spec.tracking.conn_id
    return (_MODEL, conn_id, spec.registered_model), (_EXPERIMENT, conn_id, spec.experiment)


def _shared(name: str, place: _Place, other: str, other_file: str, file: str) -> Problem:
    field, _, shared = place
    what = "registered model" if field == _MODEL else "MLflow experiment"
    return wrong(
        field,
        found=f"{shared!r}, the {what} of specification {other!r} ({other_file}), which {name!r} names too",
        allowed=f"a {what} that no other specification has",
        fix=f"set {field} of {name!r} to a name of its own; where {name!r} is to have it instead, {other_file} must "
        "name another or go, and the model be handed over: airflow mlops handover",
        code="spec_duplicate",
        where=file,
    )
