"""Rows that a person says are right: mended in the source, or different from now on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import AuditTrail, Registry
from airflow_mlops.core.promotion.audit_state import fold, no_trail
from airflow_mlops.core.promotion.ownership import open_own_log
from airflow_mlops.core.records.fault import ReleasedSpan
from airflow_mlops.core.records.ownership import SpecIdentity
from airflow_mlops.core.records.people import Person
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.core.rows.windows import utc
from airflow_mlops.spec.problems import Problem, ReasonCode


def release(
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    start: datetime,
    end: datetime | None,
    by: str,
    reason: str,
    now: datetime,
    specification: SpecIdentity | None = None,
    people: tuple[Person, ...] = (),
) -> AuditEvent:
    """Write down that rows which look broken are right as they are.

    Parameters
    ----------
    start, end
        Event times of the rows. Without an end the change is to stay: what differs from it before `start` is left out
        of training from then on, as if that were broken.

    Returns
    -------
    AuditEvent
        Of kind `released`.

    Raises
    ------
    RecordError
        REASON_MISSING, AUDIT_BROKEN, RECORD_CONFLICT if the span ends before it starts, OWNED_BY_ANOTHER if a
        specification is named that is not the owner, or NO_CHAMPION if the loop never registered such a model.
    DataError
        If a time has no time zone.
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
    first, last = utc(start, "--from"), None if end is None else utc(end, "--to")
    if last is not None and last <= first:
        raise RecordError(_empty(first, last))
    for _ in alias_log.tries():
        events = alias_log.events()
        if not events:
            raise no_trail(registered_model)
        written = alias_log.append(fold(events), kind="released", reason=reason, rows_from=first, rows_until=last)
        if written is not None:
            return written
    raise alias_log.unfinished()


def released_spans(events: Iterable[AuditEvent]) -> tuple[ReleasedSpan, ...]:
    """Return what was released, oldest first."""
    return tuple(
        ReleasedSpan(start=event.rows_from, end=event.rows_until, reason=event.reason, by=event.by)
        for event in events
        if event.kind == "released" and event.rows_from is not None
    )


def _empty(start: datetime, end: datetime) -> Problem:
    return Problem(
        code=ReasonCode.RECORD_CONFLICT,
        field="--to",
        found=f"{end.isoformat()}, which is not after --from {start.isoformat()}",
        allowed="an event time after it, or none at all",
        fix="leave --to out when the change is to stay",
    )
