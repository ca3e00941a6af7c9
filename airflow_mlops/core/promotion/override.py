"""A person's promotion against the gate's decision, on the record."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from airflow_mlops.core.ports import AuditTrail, Registry
from airflow_mlops.core.promotion.alias_log import LEASE
from airflow_mlops.core.promotion.audit_state import AuditState
from airflow_mlops.core.promotion.checks import require_active, require_not_older
from airflow_mlops.core.promotion.manual_move import move, move_refused
from airflow_mlops.core.promotion.ownership import open_own_log, require_trained_by_owner
from airflow_mlops.core.promotion.rollback import trail_has_served
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.ownership import SpecIdentity
from airflow_mlops.core.records.people import Person
from airflow_mlops.core.records.promotion import PromotionRecord
from airflow_mlops.spec.problems import ReasonCode


def override(
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    version: int,
    by: str,
    reason: str,
    now: datetime,
    allow_older: bool = False,
    request: str = "",
    specification: SpecIdentity | None = None,
    people: tuple[Person, ...] = (),
    lease: timedelta = LEASE,
    pause: Callable[[float], None] = time.sleep,
) -> PromotionRecord:
    """Promote a version of the loop against the gate's decision: a person's decision, with a name and a reason.

    Parameters
    ----------
    version
        What the loop registered, and has not served yet.
    allow_older
        Also when the champion knows later data.
    specification, people
        As for :func:`airflow_mlops.core.promotion.rollback.rollback`.

    Raises
    ------
    RecordError
        REASON_MISSING, VERSION_MISSING, CHAMPION_UNREADABLE, AUDIT_BROKEN; RECORD_CONFLICT if it serves or has served;
        OWNED_BY_ANOTHER, if model or version are another specification's.
    StaleDecisionError
        AS_OF_BACKWARDS, MODEL_RETIRED, or DECISION_STALE if somebody else moved the alias meanwhile.
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
        lease=lease,
        pause=pause,
    )

    def choose(state: AuditState) -> Champion:
        require_active(state, registered_model)
        target = registry.version(registered_model, version)
        require_trained_by_owner(registry, registered_model, state, target)
        if trail_has_served(alias_log, state, version):
            raise move_refused(
                ReasonCode.RECORD_CONFLICT,
                f"{registered_model} version {version}",
                f"a version that {'serves' if version == state.champion else 'has served'} already",
                "a version that has not served yet",
                "roll the model back to it instead" if version != state.champion else "there is nothing to do",
            )
        # With allow_older a champion whose record cannot be read is no obstacle: it may be why somebody forces this.
        champion = None if allow_older or state.champion is None else registry.champion(registered_model)
        if champion is not None:
            require_not_older(target.candidate, champion)
        return target

    made = move(alias_log, "promoting", choose, reason=reason, forced=True, request=request)
    tags = registry.version_tags(registered_model, version) or {}
    verdict = tags.get("mlops.verdict", "")
    return PromotionRecord(
        model=registered_model,
        version=version,
        run_id=made.target.run_id,
        promoted=True,
        champion_version=version,
        previous_version=made.previous,
        as_of=made.target.candidate.as_of,
        verdict=Verdict(verdict) if verdict in set(Verdict) else Verdict.REJECT,
        reasons=(f"forced by {made.begun.by}: {made.begun.reason}",),
    )
