"""The audit trail: what its events mean, that no change goes unseen, and that an export is the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion.audit_chain import (
    following,
    from_lines,
    require_whole,
    to_lines,
    trail_seal,
    verify_lines,
)
from airflow_mlops.core.promotion.audit_state import AuditState, fold
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import ReasonCode
from tests.support.memory_registry import MODEL, NOW


def trail_of(*steps: tuple[str, int | None] | tuple[str, int | None, str]) -> tuple[AuditEvent, ...]:
    """Events from kinds and versions; what they displace is the champion of then."""
    events: list[AuditEvent] = []
    for kind, version, *status in steps:
        state = fold(events)
        displaced = state.unfinished.displaced if state.unfinished else state.champion
        extra: dict[str, Any] = {"status": status[0]} if status else {}
        events.append(
            following(
                state,
                model=MODEL,
                kind=kind,
                at=NOW,
                by="user:ada",
                reason="because",
                version=version,
                displaced=displaced if "ro" in kind or kind == "moved_by_hand" else None,
                decision="d" * 64 if kind.startswith("promot") else None,
                **extra,
            )
        )
    require_whole(events, MODEL)
    return tuple(events)


def up(*versions: int) -> tuple[tuple[str, int], ...]:
    return tuple((kind, version) for version in versions for kind in ("promoting", "promoted"))


def back(version: int) -> tuple[tuple[str, int], ...]:
    return (("rolling_back", version), ("rolled_back", version))


def test_promotions_move_the_line_on() -> None:
    state = fold(trail_of(*up(1, 2, 3)))
    assert (state.champion, state.previous, state.line) == (3, 2, (1, 2, 3))
    assert state.statuses == {1: "archived", 2: "previous", 3: "champion"}


def test_a_second_rollback_goes_further_back_and_not_to_what_was_rolled_back() -> None:
    state = fold(trail_of(*up(1, 2, 3), *back(2)))
    assert (state.champion, state.previous) == (2, 1)
    assert state.statuses == {1: "previous", 2: "champion", 3: "rolled_back"}
    state = fold(trail_of(*up(1, 2, 3), *back(2), *back(1)))
    assert (state.champion, state.previous) == (1, None)
    assert state.statuses == {1: "champion", 2: "rolled_back", 3: "rolled_back"}


def test_after_a_rollback_the_next_champion_can_be_rolled_back_to_the_good_one() -> None:
    state = fold(trail_of(*up(1, 2, 3), *back(2), *up(4)))
    assert (state.champion, state.previous) == (4, 2)
    assert state.statuses[3] == "rolled_back"


def test_a_rollback_over_several_versions_leaves_those_between_out() -> None:
    state = fold(trail_of(*up(1, 2, 3, 4), *back(2)))
    assert (state.champion, state.previous) == (2, 1)
    assert state.statuses == {1: "previous", 2: "champion", 3: "archived", 4: "rolled_back"}


def test_what_was_rolled_back_may_be_returned_to_by_name() -> None:
    state = fold(trail_of(*up(1, 2), *back(1), *back(2)))
    assert (state.champion, state.previous) == (2, None)
    assert state.statuses == {1: "rolled_back", 2: "champion"}


def test_an_alias_that_was_deleted_by_hand_leaves_no_champion_and_a_way_back() -> None:
    state = fold(trail_of(*up(1, 2), ("moved_by_hand", None)))
    assert (state.champion, state.previous) == (None, 1)
    state = fold(trail_of(*up(1, 2), ("moved_by_hand", None), *up(3)))
    assert (state.champion, state.previous) == (3, 1)


def test_an_alias_that_was_moved_by_hand() -> None:
    on = fold(trail_of(*up(1, 2), ("moved_by_hand", 7)))
    assert (on.champion, on.previous, on.statuses[2]) == (7, 2, "previous")
    returned = fold(trail_of(*up(1, 2), ("moved_by_hand", 1)))
    assert (returned.champion, returned.previous, returned.statuses[2]) == (1, None, "archived")


@pytest.mark.parametrize(
    ("holder", "champion", "previous"), [(2, 2, 1), (7, 7, 2), (None, None, 2)], ids=["as-before", "other", "none"]
)
def test_a_move_that_came_to_nothing(holder: int | None, champion: int | None, previous: int) -> None:
    steps = (*up(1, 2), ("promoting", 3), ("registered", 4, "rejected"), ("moved_by_hand", holder))
    state = fold(trail_of(*steps))
    assert (state.champion, state.previous, state.unfinished) == (champion, previous, None)
    assert (state.statuses[3], state.statuses[4]) == ("candidate", "rejected")
    assert 3 not in state.served


def test_there_is_one_challenger() -> None:
    steps: list[Any] = [*up(1), ("registered", 2, "challenger"), ("registered", 3, "challenger")]
    state = fold(trail_of(*steps))
    assert (state.challenger, state.statuses[2], state.statuses[3]) == (3, "candidate", "challenger")
    assert fold(trail_of(*steps, ("declined", 3))).challenger is None
    assert fold(trail_of(*steps, *up(3))).challenger is None
    assert fold(trail_of(*steps, *up(2))).challenger == 3


def test_retired_until_it_is_taken_back() -> None:
    assert fold(trail_of(*up(1), ("retired", None))).retired == "because"
    assert fold(trail_of(*up(1), ("retired", None), ("unretired", None))).retired is None


def test_versions_that_were_deleted_are_no_way_back() -> None:
    state = fold(trail_of(*up(1, 2, 3))).without({2})
    assert (state.champion, state.previous) == (3, 1)
    assert state.statuses == {1: "previous", 2: "archived", 3: "champion"}


def whole_line(state: AuditState) -> dict[int, str]:
    """What the versions of the line are, by the words of the design and looking at every one of them."""
    named = dict.fromkeys(state.line, "archived")
    before = state.line[:-1] if state.champion is not None else state.line
    return named | dict.fromkeys(before[-1:], "previous") | {
        version: "champion" for version in (state.champion,) if version is not None
    }  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["up", "cut", "back", "hand", "none", "reject"]), st.integers(1, 9))))
def test_every_version_of_the_line_has_its_status_and_no_other_serves(wishes: list[tuple[str, int]]) -> None:
    steps: list[Any] = []
    for wish, version in wishes:
        state = fold(trail_of(*steps))
        fresh = version not in state.served
        if wish in {"up", "cut"} and fresh:
            steps += up(version) if wish == "up" else (("promoting", version), ("moved_by_hand", state.champion))
        elif wish == "back" and version in state.served and version != state.champion:
            steps += back(version)
        elif wish == "hand":
            steps.append(("moved_by_hand", version))
        elif wish == "none":
            steps.append(("moved_by_hand", None))
        elif wish == "reject" and fresh:
            steps.append(("registered", version, "rejected"))
        state = fold(trail_of(*steps))
        line = whole_line(state)
        assert {one: state.statuses[one] for one in state.line} == line
        serving = {one for one, status in state.statuses.items() if status in {"champion", "previous"}}
        assert serving <= set(line)
        assert state.previous == next((one for one, status in line.items() if status == "previous"), None)


EVENTS = trail_of(*up(1, 2), ("registered", 3, "rejected"), *back(1), ("retired", None))


def broken_codes(events: Any) -> set[ReasonCode]:
    with pytest.raises(RecordError) as error:
        require_whole(events, MODEL)
    return {problem.code for problem in error.value.problems}


@pytest.mark.parametrize("number", range(len(EVENTS) - 1))
def test_a_missing_event_is_seen(number: int) -> None:
    assert broken_codes(EVENTS[:number] + EVENTS[number + 1 :]) == {ReasonCode.AUDIT_BROKEN}


@settings(max_examples=60)
@given(
    number=st.integers(0, len(EVENTS) - 2),
    change=st.sampled_from(
        [("by", "user:eve"), ("reason", "other"), ("version", 9), ("displaced", 8), ("at", NOW.replace(year=2027)),
         ("decision", "e" * 64), ("approval", "e" * 64), ("forced", True), ("status", "x"), ("nonce", "x"),
         ("kind", "unretired"), ("model", "other"), ("before", "x"), ("number", 99)]
    ),
)  # fmt: skip
def test_a_changed_event_is_seen(number: int, change: tuple[str, Any]) -> None:
    events = list(EVENTS)
    events[number] = replace(events[number], **dict([change]))
    assert broken_codes(events) == {ReasonCode.AUDIT_BROKEN}


def test_exchanged_events_are_seen() -> None:
    assert broken_codes((EVENTS[1], EVENTS[0], *EVENTS[2:])) == {ReasonCode.AUDIT_BROKEN}


def forged(*events: AuditEvent) -> list[AuditEvent]:
    """Events whose chain somebody made whole again."""
    whole: list[AuditEvent] = []
    for number, event in enumerate(events, 1):
        whole.append(replace(event, number=number, before=whole[-1].digest if whole else ""))
    return whole


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (forged(EVENTS[0], EVENTS[2]), "while event 1 is unfinished"),
        (forged(EVENTS[0], EVENTS[1], replace(EVENTS[2], displaced=7)), "displaces version 7, but version 1"),
        (forged(EVENTS[1]), "ends a move that was not begun"),
        (forged(EVENTS[0], replace(EVENTS[1], version=7)), "ends a move that was not begun"),
        (forged(replace(EVENTS[0], decision=None)), "has no decision"),
        (forged(replace(EVENTS[0], version=None)), "names no version"),
    ],
)
def test_what_the_protocol_would_never_write_is_seen(events: list[AuditEvent], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        require_whole(events, MODEL)


def test_an_export_can_be_verified_anywhere() -> None:
    text = to_lines(EVENTS)
    assert from_lines(text) == EVENTS
    assert verify_lines(text) == ()
    assert verify_lines(text, MODEL) == ()
    assert {problem.code for problem in verify_lines(text, "other")} == {ReasonCode.AUDIT_BROKEN}
    assert {problem.code for problem in verify_lines("")} == {ReasonCode.AUDIT_BROKEN}
    assert trail_seal(EVENTS) == f"{len(EVENTS)} events, last digest {EVENTS[-1].digest}"
    assert [json.loads(line)["event"] for line in text.splitlines()] == [event.kind for event in EVENTS]
    lines = text.splitlines(keepends=True)
    for changed in (text.replace("user:ada", "user:eve", 1), "".join(lines[1:]), "".join(lines[:2] + lines[3:])):
        assert {problem.code for problem in verify_lines(changed)} == {ReasonCode.AUDIT_BROKEN}
    assert verify_lines(text[:-20])
    assert verify_lines("{}\n")


@settings(max_examples=100)
@given(reason=st.text(max_size=3000), by=st.text(max_size=400))
def test_any_text_becomes_an_event_that_can_be_stored(reason: str, by: str) -> None:
    event = following(AuditState(), model=MODEL, kind="retired", at=NOW, by=by, reason=reason)
    assert AuditEvent.from_json(event.to_text()) == event
    assert from_lines(to_lines([event])) == (event,)
    assert len(to_lines([event])) < 6000
    assert "\0" not in to_lines([event])
    to_lines([event]).encode()
