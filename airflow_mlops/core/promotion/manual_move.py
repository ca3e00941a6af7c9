"""What a person's moves of the champion have in common: rollback and override."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion.alias_log import CHAMPION, AliasLog
from airflow_mlops.core.promotion.audit_chain import ending
from airflow_mlops.core.promotion.audit_state import AuditState, fold
from airflow_mlops.core.promotion.checks import stale
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import Problem, ReasonCode


@dataclass(frozen=True, kw_only=True)
class ManualMove:
    """A move that was made."""

    begun: AuditEvent
    target: Champion
    previous: int | None
    """What a rollback returns to after it."""


def move(
    alias_log: AliasLog, kind: str, choose: Callable[[AuditState], Champion], *, reason: str, forced: bool, request: str
) -> ManualMove:
    """Make the version that `choose` returns champion, whatever the gate said.

    Parameters
    ----------
    choose
        Returns the target in a state, or refuses. It is asked again when somebody else was faster.
    request
        Names this wish, so that a task that is tried again finds what it did; empty: every call is a wish of its own.

    Raises
    ------
    StaleDecisionError
        DECISION_STALE, if somebody moved the alias meanwhile.
    """
    nonce = nonce_of(request) if request else secrets.token_hex(16)
    for _ in alias_log.tries():
        events, state = alias_log.settled(lambda event: event.nonce == nonce)
        begun = next((event for event in events if (event.kind, event.nonce) == (kind, nonce)), None)
        if begun is None:
            holder = alias_log.registry.alias(alias_log.model, CHAMPION)
            if holder != state.champion:
                alias_log.note_hand(state, holder)
                continue
            target = choose(state)
            alias_log.registry.require_intact(target.candidate)
            begun = alias_log.append(
                state,
                kind=kind,
                reason=reason,
                version=target.version,
                displaced=holder,
                forced=forced,
                nonce=nonce,
                model_digest=target.candidate.model_digest or None,
            )
            if begun is None:
                continue
            alias_log.finish(begun)
        return _made(alias_log, begun)
    raise alias_log.unfinished()


def nonce_of(request: str) -> str:
    """Return the nonce of the events of a named wish: whether they are in the trail says whether it was begun."""
    return hashlib.sha256(request.encode()).hexdigest()[:32]


def require_reason(reason: str, model: str) -> None:
    """Refuse to move a champion without saying why.

    Raises
    ------
    RecordError
        REASON_MISSING.
    """
    if not reason.strip():
        raise move_refused(
            ReasonCode.REASON_MISSING, model, "no reason", "a reason that others will understand", "give one"
        )


def move_refused(code: ReasonCode, field: str, found: str, allowed: str, fix: str) -> RecordError:
    """Return a refusal with one problem."""
    return RecordError(Problem(code=code, field=field, found=found, allowed=allowed, fix=fix))


def _made(alias_log: AliasLog, begun: AuditEvent) -> ManualMove:
    events = alias_log.trail.events(alias_log.model)
    end = ending(events, begun)
    if begun.version is None or end is None or end.kind == "moved_by_hand":
        why = "its end is not written" if end is None else end.reason
        raise stale(
            f"version {begun.version} did not become champion: {why}",
            "a champion that only the loop moves",
            "look at who serves now, then ask again if it is still what you want",
        )
    previous = alias_log.existing(fold(events[: begun.number])).previous
    return ManualMove(begun=begun, target=alias_log.registry.version(alias_log.model, begun.version), previous=previous)
