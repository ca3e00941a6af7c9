"""The benchmark of refitting, in a few of its worlds."""

from __future__ import annotations

import warnings

import pytest

from benchmarks.refit import measure, replay, specified, world


def test_it_has_a_row_for_each_world_and_cadence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.refit.CADENCES", (28,))
    monkeypatch.setattr("benchmarks.refit.WORLDS", ("stable", "sudden"))
    table, figures = measure(worlds=1)
    assert len(table.rows) == len(figures["figures"]) == 2
    assert "28 days" in table.text()


def test_where_the_world_turns_slowly_newer_rows_lose_less() -> None:
    """A refit knows the rows of the last fortnight, and the direction turns by a degree a day."""
    spec = specified()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        losses = [
            [replay(world("gradual", seed), spec, 28, refitted=one)[0] for one in (False, True)] for seed in range(2)
        ]
    assert len(losses) == 2
    for plain, refitted in losses:
        assert refitted < 0.98 * plain
