"""Decay against the promise: the verdict's error rates, windows that are too small or too late, and replays."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.performance import PerformanceReport
from tests.support.measured_model import P1, classified, live, made, unknown_because
from tests.support.served_model import (
    Says,
    day,
    days,
    served,
    spec_of,
)


def verdicts(count: int, wrong: float, spread: float = 0.0, **parts: Any) -> list[PerformanceReport]:
    """Fresh champions and fresh cohorts; days may differ, before and after alike."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(1000 + seed)

        def noisy(first: int, last: int, extra: float, base: int, rng: np.random.Generator = rng) -> pd.DataFrame:
            frame = classified(days(first, last), 80 * (last - first), rng, base)
            each = extra + spread * rng.random(last - first)
            number = (frame["t"] - pd.Timestamp(day(first))) // pd.Timedelta(days=1)
            flipped = rng.random(len(frame)) < each[number]
            return frame.assign(y=np.where(flipped, 1 - frame["y"], frame["y"]))

        spec = spec_of(gate={"champion": {"resamples": 200}}, **parts)
        one = served(spec, noisy(-14, 0, 0.0, 10**6), noisy(-20, -14, 0.0, 10**6), Says(), P1)
        frame = noisy(0, 14, wrong, 0)
        one.serve(days(0, 14), frame)
        found.append(one.perform(day(14)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "confidence"), [(0.0, 0.95), (0.2, 0.95), (0.2, 0.8)])
def test_nothing_changed_and_any_sure_drop_is_decay(spread, confidence):
    """With a bound of nothing, champions that have not changed are not called decayed, however days differ."""
    rule = {"performance": {"max_drop": 1e-9, "urgent_drop": 10.0, "estimate": False, "confidence": confidence}}
    found = verdicts(120, 0.0, spread, monitoring=rule)
    decayed = sum(report.verdict == "decay" for report in found)
    assert {report.verdict for report in found} <= {"decay", "ok"}
    assert len(found) == 120
    assert decayed <= stats.binom.ppf(0.999, 120, 0.01)  # one look at two weeks, of a level that is for a year of looks


@pytest.mark.slow
def test_the_default_bound_makes_false_alarms_rare_and_finds_what_matters():
    assert not any(
        report.verdict == "decay" for report in verdicts(30, 0.0, monitoring={"performance": {"estimate": False}})
    )
    lost = [
        sum(
            report.verdict == "decay" for report in verdicts(20, wrong, monitoring={"performance": {"estimate": False}})
        )
        for wrong in (0.12, 0.2)
    ]
    assert lost[0] >= 7, "of what is barely more than allowed, half is found in two weeks"
    assert lost[1] >= 19
    gone = verdicts(10, 0.5, monitoring={"performance": {"estimate": False}})
    assert all(report.urgent for report in gone)


@pytest.mark.parametrize("rows", [1, 2, 12])
def test_a_tiny_window_is_unknown(rows):
    one = made()
    live(one, 13, 14, rows=rows)
    unknown_because(one.perform(day(14)), "needed are 500")


def test_no_outcomes_for_months_is_unknown_and_estimated():
    one = made()
    rng = np.random.default_rng(5)
    for number in range(90):
        frame = classified(days(number, number + 1), 50, rng, 10_000 * number)
        one.serve(days(number, number + 1), frame, known=False)
    report = one.perform(day(90))
    unknown_because(report, "outcomes are known of 0.0% of the predictions")
    assert (report.coverage, report.predicted, report.matched) == (0.0, 700, 0)
    assert report.estimate.verdict == "ok"
    assert report.estimate.estimated.rows == 700
    assert report.estimate.error is None


def test_outcomes_that_come_late_are_unknown_until_half_are_there():
    one = made()
    rows = live(one, 0, 14)
    report = one.perform(day(14))
    assert report.verdict == "ok"
    one.store.parts.clear()
    one.store.add(rows.assign(y=rows["y"].astype(float).where(rows["t"] < day(6))))
    report = one.perform(day(14))
    unknown_because(report, "needed are 50%")
    assert report.matched == report.realised.rows == 600
    assert report.estimate.estimated.rows == 800
    assert report.estimate.error == pytest.approx(0.0, abs=0.06)


def test_a_replay_does_not_see_the_future():
    one = made()
    live(one, 0, 30)
    report = one.perform(day(20))
    assert report.problems == ()
    assert report.flow.newest <= day(20)
    assert all(window.end <= day(20) for window, _ in one.store.reads)


def test_no_time_zone_is_refused():
    with pytest.raises(DataError):
        made().perform(datetime(2024, 1, 15))
