"""Specifications that could never run are refused when they are read, with field and fix."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from croniter import croniter
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_mlops.spec import SpecError, parse_spec
from airflow_mlops.spec.value_checks import comes_between
from tests.spec.samples import RAW

DATA = RAW["data"]
HUGE = 10**23


def with_data(**parts: Any) -> dict[str, Any]:
    return {"data": {**DATA, **parts}}


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "a month as a minute": ({"schedule": "jan 0 * * *"}, "schedule"),
    "a day as an hour": ({"scoring": {"schedule": "0 mon * * *"}}, "scoring.schedule"),
    "a month as a day of the week": ({"monitoring": {"schedule": "0 0 * * feb"}}, "monitoring.schedule"),
    "30 February": ({"schedule": "0 0 30 2 *"}, "schedule"),
    "31 February": ({"scoring": {"schedule": "0 0 31 2 *"}}, "scoring.schedule"),
    "the 31st of short months": ({"schedule": "0 0 31 4,6,9,11 *"}, "schedule"),
    "the end of February, by a range": ({"schedule": "0 0 30-31 feb *"}, "schedule"),
    "a step without an end": ({"schedule": "*/99999 * * * *"}, "schedule"),
    "a schedule that never comes between its ends": (
        {"schedule": {"cron": "@monthly", "start": "2026-03-02", "end": "2026-03-31"}}, "schedule.cron",
    ),
    "more retries than a datetime holds": ({"execution": {"retries": HUGE}}, "execution.retries"),
    "retries below none": ({"execution": {"retries": -1}}, "execution.retries"),
    "truth as a number": ({"execution": {"retries": True}}, "execution.retries"),
    "truth as a share": ({"monitoring": {"drift": {"share": True}}}, "monitoring.drift.share"),
    "not a number": ({"gate": {"champion": {"margin": float("nan")}}}, "gate.champion.margin"),
    "infinite": ({"gate": {"absolute": [{"metric": "log_loss", "max": float("inf")}]}}, "gate.absolute.0.max"),
    "an infinite backoff": ({"retraining": {"backoff": float("inf")}}, "retraining.backoff"),
    "more rows than there are": ({"monitoring": {"drift": {"min_rows": HUGE}}}, "monitoring.drift.min_rows"),
    "more windows than years": ({"monitoring": {"drift": {"of": HUGE}}}, "monitoring.drift.of"),
    "more folds than rows": (
        {"training": {**RAW["training"], "search": {"folds": 10**9, "parameters": {"C": [1]}}}},
        "training.search.folds",
    ),
    "a duration of ages": (with_data(window="999999999999w"), "data.window"),
    "a negative duration": (with_data(window="-5d"), "data.window"),
    "a window of nothing": ({"scoring": {"window": "0d"}}, "scoring.window"),
    "a holdout longer than the window": ({"gate": {"holdout": "90d"}}, "data.window"),
    "the year 1": ({"schedule": {"cron": "@daily", "start": "0001-01-01", "timezone": "Asia/Tokyo"}}, "schedule.start"),
    "the year 9999": ({"schedule": {"cron": "@daily", "end": "9999-12-31"}}, "schedule.end"),
    "a key called prediction": (with_data(key="prediction"), "data.key"),
    "a key called after a probability": (with_data(key=["a", "probability_late"]), "data.key"),
    "a time called model_version": (with_data(time="model_version"), "data.time"),
    "the label as time": (with_data(time="late"), "data.label"),
    "the label as key": (with_data(key="late"), "data.key"),
    "the label as weight": (with_data(weight="late"), "data.weight"),
    "the label as feature": ({"features": {"numeric": ["late"]}}, "features.numeric"),
    "a feature twice": ({"features": {"numeric": ["a", "a"]}}, "features.numeric"),
    "a feature of two kinds": ({"features": {"numeric": ["a"], "categorical": ["a"]}}, "features.categorical"),
    "an excluded column twice": ({"features": {"exclude": ["a", "a"]}}, "features.exclude"),
    "a key twice": (with_data(key=["a", "a"]), "data.key"),
    "a parameter of more than 64 bits": (
        {"training": {**RAW["training"], "parameters": {"a": HUGE}}}, "training.parameters",
    ),
    "a parameter that is not a number": (
        {"training": {**RAW["training"], "parameters": {"a": [float("nan")]}}}, "training.parameters",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_it_is_refused_with_field_and_fix(what: str) -> None:
    parts, field = IMPOSSIBLE[what]
    with pytest.raises(SpecError) as caught:
        parse_spec({**RAW, **parts})
    assert [problem for problem in caught.value.problems if problem.field.startswith(field)], str(caught.value)
    assert all(problem.fix and problem.allowed for problem in caught.value.problems)


fields = st.tuples(
    *(
        st.sampled_from(
            [
                "*",
                "0",
                f"{low}",
                f"{high}",
                f"*/{high}",
                f"{low}-{high}",
                f"{low}-{high}/2",
                f"{low},{high}",
                word,
                "*/1",
                "*/2",
                "1-7",
            ]
        )
        for low, high, word in ((0, 59, "jan"), (0, 23, "mon"), (29, 31, "mon"), (2, 4, "feb"), (0, 7, "fri"))
    )
).map(" ".join)


@given(fields)
def test_every_schedule_that_is_taken_comes_and_the_others_never_do(cron: str) -> None:
    """Against croniter, which Airflow asks: it finds the next instant of each that is taken, and of no other."""
    start = datetime(2026, 1, 1)
    try:
        parse_spec({**RAW, "schedule": cron})
    except SpecError:
        with pytest.raises((ValueError, KeyError)):  # croniter's errors are ValueErrors
            croniter(cron, start).get_next(datetime)
    else:
        assert croniter(cron, start).get_next(datetime) > start


@given(fields, st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)), st.integers(0, 100_000))
@example("* * */31 * 0-7", datetime(2026, 1, 2), 0)
@example("* * 1 * 0-7", datetime(2026, 1, 2), 0)
@example("* * */31 * 1-7", datetime(2026, 1, 2), 0)
@example("* * 1-31 * */2", datetime(2026, 1, 2), 1_440)
def test_whether_a_schedule_comes_between_is_what_croniter_says(cron: str, start: datetime, minutes: int) -> None:
    try:
        parse_spec({**RAW, "schedule": cron})
    except SpecError:
        return
    start = start.replace(second=0, microsecond=0)
    end = start + timedelta(minutes=minutes)
    next_one = croniter(cron, start - timedelta(seconds=1)).get_next(datetime)
    assert comes_between(cron, start, end) == (next_one <= end)
