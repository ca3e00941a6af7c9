"""Where the events of an audit trail lead.

The trail decides, and the registry follows: aliases and status tags are what :func:`fold` makes of the events. An event
counts from the moment it is written, so `promoting` already names the new champion; `promoted` says that the alias
followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.ownership import SpecIdentity
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import Problem, ReasonCode

SERVED_STATUSES = frozenset({"champion", "previous", "archived", "rolled_back"})
"""Statuses of versions that have been champion: they come back by rollback, not by promoting them again."""
SUPERSEDED = "superseded"
"""Status of a version whose loop run was judged anew from other inputs: it was refused, or never promoted."""


@dataclass(frozen=True, kw_only=True)
class AuditState:
    """Where the events lead."""

    number: int = 0
    """Of the last event; 0 when there is none."""
    digest: str = ""
    """Of the last event."""
    champion: int | None = None
    line: tuple[int, ...] = ()
    """Versions that a rollback returns to one after the other, oldest first; the champion, if there is one, is last."""
    statuses: Mapping[int, str] = field(default_factory=dict)
    challenger: int | None = None
    retired: str | None = None
    """Why, since the model was retired."""
    promoted: frozenset[int] = frozenset()
    """Every version that a promotion made champion, and nobody's hand alone."""
    owners: tuple[SpecIdentity, ...] = ()
    """Whom the model belonged to, oldest first; the owner is last. None: nobody was written down."""
    unfinished: AuditEvent | None = None
    """A move whose end is not written."""
    before: AuditState | None = None
    """The state before the unfinished move."""

    @property
    def owner(self) -> SpecIdentity | None:
        """Whom the model belongs to."""
        return self.owners[-1] if self.owners else None

    @property
    def previous(self) -> int | None:
        """What a rollback returns to."""
        last = 1 if self.champion is None else 2
        return self.line[-last] if len(self.line) >= last else None

    @property
    def served(self) -> frozenset[int]:
        """Every version that has been champion."""
        return frozenset(version for version, status in self.statuses.items() if status in SERVED_STATUSES)

    @property
    def settled(self) -> AuditState:
        """The state before the unfinished move; itself, when there is none."""
        return self if self.before is None else self.before

    def without_champion(self) -> AuditState:
        """Return the state as it is when no version holds the alias `champion` any more."""
        return self if self.champion is None else _line(self, None, self.line[:-1])

    def without(self, deleted: Iterable[int]) -> AuditState:
        """Return the state as it is when these versions exist no more in the registry."""
        gone = set(deleted) - {self.champion}
        return _line(self, self.champion, tuple(version for version in self.line if version not in gone))


def fold(events: Iterable[AuditEvent]) -> AuditState:
    """Return the state that the events lead to.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> one = AuditEvent(number=1, before="", model="late", kind="promoting", at=at, by="user:ada", reason="better",
    ...                  version=1, decision="d", nonce="n")
    >>> state = fold([one])
    >>> state.champion, state.unfinished == one, state.statuses
    (1, True, {1: 'champion'})
    """
    state, last = AuditState(), None
    for event in events:
        state, last = after(state, event), event
    return state if last is None else replace(state, number=last.number, digest=last.digest)


def advance(state: AuditState, event: AuditEvent) -> AuditState:
    """Return the state after the event that was written in it."""
    return replace(after(state, event), number=event.number, digest=event.digest)


def after(state: AuditState, event: AuditEvent) -> AuditState:
    """Return the state after one more event; its number and digest are :func:`fold`'s to set."""
    return _owned(_MEANING[event.kind](state, event), event)


def broken_trail(
    found: str, fix: str = "find out who changed it; restore the tracking database from a backup"
) -> Problem:
    """Return the problem of a trail that cannot be trusted."""
    allowed = "the events as they were written, without gaps, each with the digest of the one before"
    return Problem(code=ReasonCode.AUDIT_BROKEN, field="audit trail", found=found, allowed=allowed, fix=fix)


def version_words(version: int | None) -> str:
    """Return a version in words.

    >>> version_words(3), version_words(None)
    ('version 3', 'no champion')
    """
    return "no champion" if version is None else f"version {version}"


# what each kind means ------------------------------------------------------------------------------------------------


def _line(state: AuditState, champion: int | None, line: tuple[int, ...], bad: int | None = None) -> AuditState:
    """Give every version of the line its status; those that left it are archived, and a `bad` one is rolled back.

    Only the ends of both lines are looked at, since the versions before them are archived already: a trail of many
    versions is read often.
    """
    fresh = dict(state.statuses)
    fresh |= {older: "archived" for older in (state.champion, state.previous) if older is not None}
    moved = replace(state, champion=champion, line=line)
    if moved.previous is not None:
        fresh[moved.previous] = "previous"
    if champion is not None:
        fresh[champion] = "champion"
    if bad is not None:
        fresh[bad] = "rolled_back"
    return replace(moved, statuses=fresh, challenger=None if state.challenger == champion else state.challenger)


