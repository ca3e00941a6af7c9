"""How the alias moves: a write-ahead log over the audit trail, safe against crashes and against others who do the same.

Whoever writes `promoting` or `rolling_back` at the next free number has won; everybody else reads again and decides
anew. From there every step can be done again by anybody, until `promoted` or `rolled_back` is written:

1. alias `previous` := what the move displaces;
2. alias `champion` := the version, read back;
3. alias `challenger` removed, if it was one of the versions involved; the tag `mlops.status` of the versions involved;
4. the event that ends the move.

docs/decisions/0007 says what happens when its holder dies, and what an alias without compare-and-swap leaves open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import AuditTrail, Registry
from airflow_mlops.core.promotion.audit_chain import MOVES, ending, following
from airflow_mlops.core.promotion.audit_state import AuditState, fold, version_words
from airflow_mlops.core.records.people import Person
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import Problem, ReasonCode

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
STATUS_TAG = "mlops.status"
LEASE = timedelta(seconds=60)
"""So long others wait for the holder of an unfinished move, before they finish it in its place."""
_TRIES = 200
"""Times that others may be faster, before it is called a failure: each of them is somebody's progress."""
_POLL = 0.5
"""Seconds between two looks at a move that somebody else is making."""


@dataclass(kw_only=True)
class AliasLog:
    """One caller's view of a model's trail and aliases."""

    registry: Registry
    trail: AuditTrail
    model: str
    by: str
    now: datetime
    people: tuple[Person, ...] = ()
    """Who stands behind `by`; each event that is written here names them."""
    lease: timedelta = LEASE
    pause: Callable[[float], None] = time.sleep
    born: float = field(default_factory=time.monotonic)

    def events(self) -> tuple[AuditEvent, ...]:
        """Return the trail; of a model that had a champion before its trail began, that is written down first."""
        for _ in self.tries():
            events = self.trail.events(self.model)
            champion = None if events else self.registry.alias(self.model, CHAMPION)
            if champion is None:
                return events
            self._begin(champion)
        raise self.unfinished()

    def append(self, state: AuditState, *, kind: str, reason: str, **fields: Any) -> AuditEvent | None:
        """Write the next event; None when somebody else wrote there first, and everything must be looked at anew."""
        at = self.now + timedelta(seconds=time.monotonic() - self.born)
        fields.setdefault("people", self.people)
        event = following(state, model=self.model, kind=kind, at=at, by=self.by, reason=reason, **fields)
        return event if self.trail.append(self.model, event) else None

    def settled(self, mine: Callable[[AuditEvent], bool]) -> tuple[tuple[AuditEvent, ...], AuditState]:
        """Return trail and state when nobody's move is unfinished: one's own is finished, another's waited for."""
        for _ in self.tries():
            events = self.events()
            state = fold(events)
            begun = state.unfinished
            if begun is None:
                return events, state
            if mine(begun) or self._holder_is_gone(begun):
                self.finish(begun)
        raise self.unfinished()

    def note_hand(self, state: AuditState, holder: int | None) -> AuditEvent | None:
        """Write down that somebody moved the alias past the trail."""
        before, after = version_words(state.champion), version_words(holder)
        reason = f"the alias champion was moved outside the loop, from {before} to {after}"
        return self.append(state, kind="moved_by_hand", version=holder, displaced=state.champion, reason=reason)

    def finish(self, begun: AuditEvent) -> AuditEvent:
        """Make the registry what an unfinished move says, and write its end; return that.

        The end is `moved_by_hand` when the version was deleted meanwhile, or somebody moved the alias elsewhere: the
        move was decided against a champion that serves no more, and comes to nothing.
        """
        wrote = False
        for _ in self.tries():
            events = self.trail.events(self.model)
            end = ending(events, begun)
            if end is not None:
                break
            state = fold(events)
            wrong = self._obstacle(begun)
            if wrong is not None:
                holder, reason = wrong
                self.append(state, kind="moved_by_hand", version=holder, displaced=begun.displaced, reason=reason)
                continue
            wrote = True
            if self._follow(events, state) and (end := self._end(state, begun)) is not None:
                # Nobody wrote an event between our reading and this one: all that we did, we did while it was ours.
                return end
        else:
            raise self.unfinished()
        if wrote or end.kind == "moved_by_hand":
            self._make_good(begun)
        return end

    def follow_challenger(self, version: int) -> None:
        """Give a version that does not serve its status, and the alias `challenger` to who the trail says."""
        for _ in self.tries():
            events = self.trail.events(self.model)
            state, holder = self._waiting(fold(events)), self.registry.alias(self.model, CHALLENGER)
            if state.challenger is not None and holder != state.challenger:
                self.registry.set_alias(self.model, CHALLENGER, state.challenger)
            elif state.challenger is None and holder == version:
                self.registry.delete_alias(self.model, CHALLENGER)
            older = {event.version for event in events if event.status == CHALLENGER}
            self._tag(state, {version} | {number for number in older if state.statuses.get(number or 0) == "candidate"})
            if len(self.trail.events(self.model)) == len(events):
                return
        raise self.unfinished()

    def tries(self) -> range:
        """Return how often to try before giving up."""
        return range(_TRIES)

    def unfinished(self) -> RecordError:
        """Return the refusal for a trail that never comes to rest."""
        return RecordError(
            Problem(
                code=ReasonCode.PROMOTION_UNFINISHED,
                field=f"{self.model}@{CHAMPION}",
                found=f"others were faster {_TRIES} times, or the alias changes back whenever it is set",
                allowed="one after the other",
                fix="find out who else moves the alias or writes the trail, then try again",
            )
        )

    # -----------------------------------------------------------------------------------------------------------------

    def _begin(self, champion: int) -> None:
        """Write down who stood before the trail. Killed between the two, the champion counts as moved by hand."""
        previous, state = self.registry.alias(self.model, PREVIOUS), AuditState()
        if previous not in (None, champion):
            reason = "was the version to roll back to before this audit trail began"
            first = self.append(state, kind="moved_by_hand", version=previous, reason=reason)
            if first is None:
                return
            state = fold([first])
        reason = "was champion before this audit trail began"
        self.append(state, kind="moved_by_hand", version=champion, displaced=state.champion, reason=reason)

    def _holder_is_gone(self, begun: AuditEvent) -> bool:
        """Wait for the holder of a move; True when the lease is over and the move still open.

        Clocks of two machines may differ, so a lease is also over when the move stood still for that long before our
        eyes. To finish a move whose holder is alive after all does no harm: see the module.
        """
        waited = time.monotonic()
        while True:
            since = max((self.now - begun.at).total_seconds() + time.monotonic() - self.born, time.monotonic() - waited)
            if since >= self.lease.total_seconds():
                return True
            self.pause(_POLL)
            if ending(self.trail.events(self.model), begun) is not None:
                return False

    def _obstacle(self, begun: AuditEvent) -> tuple[int | None, str] | None:
        """Return who serves and why the move cannot be made; None when it can."""
        expected = (begun.displaced, begun.version)
        holder = self.registry.alias(self.model, CHAMPION)
        if holder not in expected:
            self.pause(_POLL)  # a holder who was paused too long puts right what it overwrote: give it the time
            holder = self.registry.alias(self.model, CHAMPION)
        if holder not in expected:
            return holder, (
                f"the alias champion was moved outside the loop, to {version_words(holder)}, while version "
                f"{begun.version} was to displace {version_words(begun.displaced)}"
            )
        if begun.version is None or self.registry.version_tags(self.model, begun.version) is None:
            serves = None if holder == begun.version else holder
            return serves, f"version {begun.version} was deleted before it served"
        return None

    def _follow(self, events: Sequence[AuditEvent], state: AuditState) -> bool:
        """Make aliases and statuses what the state says; False when the alias does not stay where it was put."""
        state = self.existing(state)
        assert state.champion is not None  # noqa: S101 - a move has a version
        self._previous(state)
        if self.registry.alias(self.model, CHAMPION) != state.champion:
            if len(self.trail.events(self.model)) != len(events):
                return False  # we slept: look again before the write that counts
            self.registry.set_alias(self.model, CHAMPION, state.champion)
            if self.registry.alias(self.model, CHAMPION) != state.champion:
                return False
        concerned = _concerned(events, state)
        challenger = self.registry.alias(self.model, CHALLENGER)
        if challenger is not None and challenger != state.challenger and challenger in concerned:
            self.registry.delete_alias(self.model, CHALLENGER)
        self._tag(state, concerned)
        return True

    def _end(self, state: AuditState, begun: AuditEvent) -> AuditEvent | None:
        other = "" if begun.by == self.by else f"finished in the place of {begun.by}, whose lease was over: "
        return self.append(
            state,
            kind=MOVES[begun.kind],
            reason=f"{other}{begun.reason}",
            version=begun.version,
            displaced=begun.displaced,
            decision=begun.decision,
            approval=begun.approval,
            forced=begun.forced,
            nonce=begun.nonce,
        )

    def _make_good(self, begun: AuditEvent) -> None:
        """Put right what we may have written after the move was no longer ours.

        Only what we may have written ourselves: an alias that is elsewhere was set by somebody after us. Done until
        the trail stands still, so that the last to write has also read what stands.
        """
        for _ in self.tries():
            events = self.trail.events(self.model)
            state = self.existing(fold(events))
            if self.registry.alias(self.model, CHAMPION) == begun.version != state.champion:
                self._champion(state)
            self._previous(state)
            self._tag(state, _concerned(events, state) | {begun.version, begun.displaced})
            if len(self.trail.events(self.model)) == len(events):
                return
        raise self.unfinished()

    def _champion(self, state: AuditState) -> None:
        if state.champion is None:
            self.registry.delete_alias(self.model, CHAMPION)
        elif self.registry.version_tags(self.model, state.champion) is not None:
            self.registry.set_alias(self.model, CHAMPION, state.champion)

    def _previous(self, state: AuditState) -> None:
        standing = self.registry.alias(self.model, PREVIOUS)
        if standing == state.previous:
            return
        if state.previous is not None:
            self.registry.set_alias(self.model, PREVIOUS, state.previous)
        elif standing in state.statuses:
            self.registry.delete_alias(self.model, PREVIOUS)

    def existing(self, state: AuditState) -> AuditState:
        """Leave out versions to roll back to, and a challenger, that were deleted."""
        while state.previous is not None and self.registry.version_tags(self.model, state.previous) is None:
            state = state.without({state.previous})
        return self._waiting(state)

    def _waiting(self, state: AuditState) -> AuditState:
        """Leave out a challenger that was deleted: its alias cannot be put back, and need not."""
        if state.challenger is None or self.registry.version_tags(self.model, state.challenger) is not None:
            return state
        return replace(state, challenger=None)

    def _tag(self, state: AuditState, versions: Iterable[int | None]) -> None:
        for version in sorted({version for version in versions if version is not None}):
            status = state.statuses.get(version)
            if status is not None:
                tag(self.registry, self.model, version, {STATUS_TAG: status})


def tag(registry: Registry, model: str, version: int, tags: dict[str, str]) -> None:
    """Set the tags that differ; a version that somebody deleted needs none."""
    standing = registry.version_tags(model, version)
    if standing is not None:
        changed = {name: value for name, value in tags.items() if standing.get(name) != value}
        if changed:
            registry.tag_version(model, version, changed)


def _concerned(events: Sequence[AuditEvent], state: AuditState) -> set[int | None]:
    """Versions whose status may have changed since the last move ended: before it, they were put right by that one."""
    ends = [n for n, event in enumerate(events) if event.kind in MOVES.values()]
    since = ends[-1] + 1 if ends else 0
    before = fold(events[:since]).statuses
    changed = {version for version, status in state.statuses.items() if before.get(version) != status}
    return changed | {number for event in events[since:] for number in (event.version, event.displaced)}
