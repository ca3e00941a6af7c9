"""Which predictions of the score log count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.snapshot import Window
from tests.support.measured_model import classified, live, made, unknown_because
from tests.support.served_model import (
    MemoryStore,
    day,
    days,
)


def test_predictions_of_an_earlier_champion_are_left_out():
    one = made()
    rng = np.random.default_rng(1)
    for number in range(14):
        frame = classified(days(number, number + 1), 100, rng, 10_000 * number)
        one.serve(days(number, number + 1), frame, version=2 if number < 5 else None)
    report = one.perform(day(14))
    assert (report.predicted, report.matched, report.coverage) == (1400, 900, 1.0)
    assert report.realised.rows == 900


def test_the_same_number_of_another_registered_model_is_another_champion():
    one = made()
    live(one, 0, 14)
    other = replace(one, champion=replace(one.champion, run_id="another"))
    unknown_because(other.perform(day(14)), "none of 1,400 predictions")


def test_rows_that_the_champion_was_judged_on_are_no_evidence():
    one = made()
    rng = np.random.default_rng(1)
    for number in range(-7, 7):
        one.serve(days(number, number + 1), classified(days(number, number + 1), 100, rng, 10**5 + 1000 * number))
    report = one.perform(day(7))
    assert (report.predicted, report.matched) == (1400, 700)
    assert (
        "700 predictions are of rows that the champion was trained or judged on: they are left out" in report.problems
    )


def test_no_score_log_is_unknown():
    one = made()
    rng = np.random.default_rng(0)
    one.store.add(classified(days(0, 14), 500, rng))
    report = one.perform(day(14))
    unknown_because(report, "no prediction in")
    assert (report.predicted, report.matched, report.coverage, report.drop, report.realised) == (0, 0, 0.0, None, None)
    assert report.flow.rows == 500
    assert report.estimate is None
    assert PerformanceReport.from_json(report.to_json()) == report


def test_one_prediction_without_a_key_hides_no_other():
    one = made()
    rng = np.random.default_rng(5)
    for number in range(14):
        frame = classified(days(number, number + 1), 100, rng, 2**53 + 10_000 * number).astype({"id": "Int64"})
        frame.loc[0, "id"] = pd.NA
        one.serve(days(number, number + 1), frame)
    report = one.perform(day(14))
    assert (report.predicted, report.matched, report.verdict) == (1400, 1386, "ok")
    assert report.problems == ("14 rows of the source have no key",)


@pytest.mark.parametrize("key", [["machine", "t"], ["t", "machine"], ["machine", "t", "id"]])
def test_a_key_may_hold_the_event_time(key):
    """Panel data: a machine is observed again and again, and its observations are told apart by their time."""
    one = made(data={"key": key})
    rng = np.random.default_rng(7)
    for number in range(14):
        window = days(number, number + 1)
        frame = classified(window, 100, rng, 10_000 * number).assign(machine=np.arange(100) % 50)
        one.serve(window, frame)
        if number == 3:  # the same rows once more, in a window scored over them
            one.log(days(number - 1, number + 1), frame, at=day(20))
    report = one.perform(day(14))
    assert (report.predicted, report.matched, report.coverage, report.verdict) == (1400, 1400, 1.0, "ok")
    assert report.problems == ()


def test_event_times_that_moved_are_told():
    one = made()
    rows = live(one, 0, 14)
    one.store.parts.clear()
    moved = rows["t"] + pd.to_timedelta(np.where(np.arange(len(rows)) < 40, 1, 0), unit="s")
    one.store.add(rows.assign(t=moved))
    report = one.perform(day(14))
    assert report.matched == 1360
    assert "40 predictions have an outcome only at another event time: the source moved them" in report.problems
    assert "40 outcomes belong to no prediction" in report.problems


def test_clock_skew_is_told_and_changes_nothing():
    one = made()
    live(one, 0, 14)
    plain = one.perform(day(14))
    rng = np.random.default_rng(8)
    ahead = classified(days(14, 16), 60, rng, 10**6)
    one.log(days(14, 16), ahead, at=day(13.5))
    one.store.add(ahead)
    report = one.perform(day(14))
    told = "60 predictions are of event times after as-of, and were made before it: a clock is wrong"
    assert report.problems == (told,)
    assert replace(report, problems=()) == plain


def test_doubled_predictions_count_once():
    one = made()
    rows = live(one, 0, 13)
    last = classified(days(13, 14), 100, np.random.default_rng(9), 10**6)
    one.log(days(13, 14), pd.concat([last, last.iloc[:10]], ignore_index=True))
    one.store.add(last)
    report = one.perform(day(14))
    assert (report.predicted, report.matched) == (len(rows) + 100, len(rows) + 100)
    assert report.problems == ("10 predictions are of a row that another one is of: one counts",)


def test_rows_in_batches_are_the_same_rows():
    class Small(MemoryStore):
        def read(self, window: Window, time: str, columns: Any, *, chunk_rows: int = 50_000) -> Any:
            del chunk_rows
            return super().read(window, time, columns, chunk_rows=7)

    one = made()
    live(one, 0, 14)
    whole = one.perform(day(14))
    small = Small(parts=one.store.parts)
    assert replace(one, store=small).perform(day(14)) == whole
