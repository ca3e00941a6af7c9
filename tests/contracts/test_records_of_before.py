"""What was written before is read: one record of every kind, with all fields filled, written by commit 4c76fb9.

That is the commit before the modules of `core` moved to their stages. The files are data of that day and are never
written anew: a record whose format changes keeps its file, reads it with `Record.upgrade`, and gets a second file.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from airflow_mlops.core.records.base import Record
from tests.contracts.test_records import KNOWN, RECORDS

HERE = Path(__file__).parent / "records_of_before"
WRITTEN = {path.stem: path for path in sorted(HERE.glob("*.json"))}
LATER = {path.stem: path for path in sorted(HERE.with_name("records_of_later").glob("*.json"))}
"""Kinds that 4c76fb9 did not know. Their first file is written by the commit that brings them, in a folder beside."""
GROWN: dict[str, dict[str, object]] = {
    "DriftReport": {"quarantined": []},
    "Snapshot": {"quarantined": [], "quarantined_rows": 0},
}
"""Fields that a later format added, with what they are in a record written before."""
HOLDS = {"Trained": {"snapshot": "Snapshot"}, "Watched": {"drift": "DriftReport"}}
"""Records that hold such a one, and where."""

EVERY: dict[str, type[Record]] = {
    **{cls.__name__: cls for cls in RECORDS},
    "LoopEvent": import_module("airflow_mlops.notifications.event").LoopEvent,
}


def test_there_is_a_file_for_every_kind() -> None:
    assert set(WRITTEN) | set(LATER) == KNOWN | {"LoopEvent"} == set(EVERY)
    assert not set(WRITTEN) & set(LATER)


@pytest.mark.parametrize("kind", sorted(LATER))
def test_one_that_came_later_is_read_and_written_again_as_it_was(kind: str) -> None:
    text = LATER[kind].read_text()
    assert all(value is not None for value in json.loads(text).values()), "every field is filled"
    assert EVERY[kind].from_json(text).to_text() == text


@pytest.mark.parametrize("kind", sorted(WRITTEN))
def test_it_is_read_and_written_again_as_it_was(kind: str) -> None:
    text = WRITTEN[kind].read_text()
    body = json.loads(text)
    assert body["kind"] == kind
    assert all(value is not None for value in body.values()), "every field is filled"
    record = EVERY[kind].from_json(text)
    assert type(record) is EVERY[kind]
    if kind in GROWN:
        assert body["format"] < EVERY[kind].FORMAT
        assert record.to_json() == {**body, "format": EVERY[kind].FORMAT, **GROWN[kind]}
        return
    assert body["format"] == EVERY[kind].FORMAT, "a new format writes another text: keep this file, compare the upgrade"
    for part, grown in HOLDS.get(kind, {}).items():
        body[part] |= GROWN[grown]
    assert record.to_json() == body
    if kind not in HOLDS:
        assert record.to_text() == text
