"""The life of a registered model: taken out of use and back, finished where a move was left, and checked."""

from __future__ import annotations

from datetime import datetime

from airflow_mlops.core.ports import AuditTrail, Registry
from airflow_mlops.core.promotion.alias_log import AliasLog
from airflow_mlops.core.promotion.audit_state import fold, no_trail
from airflow_mlops.core.promotion.ownership import open_own_log
from airflow_mlops.core.records.ownership import SpecIdentity
from airflow_mlops.core.records.people import Person

RETIRED = "mlops.retired"
"""Tag of a registered model that is out of use: why."""


def retire(
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    by: str,
    reason: str,
    now: datetime,
    specification: SpecIdentity | None = None,
    people: tuple[Person, ...] = (),
    undo: bool = False,
) -> None:
    """Take a model out of use: nothing is promoted any more, and its DAGs find the tag. The champion stays.

    Parameters
    ----------
    undo
        Take a retired one back into use instead.
    specification, people
        As for :func:`airflow_mlops.core.promotion.rollback.rollback`.

    Raises
    ------
    RecordError
        REASON_MISSING, AUDIT_BROKEN, OWNED_BY_ANOTHER if a specification is named that is not the owner, or NO_CHAMPION
        if there is no such registered model.
    """
    alias_log = open_own_log(
        registry,
        trail,
        registered_model=registered_model,
        by=by,
        reason=reason,
        now=now,
        specification=specification,
        people=people,
    )
    _set_retired(alias_log, "unretired" if undo else "retired", reason)


def retirement_tag(registry: Registry, model: str) -> str | None:
    """Return why the model was retired by the command; None when it was not, or was taken back into use."""
    return registry.model_tags(model).get(RETIRED) or None


def _set_retired(alias_log: AliasLog, kind: str, reason: str) -> None:
    wanted = kind == "retired"
    for _ in alias_log.tries():
        events = alias_log.events()
        state = fold(events)
        if not events and not wanted:
            raise no_trail(alias_log.model)
        if (state.retired is not None) == wanted or alias_log.append(state, kind=kind, reason=reason) is not None:
            break
    else:
        raise alias_log.unfinished()
    for _ in alias_log.tries():  # whoever writes last has also read what stands
        state = fold(alias_log.events())
        alias_log.registry.tag_model(alias_log.model, {RETIRED: state.retired or ""})
        if fold(alias_log.events()).retired == state.retired:
            return
    raise alias_log.unfinished()
