"""The trail of a model, read, verified and finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import AuditTrail, Registry
from airflow_mlops.core.promotion.alias_log import CHALLENGER, CHAMPION, LEASE, PREVIOUS, STATUS_TAG, AliasLog
from airflow_mlops.core.promotion.audit_state import AuditState, fold, version_words
from airflow_mlops.core.promotion.retire import RETIRED, retirement_tag
from airflow_mlops.core.promotion.serving_version import missing_champion
from airflow_mlops.core.records.ownership import OWNER_TAG
from airflow_mlops.core.records.people import Person
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import Problem, ReasonCode


def finish_unfinished(
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    by: str,
    now: datetime,
    people: tuple[Person, ...] = (),
    lease: timedelta = LEASE,
    pause: Callable[[float], None] = time.sleep,
) -> AuditState:
    """Finish the move that a dead process left, once its lease is over; return the state then."""
    alias_log = AliasLog(
        registry=registry, trail=trail, model=registered_model, by=by, now=now, people=people, lease=lease, pause=pause
    )
    return alias_log.settled(lambda _: False)[1]


def history(trail: AuditTrail, model: str) -> tuple[AuditEvent, ...]:
    """Return every event of the model, oldest first.

    Raises
    ------
    RecordError
        AUDIT_BROKEN, if the trail is not whole.
    """
    return trail.events(model)


def verify_trail(registry: Registry, trail: AuditTrail, model: str) -> tuple[Problem, ...]:
    """Return what is wrong: with the chain of the trail, with aliases and tags, and with the models that may serve.

    The stored model of the champion, of what a rollback returns to and of the challenger is downloaded, and compared
    with what was recorded of it when it was trained.
    """
    problems = list(verify_aliases(registry, trail, model))
    try:
        state = fold(trail.events(model))
    except RecordError:
        return tuple(problems)  # told already
    return (*problems, *_stored_models(registry, model, state))


def verify_aliases(registry: Registry, trail: AuditTrail, model: str) -> tuple[Problem, ...]:
    """Return what is wrong: with the chain of the trail, and where aliases and status tags are not what it says."""
    try:
        events = trail.events(model)
    except RecordError as error:
        return error.problems
    if not events:
        return ()
    state = fold(events)
    now = datetime.now().astimezone()
    state = AliasLog(registry=registry, trail=trail, model=model, by="", now=now).existing(state)
    return (*_unfinished(state), *_aliases(registry, model, state), *_tags(registry, model, state))


def _stored_models(registry: Registry, model: str, state: AuditState) -> Iterator[Problem]:
    for version in dict.fromkeys((state.champion, state.previous, state.challenger)):
        if version is None or registry.version_tags(model, version) is None:
            continue  # of a version that is gone, its alias tells
        try:
            registry.require_intact(registry.version(model, version).candidate)
        except RecordError as error:
            yield from error.problems


def _unfinished(state: AuditState) -> Iterator[Problem]:
    begun = state.unfinished
    if begun is not None:
        yield Problem(
            code=ReasonCode.PROMOTION_UNFINISHED,
            field=f"{begun.model}@{CHAMPION}",
            found=f"event {begun.number}, {begun.kind} of version {begun.version} by {begun.by}, without its end",
            allowed="an end to each move",
            fix="it is finished by the task that began it when it is tried again, or by the next promotion or rollback",
        )


def _aliases(registry: Registry, model: str, state: AuditState) -> Iterator[Problem]:
    if state.unfinished is not None:
        return  # on their way
    expected = {CHAMPION: state.champion, PREVIOUS: state.previous, CHALLENGER: state.challenger}
    if registry.alias(model, CHAMPION) is None and (missing := missing_champion(registry, model, state)) is not None:
        del expected[CHAMPION]
        yield missing
    for alias, version in expected.items():
        holder = registry.alias(model, alias)
        by_hand = version is None and holder not in state.statuses and alias != CHAMPION
        if holder != version and not by_hand:
            meant = version_words(version) if alias == CHAMPION else (f"version {version}" if version else "none")
            yield Problem(
                code=ReasonCode.RECORD_CONFLICT,
                field=f"{model}@{alias}",
                found=version_words(holder) if alias == CHAMPION else (f"version {holder}" if holder else "no version"),
                allowed=f"{meant}, as the audit trail says",
                fix="somebody moved the alias by hand: put it back, or promote or roll back, which writes it down",
            )


def _tags(registry: Registry, model: str, state: AuditState) -> Iterator[Problem]:
    if state.unfinished is not None:
        return
    for version, status in sorted(state.statuses.items()):
        tags = registry.version_tags(model, version)
        if tags is not None and tags.get(STATUS_TAG) != status:
            yield Problem(
                code=ReasonCode.RECORD_CONFLICT,
                field=f"{model} version {version}, tag {STATUS_TAG}",
                found=str(tags.get(STATUS_TAG)),
                allowed=f"{status}, as the audit trail says",
                fix="try the task again that was killed before it could set it, or set it by hand",
            )
    owner, tagged = state.owner, registry.model_tags(model).get(OWNER_TAG)
    if owner is not None and tagged != owner.to_text():
        yield Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field=f"{model}, tag {OWNER_TAG}",
            found=str(tagged),
            allowed=f"{owner.to_text()}, as the audit trail says",
            fix="somebody changed the tag by hand, which changes nothing; the next promotion puts it right",
        )
    standing = retirement_tag(registry, model)
    if (standing is None) != (state.retired is None):
        yield Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field=f"{model}, tag {RETIRED}",
            found="a model in use" if standing is None else f"a retired model: {standing}",
            allowed="a model in use" if state.retired is None else f"a retired model: {state.retired}",
            fix="retire it, or take it back into use, by the command and not by hand",
        )
