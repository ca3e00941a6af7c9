"""The audit trail as a hash chain: how its events follow from one another, are checked, and are exported."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion.audit_state import AuditState, after, broken_trail, version_words
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.core.text import one_line
from airflow_mlops.spec.problems import Problem

MOVES = {"promoting": "promoted", "rolling_back": "rolled_back"}
"""What is written before the alias moves, and after."""
_MOST_PEOPLE = 8
LONGEST_REASON, _BY = 1000, 250
"""Longest texts, in characters: an event must fit into one value of the store."""


def following(state: AuditState, *, reason: str, by: str, nonce: str = "", **fields: Any) -> AuditEvent:
    """Return the event that would be next. Texts are shortened, and lose what cannot be stored."""
    people = [
        replace(person, name=one_line(person.name, _BY), host=one_line(person.host, _BY))
        for person in fields.pop("people", ())[:_MOST_PEOPLE]
    ]
    return AuditEvent(
        people=tuple(people),
        number=state.number + 1,
        before=state.digest,
        reason=one_line(reason, LONGEST_REASON),
        by=one_line(by, _BY),
        nonce=nonce or secrets.token_hex(8),
        **fields,
    )


def ending(events: Sequence[AuditEvent], begun: AuditEvent) -> AuditEvent | None:
    """Return the event that ended a move: `promoted`, `rolled_back`, or `moved_by_hand` when it came to nothing."""
    ends = (MOVES[begun.kind], "moved_by_hand")
    return next((event for event in events[begun.number :] if event.kind in ends), None)


def require_whole(events: Sequence[AuditEvent], model: str) -> None:
    """Refuse a trail in which an event is missing, changed, or of another model.

    Raises
    ------
    RecordError
        AUDIT_BROKEN, for each broken place.
    """
    problems = list(_breaks(events, model))
    if problems:
        raise RecordError(problems, subject=f"audit trail of {model}")


def to_lines(events: Iterable[AuditEvent]) -> str:
    """Return the events as JSON lines, for a file that can be verified anywhere."""
    return "".join(json.dumps(event.to_json(), ensure_ascii=False, separators=(",", ":")) + "\n" for event in events)


def from_lines(text: str) -> tuple[AuditEvent, ...]:
    """Read what :func:`to_lines` wrote.

    Raises
    ------
    RecordError
        If a line is not an event.
    """
    return tuple(AuditEvent.from_json(line) for line in text.split("\n") if line.strip())


def verify_lines(text: str, model: str = "") -> tuple[Problem, ...]:
    """Return what is wrong with an exported trail; nothing, when its chain is whole.

    A chain cannot show that its last events were cut off: compare its number and last digest with what you kept.

    Parameters
    ----------
    text
        What :func:`to_lines` returned.
    model
        Whose trail it should be; empty: of the model that its first event names.
    """
    try:
        events = from_lines(text)
    except RecordError as error:
        return error.problems
    if not events:
        return (broken_trail("no event: an exported trail has a line for each, and one at least", "export it again"),)
    return tuple(_breaks(events, model or events[0].model))


def trail_seal(events: Sequence[AuditEvent]) -> str:
    """Return how many events there are and the last digest: what to keep, to see later that none were cut off."""
    return f"{len(events)} events, last digest {events[-1].digest if events else 'none'}"


def _breaks(events: Sequence[AuditEvent], model: str) -> Iterator[Problem]:
    before, state = "", AuditState()
    for number, event in enumerate(events, 1):
        if event.number != number:
            yield broken_trail(f"event {event.number} where event {number} should be")
            return
        if event.before != before:
            yield broken_trail(f"event {number} does not follow from the event before it: its hash is another one")
        if event.model != model:
            yield broken_trail(f"event {number} of {event.model} in the trail of {model}")
        if (wrong := _out_of_turn(state, event)) is not None:
            yield broken_trail(f"event {number}, {event.kind}, {wrong}")
        before, state = event.digest, after(state, event)


def _out_of_turn(state: AuditState, event: AuditEvent) -> str | None:
    """What the protocol would never write."""
    stranger = event.specification
    if stranger is not None and event.kind != "handed_over" and state.owner and not state.owner.is_same(stranger):
        return f"is of {stranger.words}, but the model belonged to {state.owner.words}"
    if event.kind in MOVES:
        if state.unfinished is not None:
            return f"while event {state.unfinished.number} is unfinished"
        if event.displaced != state.champion:
            return f"displaces {version_words(event.displaced)}, but {version_words(state.champion)} was champion"
        if event.kind == "promoting" and event.decision is None and not event.forced:
            return "has no decision"
    if event.kind in MOVES.values():
        begun = state.unfinished
        if begun is None or MOVES[begun.kind] != event.kind or begun.version != event.version:
            return "ends a move that was not begun"
    return None
