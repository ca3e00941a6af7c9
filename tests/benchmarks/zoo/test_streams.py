"""The streams of the zoo: the same for the same seed, and their rows are what their truth says."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.spec import load_spec
from benchmarks.zoo.folders import read_stream, write_stream
from benchmarks.zoo.streams import ZOO, Variant, draw_stream
from benchmarks.zoo.truth import HISTORY, Choice, Range, Span, Stream, day_of_loss

SEED = 7


def days_of(made: Stream, span: Span) -> pd.Series:
    return (made.frame["event_time"] - pd.Timestamp(span.start, tz="UTC")) / pd.Timedelta(days=1)


@pytest.mark.parametrize("variant", ["shared", "drawn"])
@pytest.mark.parametrize("name", list(ZOO))
def test_a_stream_is_the_same_for_the_same_seed_and_another_for_another(name: str, variant: Variant) -> None:
    first, span = draw_stream(name, SEED, variant, weeks=12)
    again, _ = draw_stream(name, SEED, variant, weeks=12)
    other, _ = draw_stream(name, SEED + 1, variant, weeks=12)
    pd.testing.assert_frame_equal(first.frame, again.frame, check_exact=True)
    assert first.truth == again.truth
    assert not first.frame.equals(other.frame)
    days = days_of(first, span)
    assert days.is_monotonic_increasing
    assert -HISTORY <= days.iloc[0] < -HISTORY + 1
    assert span.days - 1 <= days.iloc[-1] < span.days


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", list(ZOO))
def test_a_truth_lies_within_the_replay_whatever_is_drawn(name: str, seed: int) -> None:
    made, span = draw_stream(name, seed, "drawn", weeks=26)
    truth = made.truth
    marks = [after for after, _ in truth.learn] + [day for day in (truth.change, *(truth.fault or ())) if day]
    assert all(0 <= day < span.days for day in marks), marks
    assert all(after < until for after, until in truth.learn)
    assert bool(truth.learn) == (truth.kind in {"decay", "sudden", "recurring", "growth"})
    assert (truth.fault is not None) == (truth.kind == "fault") == truth.block_wanted


def test_numbers_are_drawn_from_their_bounds_and_the_shared_ones_lie_within() -> None:
    numbers = [number for chosen in ZOO.values() for number in chosen.numbers.values()]
    assert len(numbers) > len(ZOO)
    rng = np.random.default_rng(SEED)
    for number in numbers:
        if isinstance(number, Choice):
            assert number.shared in number.among
            assert {number.draw(rng) for _ in range(200)} == set(number.among)
            continue
        drawn = [number.draw(rng) for _ in range(200)]
        assert number.low <= min(drawn) < max(drawn) <= number.high
        assert number.low <= number.shared <= number.high
        assert {type(value) for value in drawn} == {type(number.shared)}


def test_a_change_comes_as_much_sooner_as_the_replay_is_shorter() -> None:
    whole, half = Span(start=date(2024, 1, 1)), Span(start=date(2024, 1, 1), weeks=26)
    assert Range(150, 80, 230, is_day=True).fit(150, whole) == 150
    assert Range(150, 80, 230, is_day=True).fit(150, half) == 75
    assert Range(14, 7, 21).fit(14, half) == 14


def test_broken_rows_are_broken_on_the_days_of_the_fault_and_on_no_other() -> None:
    for name, is_broken in (
        ("unit_fault", lambda frame: np.log(frame["amount"]).sub(3.5).abs() > 4),
        ("null_fault", lambda frame: frame["score"].isna()),
    ):
        made, span = draw_stream(name, 1)
        assert made.truth.fault is not None
        begin, end = made.truth.fault
        days, broken = days_of(made, span), is_broken(made.frame)
        inside = (days >= begin) & (days < end)
        assert broken[inside].mean() > 0.7, name
        assert not broken[~inside].any(), name


@pytest.mark.parametrize("variant", ["shared", "drawn"])
@pytest.mark.parametrize("name", ["gradual", "late_labels"])
def test_a_fixed_line_has_lost_five_points_on_the_day_that_the_truth_says(name: str, variant: Variant) -> None:
    made, span = draw_stream(name, SEED, variant)
    lost, change = made.truth.point_loss_day, made.truth.change
    assert lost is not None
    assert change is not None
    days = days_of(made, span)
    right = (made.frame["x1"] > 0) == made.frame["label"]  # the line before the change is at the angle 0
    before, near = right[days < change].mean(), right[(days > lost - 5) & (days < lost + 5)].mean()
    spread = np.sqrt(0.1 * 0.9 / ((days > lost - 5) & (days < lost + 5)).sum())
    assert before - near == pytest.approx(0.05, abs=4 * spread)


def test_a_turn_that_costs_less_than_five_points_has_no_day() -> None:
    assert day_of_loss(100, 220, 0.464, 0.06) == pytest.approx(100 + 120 * 0.05 / (0.88 * 0.464 / np.pi))
    assert day_of_loss(100, 220, 0.1, 0.06) is None


@pytest.mark.parametrize("variant", ["shared", "drawn"])
def test_a_sudden_turn_is_where_the_truth_says(variant: Variant) -> None:
    made, span = draw_stream("sudden", SEED, variant)
    assert made.truth.change is not None
    days = days_of(made, span)
    right = (made.frame["x1"] > 0) == made.frame["label"]
    at = made.truth.change
    assert right[(days >= at - 20) & (days < at)].mean() > right[(days >= at) & (days < at + 20)].mean() + 0.1


def test_relations_take_turns() -> None:
    made, span = draw_stream("recurring", 1)
    days = days_of(made, span)
    right = (made.frame["x1"] > 0) == made.frame["label"]
    shares = [right[(days >= 91 * k) & (days < 91 * (k + 1))].mean() for k in range(4)]
    assert [share > 0.85 for share in shares] == [True, False, True, False]
    assert [after for after, _ in made.truth.learn] == [91, 182, 273]


def test_a_class_and_a_category_are_there_when_the_truth_says() -> None:
    gone, span = draw_stream("vanishing_class", 1)
    days = days_of(gone, span)[gone.frame["label"] == "d"]
    assert gone.truth.change == 140
    assert not ((days >= 140) & (days < 170)).any()
    assert ((days >= 130) & (days < 140)).any()
    assert ((days >= 170) & (days < 180)).any()
    new, span = draw_stream("new_category", 1)
    days = days_of(new, span)
    wallet = new.frame["method"] == "wallet"
    assert not wallet[days < 100].any()
    assert wallet[days >= 250].mean() == pytest.approx(0.2, abs=0.01)


def test_a_written_stream_is_read_as_it_was_and_has_the_settings_of_a_new_specification(tmp_path: Path) -> None:
    made, span = draw_stream("late_labels", SEED, "drawn", weeks=12)
    written = write_stream("late_labels", tmp_path, SEED, "drawn", weeks=12)
    assert read_stream(tmp_path) == written
    assert written.truth == made.truth
    assert written.span == span
    spec = load_spec(tmp_path / "spec.yaml")
    assert spec.data.label_delay.days == made.truth.label_delay
    assert spec.data.window.days == made.window_days
    assert not {"gate", "monitoring", "retraining"} & spec.model_fields_set
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "data"), made.frame, check_dtype=False)
