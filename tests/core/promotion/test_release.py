"""Releasing rows: written into the audit trail, and read from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.promotion import fold, release, released_spans, to_lines, verify_lines
from airflow_mlops.core.records.fault import ReleasedSpan
from airflow_mlops.spec.problems import ReasonCode
from tests.support.memory_registry import MODEL, NOW, MemoryRegistry, go

JUNE = datetime(2024, 6, 5, tzinfo=UTC)
SAID = {"registered_model": MODEL, "by": "user:ada", "now": NOW}


def test_what_was_released_is_read_from_the_trail_and_moves_nothing() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    before = fold(registry.events(MODEL))
    release(registry, registry, start=JUNE, end=JUNE + timedelta(days=3), reason="mended", **SAID)
    release(registry, registry, start=JUNE + timedelta(days=3), end=None, reason="cents from now on", **SAID)
    events = registry.events(MODEL)
    assert released_spans(events) == (
        ReleasedSpan(start=JUNE, end=JUNE + timedelta(days=3), reason="mended", by="user:ada"),
        ReleasedSpan(start=JUNE + timedelta(days=3), end=None, reason="cents from now on", by="user:ada"),
    )
    now = fold(events)
    assert (now.champion, now.line, now.statuses) == (before.champion, before.line, before.statuses)
    assert verify_lines(to_lines(events), MODEL) == ()


def test_events_of_other_kinds_keep_their_digests() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    event = registry.events(MODEL)[0]
    assert {"rows_from", "rows_until"}.isdisjoint(event.to_json())


def test_what_cannot_be_is_refused() -> None:
    registry = MemoryRegistry()
    with pytest.raises(RecordError) as unknown:
        release(registry, registry, start=JUNE, end=None, reason="x", **SAID)
    assert unknown.value.problems[0].code is ReasonCode.NO_CHAMPION
    go(registry, 1, None)
    with pytest.raises(RecordError) as unsaid:
        release(registry, registry, start=JUNE, end=None, reason=" ", **SAID)
    assert unsaid.value.problems[0].code is ReasonCode.REASON_MISSING
    with pytest.raises(RecordError, match="leave --to out"):
        release(registry, registry, start=JUNE, end=JUNE, reason="x", **SAID)
    with pytest.raises(DataError):
        release(registry, registry, start=JUNE.replace(tzinfo=None), end=None, reason="x", **SAID)
