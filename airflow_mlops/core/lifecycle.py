"""The life of a registered model: taken out of use and back, finished where a move was left, and checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ledger import CHALLENGER, CHAMPION, LEASE, PREVIOUS, STATUS, Ledger
from airflow_mlops.core.moves import require_reason
from airflow_mlops.core.ports import Registry, Trail
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.core.trail_state import State, fold, named
from airflow_mlops.spec.problems import Problem, ReasonCode

RETIRED = "mlops.retired"
"""Tag of a registered model that is out of use: why."""


def retire(registry: Registry, trail: Trail, *, registered_model: str, by: str, reason: str, now: datetime) -> None:
    """Take a model out of use: nothing is promoted any more, and its DAGs find the tag. The champion stays.

    Raises
    ------
    RecordError
        REASON_MISSING, AUDIT_BROKEN, or NO_CHAMPION if there is no such registered model.
    """
    require_reason(reason, registered_model)
    desk = Ledger(registry=registry, trail=trail, model=registered_model, by=by, now=now)
    _set_retired(desk, "retired", reason)


def unretire(registry: Registry, trail: Trail, *, registered_model: str, by: str, reason: str, now: datetime) -> None:
    """Take a retired model back into use.

    Raises
    ------
    RecordError
        REASON_MISSING, AUDIT_BROKEN, or NO_CHAMPION if no version of such a model was ever registered by the loop.
    """
    require_reason(reason, registered_model)
    desk = Ledger(registry=registry, trail=trail, model=registered_model, by=by, now=now)
    _set_retired(desk, "unretired", reason)


def retired(registry: Registry, model: str) -> str | None:
    """Return why the model was retired; None when it is in use."""
    return registry.model_tags(model).get(RETIRED) or None


def finish_unfinished(
    registry: Registry,
    trail: Trail,
    *,
    registered_model: str,
    by: str,
    now: datetime,
    lease: timedelta = LEASE,
    pause: Callable[[float], None] = time.sleep,
) -> State:
    """Finish the move that a dead process left, once its lease is over; return the state then."""
    desk = Ledger(registry=registry, trail=trail, model=registered_model, by=by, now=now, lease=lease, pause=pause)
    return desk.settled(lambda _: False)[1]


def history(trail: Trail, model: str) -> tuple[AuditEvent, ...]:
    """Return every event of the model, oldest first.

    Raises
    ------
    RecordError
        AUDIT_BROKEN, if the trail is not whole.
    """
    return trail.events(model)


def no_trail(model: str) -> RecordError:
    """Return the refusal of a model that has no audit trail."""
    return RecordError(
        Problem(
            code=ReasonCode.NO_CHAMPION,
            field=model,
            found="no audit trail: nothing that happened was ever written down under this name",
            allowed="a model that the loop registered",
            fix="look for a misspelt name: airflow mlops status lists the models",
        )
    )


def verify(registry: Registry, trail: Trail, model: str) -> tuple[Problem, ...]:
    """Return what is wrong: with the chain of the trail, and where aliases and status tags are not what it says."""
    try:
        events = trail.events(model)
    except RecordError as error:
        return error.problems
    if not events:
        return ()
    state = fold(events)
    now = datetime.now().astimezone()
    state = Ledger(registry=registry, trail=trail, model=model, by="", now=now).existing(state)
    return (*_unfinished(state), *_aliases(registry, model, state), *_tags(registry, model, state))


def _unfinished(state: State) -> Iterator[Problem]:
    begun = state.unfinished
    if begun is not None:
        yield Problem(
            code=ReasonCode.PROMOTION_UNFINISHED,
            field=f"{begun.model}@{CHAMPION}",
            found=f"event {begun.number}, {begun.kind} of version {begun.version} by {begun.by}, without its end",
            allowed="an end to each move",
            fix="it is finished by the task that began it when it is tried again, or by the next promotion or rollback",
        )


def _aliases(registry: Registry, model: str, state: State) -> Iterator[Problem]:
    if state.unfinished is not None:
        return  # on their way
    expected = {CHAMPION: state.champion, PREVIOUS: state.previous, CHALLENGER: state.challenger}
    for alias, version in expected.items():
        holder = registry.alias(model, alias)
        by_hand = version is None and holder not in state.statuses and alias != CHAMPION
        if holder != version and not by_hand:
            yield Problem(
                code=ReasonCode.RECORD_CONFLICT,
                field=f"{model}@{alias}",
                found=named(holder) if alias == CHAMPION else (f"version {holder}" if holder else "no version"),
                allowed=f"{named(version) if alias == CHAMPION else (f'version {version}' if version else 'none')}, as "
                "the audit trail says",
                fix="somebody moved the alias by hand: put it back, or promote or roll back, which writes it down",
            )


def _tags(registry: Registry, model: str, state: State) -> Iterator[Problem]:
    if state.unfinished is not None:
        return
    for version, status in sorted(state.statuses.items()):
        tags = registry.version_tags(model, version)
        if tags is not None and tags.get(STATUS) != status:
            yield Problem(
                code=ReasonCode.RECORD_CONFLICT,
                field=f"{model} version {version}, tag {STATUS}",
                found=str(tags.get(STATUS)),
                allowed=f"{status}, as the audit trail says",
                fix="try the task again that was killed before it could set it, or set it by hand",
            )
    standing = retired(registry, model)
    if (standing is None) != (state.retired is None):
        yield Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field=f"{model}, tag {RETIRED}",
            found="a model in use" if standing is None else f"a retired model: {standing}",
            allowed="a model in use" if state.retired is None else f"a retired model: {state.retired}",
            fix="retire it, or take it back into use, by the command and not by hand",
        )


def _set_retired(desk: Ledger, kind: str, reason: str) -> None:
    wanted = kind == "retired"
    for _ in desk.tries():
        events = desk.events()
        state = fold(events)
        if not events and not wanted:
            raise no_trail(desk.model)
        if (state.retired is not None) == wanted or desk.append(state, kind=kind, reason=reason) is not None:
            break
    else:
        raise desk.unfinished()
    for _ in desk.tries():  # whoever writes last has also read what stands
        state = fold(desk.events())
        desk.registry.tag_model(desk.model, {RETIRED: state.retired or ""})
        if fold(desk.events()).retired == state.retired:
            return
    raise desk.unfinished()