def _promoting(state: AuditState, event: AuditEvent) -> AuditState:
    version = _version(event)
    older = state.line if version not in state.line else tuple(one for one in state.line if one != version)
    line = (*older, version)
    promoted = state.promoted | {version}
    return replace(_line(state, version, line), promoted=promoted, unfinished=event, before=state)


def _rolling_back(state: AuditState, event: AuditEvent) -> AuditState:
    version = _version(event)
    moved = _line(state, version, _back_to(state, version), bad=event.displaced)
    return replace(moved, unfinished=event, before=state)


def _back_to(state: AuditState, version: int) -> tuple[int, ...]:
    """Cut the line at the version, so that a second rollback goes further back and not to what was rolled back."""
    if version in state.line:
        return state.line[: state.line.index(version) + 1]
    return (*(state.line if state.champion is None else state.line[:-1]), version)


def _ended(state: AuditState, _: AuditEvent) -> AuditState:
    return replace(state, unfinished=None, before=None)


def _moved_by_hand(state: AuditState, event: AuditEvent) -> AuditState:
    """Somebody else moved the alias; a move that was unfinished came to nothing by it."""
    came_to_nothing = state.unfinished is not None
    if state.unfinished is not None and state.before is not None:
        failed = _version(state.unfinished)
        back = state.before
        state = replace(
            back,
            retired=state.retired,
            owners=state.owners,
            statuses={**back.statuses, failed: back.statuses.get(failed, "candidate")},
        )
    version = event.version
    if version == state.champion:
        return state
    if version is None:
        return _line(state, None, state.line if came_to_nothing else state.line[:-1])
    if version in state.line:
        return _line(state, version, _back_to(state, version))
    return _line(state, version, (*state.line, version))


def _registered(state: AuditState, event: AuditEvent) -> AuditState:
    version, status = _version(event), event.status or "candidate"
    statuses, challenger = dict(state.statuses), state.challenger
    if status == "challenger":
        if challenger is not None:
            statuses[challenger] = "candidate"
        challenger = version
    elif challenger == version:
        challenger = None
    return _aside(state, replace(state, statuses={**statuses, version: status}, challenger=challenger))


def _declined(state: AuditState, event: AuditEvent) -> AuditState:
    return _registered(state, replace(event, status="declined"))


def _superseded(state: AuditState, event: AuditEvent) -> AuditState:
    return _registered(state, replace(event, status=SUPERSEDED))


def _aside(state: AuditState, now: AuditState) -> AuditState:
    """Keep what did not move the champion also when the unfinished move comes to nothing."""
    if now.before is None:
        return now
    changed = {version: status for version, status in now.statuses.items() if state.statuses.get(version) != status}
    before = replace(
        now.before,
        statuses={**now.before.statuses, **changed},
        challenger=now.challenger if now.challenger != state.challenger else now.before.challenger,
    )
    return replace(now, before=before)


def _retired(state: AuditState, event: AuditEvent) -> AuditState:
    return replace(state, retired=event.reason or "retired")


def _unretired(state: AuditState, _: AuditEvent) -> AuditState:
    return replace(state, retired=None)


def _told(state: AuditState, _: AuditEvent) -> AuditState:
    """Something is written down that moves nothing: rows were released, rules changed, the owner is another one."""
    return state


def _owned(state: AuditState, event: AuditEvent) -> AuditState:
    """The first specification that is named owns the model, until it is handed over."""
    named, standing = event.specification, state.owner
    if named is None or named == standing:
        return state
    if standing is None or event.kind == "handed_over":
        return replace(state, owners=(*state.owners, named))
    if named.is_same(standing) and named.owner:  # now it is known who answers for it
        return replace(state, owners=(*state.owners[:-1], named))
    return state


def _version(event: AuditEvent) -> int:
    if event.version is None:
        raise RecordError(broken_trail(f"event {event.number}, {event.kind}, names no version"))
    return event.version


_MEANING: Mapping[str, Callable[[AuditState, AuditEvent], AuditState]] = {
    "promoting": _promoting,
    "promoted": _ended,
    "registered": _registered,
    "declined": _declined,
    "superseded": _superseded,
    "rolling_back": _rolling_back,
    "rolled_back": _ended,
    "moved_by_hand": _moved_by_hand,
    "retired": _retired,
    "unretired": _unretired,
    "released": _told,
    "adopted": _told,
    "handed_over": _told,
    "rules_changed": _told,
}


def no_trail(model: str) -> RecordError:
    """Return the refusal of a model that has no audit trail."""
    return RecordError(
        Problem(
            code=ReasonCode.NO_CHAMPION,
            field=model,
            found="no audit trail: nothing that happened was ever written down under this name",
            allowed="a model that the loop registered",
            fix="the first run of its train DAG writes it when it has trained: wait for it, or look in Airflow at why "
            "it failed; else look for a misspelt name: airflow mlops status lists the models",
        )
    )
