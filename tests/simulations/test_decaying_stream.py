"""A silent decay is found before five points of accuracy are lost, and nothing is called decay before it begins."""

from __future__ import annotations

import pytest

from airflow_mlops.core.monitoring.performance.prepared import prepare
from tests.support.decaying_stream import AFTER, BEFORE, STABLE, accuracy, day, decaying, lived


def test_the_stream_is_what_it_says():
    made = decaying(3)
    assert made.champion.candidate.metrics["accuracy"] == pytest.approx(BEFORE, abs=0.01)
    assert [accuracy(number) for number in (-5, STABLE, STABLE + 60, STABLE + 120)] == pytest.approx(
        [BEFORE, BEFORE, (BEFORE + AFTER) / 2, AFTER]
    )


def test_decay_is_found_before_five_points_are_lost_and_never_before_it_begins():
    made = decaying()
    prepared = prepare(made.spec, made.champion, lambda: made.pipeline, made.storage, decision=made.decision)
    verdicts: dict[int, str] = {}
    for number in lived(made):
        verdicts[number] = made.perform(day(number + 1), prepared=prepared).verdict
        if verdicts[number] == "decay":
            break
    found = max(verdicts)
    assert verdicts[found] == "decay"
    assert set(list(verdicts.values())[: STABLE + 1]) == {"ok"}
    assert BEFORE - 0.05 < accuracy(found) < BEFORE
