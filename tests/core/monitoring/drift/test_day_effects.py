"""What days say of a column: against matrices written out, against draws, and at the edges."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from airflow_mlops.core.monitoring.drift.compare import compare
from airflow_mlops.core.monitoring.drift.day_effects import (
    LEAST_DAYS,
    DayTable,
    _moments,
    _quantiles,
    day_tests,
)
from airflow_mlops.core.monitoring.drift.observe import with_days_of
from airflow_mlops.core.monitoring.drift.significance import significance
from airflow_mlops.core.records.drift import ColumnDrift
from airflow_mlops.core.records.profile import DayCounts, Profile
from airflow_mlops.spec.monitoring import DriftSpec
from tests.support.streams import BEFORE, mixed, profile


def table(days: np.ndarray, now: np.ndarray, window: float = 7, reference: float | None = None) -> DayTable:
    return DayTable(days.sum(axis=0), now, days, window, len(days) if reference is None else reference)


def said_by_days(one: DayTable) -> tuple[float, float]:
    (found,) = day_tests([one])
    assert found is not None
    return found.p_value, found.design_effect


def binomial(rng: np.random.Generator, shares: np.ndarray, rows: int) -> np.ndarray:
    ones = rng.binomial(rows, shares)
    return np.stack([ones, rows - ones], axis=1).astype(float)


@pytest.mark.parametrize(("days", "block", "window", "reference"), [(44, 7, 7, 44), (44, 2, 2, 44), (30, 7, 21, 7)])
@pytest.mark.parametrize("alike", [0.0, 0.6, 0.9])
def test_moments_of_blocks_are_those_of_drawn_days(
    days: int, block: int, window: int, reference: int, alike: float
) -> None:
    rng = np.random.default_rng(0)
    draws = 20_000
    noise = rng.normal(size=(draws, days + window + reference))
    drawn = np.empty_like(noise)
    drawn[:, 0] = noise[:, 0]
    for day in range(1, noise.shape[1]):
        drawn[:, day] = alike * drawn[:, day - 1] + math.sqrt(1 - alike**2) * noise[:, day]
    own = drawn[:, :days]
    blocks = np.stack([own[:, i : i + block].mean(axis=1) for i in range(days - block + 1)], axis=1)
    squares = ((blocks - own.mean(axis=1)[:, None]) ** 2).mean(axis=1)
    far = [rng.permutation(drawn[:, -length:].mean(axis=1)) for length in (window, reference)]
    ratio, freedom = _moments(days, block, float(window), float(reference), alike)
    assert (far[0] - far[1]).var() / squares.mean() == pytest.approx(ratio, rel=0.05)
    assert 2 * squares.mean() ** 2 / squares.var() == pytest.approx(freedom, rel=0.1)


def test_of_disjoint_days_the_freedom_is_that_of_a_sample_variance() -> None:
    assert _moments(30, 1, 1.0, 30.0, 0.0) == pytest.approx(((1 + 1 / 30) / (1 - 1 / 30), 29))


def test_quantiles_have_the_mean_and_the_spread_of_chi_squared() -> None:
    assert _quantiles(19).mean() == pytest.approx(1, abs=0.005)
    assert _quantiles(19).var() == pytest.approx(2 / 19, rel=0.05)


def test_of_two_bins_with_many_rows_it_is_students_test_of_days() -> None:
    """With blocks of a day and rows without end, T is the squared difference of means, and days are all its chance."""
    rng = np.random.default_rng(4)
    shares = 0.5 + 0.02 * rng.normal(size=40)
    days = binomial(rng, shares, 10**7)
    now = np.array([0.56, 0.44]) * 10**7
    p, _ = said_by_days(table(days, now, window=1))
    own = days[:, 0] / days.sum(axis=1)
    student = stats.ttest_ind([0.56], own).pvalue
    assert p == pytest.approx(student, rel=0.35)
    assert p >= student * 0.99  # days that are alike, and the error of the rows' part, only add to it


@pytest.mark.parametrize(("rows", "sd"), [(10, 0.0), (50, 0.0), (50, 0.1), (1000, 0.03), (50, 0.3)])
def test_p_values_of_weeks_like_those_of_the_reference_are_no_smaller_than_chance(rows: int, sd: float) -> None:
    rng = np.random.default_rng(rows)
    found = []
    for _ in range(300):
        shares = np.clip(0.4 + sd * rng.normal(size=51), 0.01, 0.99)
        counts = binomial(rng, shares, rows)
        found.append(said_by_days(table(counts[:44], counts[44:].sum(axis=0)))[0])
    assert len(found) == 300
    for level in (0.01, 0.05, 0.2):
        assert np.mean(np.array(found) < level) <= level + 3 * math.sqrt(level * (1 - level) / 300)


def test_a_rise_beyond_all_days_is_found_and_one_within_them_is_not() -> None:
    rng = np.random.default_rng(5)
    days = binomial(rng, np.clip(0.4 + 0.1 * rng.normal(size=44), 0, 1), 200)
    assert said_by_days(table(days, np.array([1120.0, 280.0])))[0] < 1e-3
    more = round(1400 * (days[:, 0].sum() / days.sum() + 0.05))
    p, weight = said_by_days(table(days, np.array([more, 1400.0 - more])))
    assert significance([(days.sum(axis=0).astype(int).tolist(), [more, 1400 - more])], 0.05)[0] < 1e-3
    assert p > 0.1
    assert weight > 3


def test_weekends_are_no_chance_of_a_week_and_all_chance_of_a_weekend() -> None:
    rng = np.random.default_rng(6)
    shares = np.where(np.arange(42) % 7 >= 5, 0.7, 0.4)
    days = binomial(rng, shares, 300)
    alike = said_by_days(table(days, np.array([0.55, 0.45]) * 2100, window=7))[0]
    weekend = said_by_days(table(days, np.array([0.7, 0.3]) * 600, window=2))[0]
    assert alike < 0.05 < weekend


def test_few_days_or_none_tell_nothing() -> None:
    days = np.full((LEAST_DAYS, 2), 50.0)
    assert said_by_days(table(days, np.array([350.0, 350.0])))[1] >= 1
    assert day_tests([table(days[1:], np.array([350.0, 350.0])), None]) == [None, None]
    assert day_tests([table(days[:, :1], np.array([350.0]))]) == [None]
    assert day_tests([]) == []


def test_days_without_rows_are_left_out() -> None:
    """A shop that is closed on Sundays: its weeks have six days, and so have those of the reference."""
    rng = np.random.default_rng(9)
    open_days = binomial(rng, np.clip(0.4 + 0.05 * rng.normal(size=36), 0, 1), 100)
    calendar = np.insert(open_days, np.arange(6, 37, 6), 0.0, axis=0)
    assert calendar.shape == (42, 2)
    now = np.array([290.0, 310.0])
    assert said_by_days(table(calendar, now, window=7)) == said_by_days(table(open_days, now, window=6))


def test_days_that_never_had_a_value_do_not_excuse_it() -> None:
    days = np.column_stack([np.full(44, 100.0), np.zeros(44)])
    assert said_by_days(table(days, np.array([650.0, 50.0])))[0] == 0


def by_day(one: Profile, days: int) -> Profile:
    """The same rows in as many days, all alike but for what does not divide."""
    columns = []
    for column in one.columns:
        counts = np.array([*column.counts, column.missing, column.non_finite])
        each = np.array([counts * (day + 1) // days - counts * day // days for day in range(days)])
        columns.append(replace(column, by_day=DayCounts(length=1, counts=tuple(map(tuple, each.tolist())))))
    return replace(one, columns=tuple(columns))


def test_a_reference_without_days_is_judged_by_rows_alone() -> None:
    rng = np.random.default_rng(8)
    before, now = profile(rng, 20_000, mixed(6), BEFORE), profile(rng, 2000, mixed(6, "shift", 1))
    found = columns_of(before, now)
    assert {column.design_effect for column in found} == {None}
    with_days = columns_of(by_day(before, 59), now)
    assert [column.verdict for column in with_days] == [column.verdict for column in found] == ["drift", *["ok"] * 5]
    assert all(column.design_effect is not None and column.design_effect < 1.2 for column in with_days)
    assert all((a.p_value or 0) >= (b.p_value or 0) for a, b in zip(with_days, found, strict=True))


def columns_of(before: Profile, now: Profile) -> tuple[ColumnDrift, ...]:
    report = compare(before, now, DriftSpec.model_validate({}), champion_version=1, as_of=now.window.end)
    assert len(report.columns) == 6
    return report.columns


def test_an_earlier_window_borrows_the_days_of_the_reference() -> None:
    rng = np.random.default_rng(10)
    whole = by_day(profile(rng, 20_000, mixed(6), BEFORE), 59)
    reference = replace(whole, outputs=(replace(whole.columns[1], name="label"),))
    earlier = replace(profile(rng, 2000, mixed(6)), outputs=(replace(whole.columns[1], name="label", by_day=None),))
    lent = with_days_of(reference, earlier)
    assert [column.by_day for column in lent.columns] == [column.by_day for column in whole.columns]
    assert lent.outputs[0].by_day == whole.columns[1].by_day
    assert [column.counts for column in lent.columns] == [column.counts for column in earlier.columns]
    two_weeks = [column.design_effect or 0 for column in columns_of(lent, profile(rng, 2000, mixed(6)))]
    assert min(two_weeks) >= 1
