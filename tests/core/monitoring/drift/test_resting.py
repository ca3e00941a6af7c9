"""What changes more slowly than the window is long cannot be judged by it, and that is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.monitoring.drift.columns import bare_column
from airflow_mlops.core.monitoring.drift.resting import resting_words, rests
from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.core.profiles.days import days_of
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Window

START = datetime(2024, 1, 10, tzinfo=UTC)
NAMES = ("month", "week", "weekday", "hour", "year", "amount", "rate", "shop")


def reference(days: int = 44, a_day: int = 48) -> Profile:
    """Calendar columns, and others, of so many days."""
    times = pd.Series(pd.date_range(START, periods=days * a_day, freq=timedelta(days=1) / a_day))
    rng, calendar = np.random.default_rng(1), times.dt.isocalendar()
    day = (times - times.iloc[0]).dt.days.to_numpy()
    frame = pd.DataFrame(
        {
            "month": times.dt.month.astype(float),
            "week": calendar["week"].astype(float),
            "weekday": times.dt.weekday.astype(str),
            "hour": times.dt.hour.astype(float),
            "year": times.dt.year.astype(float),
            "amount": rng.normal(size=len(times)),
            "rate": rng.normal(size=days)[day],
            "shop": rng.choice(list("abc"), len(times)),
        }
    )
    roles = [Feature(name=name, role="categorical" if name in {"weekday", "shop"} else "numeric") for name in NAMES]
    window = Window(start=START, end=START + timedelta(days=days))
    return build_profile("m", frame, roles, window, days=days_of(times, window))


@pytest.mark.parametrize(
    ("days", "names"),
    [(1, {"month", "week", "weekday", "rate"}), (7, {"month", "week"}), (14, {"month"}), (30, {"month"}), (60, set())],
)
def test_what_changes_at_most_once_in_a_window_cannot_be_judged(days: int, names: set[str]) -> None:
    profile = reference()
    assert {column.name for column in profile.columns if rests(column, profile, days)} == names


def test_months_are_found_in_a_reference_of_a_year_that_is_counted_by_weeks() -> None:
    profile = reference(days=350)
    assert {column.name for column in profile.columns if rests(column, profile, 7)} == {"month", "week"}


def test_a_reference_whose_days_were_not_counted_tells_nothing() -> None:
    profile = reference()
    bare = replace(profile, columns=tuple(replace(column, by_day=None) for column in profile.columns))
    assert not [column for column in bare.columns if rests(column, bare, 1)]


def test_the_sentence_names_what_is_not_in_drift_and_nothing_else() -> None:
    profile = reference()
    columns = [bare_column(one, "feature", 0.1, "ok", "") for one in profile.columns]
    (both,) = resting_words(profile, 7, columns)
    assert both.startswith("month, week: keep their values for as long as the window of 7 days: it cannot tell")
    drifting = [replace(one, verdict="drift") if one.column == "week" else one for one in columns]
    (one,) = resting_words(profile, 7, drifting)
    assert one.startswith("month: keeps its value for as long as the window of 7 days")
    assert list(resting_words(profile, 60, columns)) == []
