"""Back to a version that served before, or on to one that the gate refused: what a person may decide, written down."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from airflow_mlops.core.ports import AuditTrail, Registry
from airflow_mlops.core.promotion.alias_log import CHAMPION, LEASE, PREVIOUS, STATUS_TAG, AliasLog
from airflow_mlops.core.promotion.audit_state import SERVED_STATUSES, AuditState, fold
from airflow_mlops.core.promotion.manual_move import move, move_refused
from airflow_mlops.core.promotion.ownership import open_own_log, require_owner, require_trained_by_owner
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.evidence import ServingReport
from airflow_mlops.core.records.ownership import SpecIdentity
from airflow_mlops.core.records.people import Person
from airflow_mlops.core.records.promotion import Rollback
from airflow_mlops.spec.problems import ReasonCode


def rollback(
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    by: str,
    reason: str,
    now: datetime,
    to: int | None = None,
    serving: ServingReport | None = None,
    force: bool = False,
    request: str = "",
    specification: SpecIdentity | None = None,
    people: tuple[Person, ...] = (),
    lease: timedelta = LEASE,
    pause: Callable[[float], None] = time.sleep,
) -> Rollback:
    """Make a version champion again.

    The displaced champion gets the status `rolled_back` and leaves the line of versions to return to, so a second
    rollback goes further back, and never to what was just rolled back.

    Parameters
    ----------
    registry, trail, registered_model, by, people, now, lease, pause
        As for :func:`airflow_mlops.core.promotion.promote.promote`.
    reason
        Why, for those who read the trail later.
    to
        A version that has served; None: the one under `previous`.
    serving
        What a fresh interpreter saw of exactly that version's model; None: not checked.
    force
        Also a version of the loop that never served.
    request
        Names this wish, `<dag_id>/<run_id>/<task_id>`: done again with the same name, it returns what was done then.
    specification
        For which specification; the registered model must be its own. None: a person names none.

    Returns
    -------
    Rollback
        What serves now, and what the next rollback would return to.

    Raises
    ------
    RecordError
        NOTHING_TO_ROLL_BACK_TO, VERSION_MISSING, CHAMPION_UNREADABLE (no readable training record), SERVING_FAILED or
        SERVING_DIFFERS, REASON_MISSING, AUDIT_BROKEN; OWNED_BY_ANOTHER, if model or version are another
        specification's. The champion is untouched.
    StaleDecisionError
        DECISION_STALE, if somebody else moved the alias meanwhile.
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
        found = _target(alias_log, state, to, force=force)
        if serving is not None:
            _require_served_well(found, serving)
        return found

    made = move(alias_log, "rolling_back", choose, reason=reason, forced=force, request=request)
    return Rollback(
        model=registered_model,
        version=made.target.version,
        run_id=made.target.run_id,
        displaced=made.begun.displaced,
        previous_version=made.previous,
        as_of=made.target.candidate.as_of,
        by=made.begun.by,
        reason=made.begun.reason,
        forced=made.begun.forced,
    )


def rollback_target(
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    to: int | None = None,
    force: bool = False,
    specification: SpecIdentity | None = None,
) -> Champion:
    """Return the version that a rollback would make champion, to check it before; writes nothing.

    Raises
    ------
    RecordError
        As :func:`rollback`.
    """
    now = datetime.now().astimezone()
    require_owner(registry, trail, registered_model=registered_model, specification=specification)
    alias_log = AliasLog(registry=registry, trail=trail, model=registered_model, by="", now=now)
    events = trail.events(registered_model)
    state = fold(events)
    if not events:
        line = (registry.alias(registered_model, PREVIOUS), registry.alias(registered_model, CHAMPION))
        state = AuditState(champion=line[1], line=tuple(version for version in line if version is not None))
    if registry.alias(registered_model, CHAMPION) is None:
        state = state.without_champion()  # as the rollback itself will find it, and write it down
    return _target(alias_log, state, to, force=force)


def _target(alias_log: AliasLog, state: AuditState, to: int | None, *, force: bool) -> Champion:
    model = alias_log.model
    version = alias_log.existing(state).previous if to is None else to
    if version is None:
        raise move_refused(
            ReasonCode.NOTHING_TO_ROLL_BACK_TO,
            f"{model}@{PREVIOUS}",
            "no version that served before the champion",
            "a version to return to",
            "name a version",
        )
    if version == state.champion:
        raise move_refused(
            ReasonCode.NOTHING_TO_ROLL_BACK_TO,
            f"{model}@{CHAMPION}",
            f"version {version}, which serves already",
            "another version than the champion",
            "name another version",
        )
    found = alias_log.registry.version(model, version)
    if not force and not trail_has_served(alias_log, state, version):
        raise move_refused(
            ReasonCode.NOTHING_TO_ROLL_BACK_TO,
            f"{model} version {version}",
            "a version that has never served",
            "a version that has served",
            "name another version, or force it with a reason",
        )
    require_trained_by_owner(alias_log.registry, model, state, found)
    return found


def trail_has_served(alias_log: AliasLog, state: AuditState, version: int) -> bool:
    """Whether a version has served by the trail, or by its status; who a hand put under an alias has not."""
    status = (alias_log.registry.version_tags(alias_log.model, version) or {}).get(STATUS_TAG)
    return version in state.served or version in state.line or status in SERVED_STATUSES


def _require_served_well(target: Champion, serving: ServingReport) -> None:
    field = f"{target.model} version {target.version}"
    if serving.model_uri != target.model_uri:
        raise move_refused(
            ReasonCode.DECISION_MISMATCH,
            field,
            f"a serving check of {serving.model_uri}",
            f"one of {target.model_uri}",
            "check the version that is rolled back to",
        )
    if serving.failure is not None:
        raise move_refused(
            ReasonCode.SERVING_FAILED,
            field,
            serving.failure,
            "a model that a fresh interpreter can serve",
            "roll back to another version",
        )
    if not math.isfinite(serving.max_difference):
        raise move_refused(
            ReasonCode.SERVING_DIFFERS,
            field,
            "predictions that are missing or not finite",
            "the predictions that were recorded",
            "roll back to another version",
        )
