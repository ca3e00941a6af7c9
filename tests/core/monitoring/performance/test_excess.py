"""Blocks of excess loss: whole ones of the champion's calendar, against sums written out; and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.metrics.measure import judge, metrics_of
from airflow_mlops.core.monitoring.performance import cbpe
from airflow_mlops.core.monitoring.performance.excess import (
    DAY,
    FEWEST_ROWS,
    ExcessMeter,
    ExcessRows,
    earlier_blocks,
    join_blocks,
    meter_of,
)
from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.core.records.performance import BlockExcess
from airflow_mlops.core.records.snapshot import Window
from tests.support.builders import AS_OF, make_candidate, make_champion, make_spec
from tests.support.retrain_cases import NOW, performance

START = datetime(2024, 3, 1, tzinfo=UTC)
LOG_LOSS = metrics_of(make_spec())["log_loss"]
CALIBRATION = cbpe.Calibration("none")


def rows(days: int, a_day: int, seed: int = 0, start: datetime = START, harder: float = 0.0) -> ExcessRows:
    """Labels that come as often as the probabilities say; harder rows have probabilities nearer to a half."""
    rng = np.random.default_rng(seed)
    count = days * a_day
    times = pd.Series(pd.to_datetime(start) + pd.to_timedelta(np.arange(count) / a_day, unit="D"))
    logit = rng.normal(size=count) * np.where(np.arange(count) < count / 2, 2.0, 2.0 - harder)
    probability = 1 / (1 + np.exp(-logit))
    labels = pd.Series((rng.random(count) < probability).astype(int))
    said = np.column_stack([1 - probability, probability])
    predicted = Predicted(task="binary", classes=(0, 1), values=(probability > 0.5).astype(int), probabilities=said)
    half = np.full((count, 2), 0.5)
    constant = Predicted(task="binary", classes=(0, 1), values=np.zeros(count, dtype=int), probabilities=half)
    return ExcessRows(
        times=times, judged=judge(labels, predicted), predicted=predicted, constant=judge(labels, constant)
    )


def meter(length: timedelta = DAY, a_day: float = 50, calibration: cbpe.Calibration | None = None) -> ExcessMeter:
    return ExcessMeter(
        metric=LOG_LOSS,
        origin=START,
        length=length,
        rows=a_day,
        calibration=calibration,
        line=None,
        learned=30,
        late=1,
    )


def losses(found: ExcessRows, place: slice) -> tuple[float, float]:
    """Realised and expected log loss of some rows."""
    probability, label = found.judged.known[place, 1], found.judged.y_true[place]
    realised = -np.where(label == 1, np.log(probability), np.log(1 - probability)).mean()
    expected = -(probability * np.log(probability) + (1 - probability) * np.log(1 - probability)).mean()
    return float(realised), float(expected)


@pytest.mark.parametrize("calibration", [None, CALIBRATION], ids=["realised", "less what is expected"])
def test_a_block_is_the_realised_loss_less_the_expected_one(calibration: cbpe.Calibration | None) -> None:
    found = rows(6, 50)
    blocks = meter(calibration=calibration).measure(found, Window(start=START, end=START + 6 * DAY))
    assert [block.start for block in blocks] == [START + number * DAY for number in range(6)]
    assert [block.rows for block in blocks] == [50] * 6
    for number, block in enumerate(blocks):
        realised, expected = losses(found, slice(50 * number, 50 * number + 50))
        assert block.excess == pytest.approx(realised - (expected if calibration else 0.0))
        assert block.gain == pytest.approx(np.log(2) - realised)


def test_harder_rows_are_no_excess() -> None:
    found = rows(40, 400, harder=1.8)
    window = Window(start=START, end=START + 40 * DAY)
    realised, excess = (
        [b.excess for b in meter(a_day=400, calibration=c).measure(found, window)] for c in (None, CALIBRATION)
    )
    assert len(realised) == len(excess) == 40
    assert np.mean(realised[20:]) > np.mean(realised[:20]) + 0.1
    assert abs(np.mean(excess[20:]) - np.mean(excess[:20])) < 0.02


def test_what_is_better_the_more_it_is_has_the_other_sign() -> None:
    found = rows(3, 60)
    ranking = replace(meter(a_day=60), metric=metrics_of(make_spec())["roc_auc"])
    blocks = ranking.measure(found, Window(start=START, end=START + 3 * DAY))
    assert len(blocks) == 3
    assert max(block.excess for block in blocks) < -0.5, "worse than a coin would be above"


def test_blocks_that_a_window_cuts_and_those_of_few_rows_are_left_out() -> None:
    found = rows(5, 50)
    cut = meter().measure(found, Window(start=START + DAY / 2, end=START + 4.5 * DAY))
    assert [block.start for block in cut] == [START + number * DAY for number in (1, 2, 3)]
    assert meter(a_day=201).measure(found, Window(start=START, end=START + 5 * DAY)) == ()
    assert len(meter(a_day=200).measure(found, Window(start=START, end=START + 5 * DAY))) == 5


def test_the_calendar_runs_in_both_directions_from_where_the_holdout_ends() -> None:
    found = rows(4, 30, start=START - 3 * DAY)
    blocks = meter(a_day=30).measure(found, Window(start=START - 3 * DAY, end=START + DAY))
    assert [block.start - START for block in blocks] == [-3 * DAY, -2 * DAY, -DAY, 0 * DAY]


def test_nothing_is_no_block() -> None:
    assert meter().measure(rows(0, 50), Window(start=START, end=START + DAY)) == ()


@pytest.mark.parametrize(("a_day", "length"), [(100, 1), (20, 1), (19, 2), (5, 4), (1, 20)])
def test_blocks_are_long_enough_for_their_rows(a_day: int, length: int) -> None:
    candidate = make_candidate(holdout_rows=14 * a_day)
    made = meter_of(make_spec(), make_champion(candidate), LOG_LOSS, None, None)
    assert made.length == length * DAY
    assert made.rows == pytest.approx(length * a_day)
    assert made.rows >= FEWEST_ROWS
    assert made.origin == candidate.holdout.end


def test_blocks_are_long_enough_for_the_metric_to_be_defined() -> None:
    start = AS_OF - 16 * DAY
    candidate = make_candidate(holdout=Window(start=start, end=AS_OF), holdout_rows=16 * 30)
    found = rows(16, 30, start=start)
    rare = np.zeros(480, dtype=int)
    rare[::60] = 1  # one positive in two days
    seldom = replace(found, judged=judge(pd.Series(rare), found.predicted))
    ranking = metrics_of(make_spec())["roc_auc"]
    assert meter_of(make_spec(), make_champion(candidate), ranking, None, found).length == DAY
    assert meter_of(make_spec(), make_champion(candidate), ranking, None, seldom).length == 2 * DAY


def block(number: int, excess: float = 0.0) -> BlockExcess:
    return BlockExcess(start=NOW + number * DAY, rows=10, excess=excess)


def test_earlier_looks_hand_on_their_blocks_the_newest_look_at_each() -> None:
    first = performance("ok", NOW + 3 * DAY, blocks=(block(0, 1.0), block(1, 1.0)), block_seconds=86_400.0)
    second = performance("ok", NOW + 4 * DAY, blocks=(block(1, 2.0), block(2, 2.0)), block_seconds=86_400.0)
    other = replace(second, champion_version=3, blocks=(block(9),))
    longer = replace(second, block_seconds=2 * 86_400.0, blocks=(block(8),))
    late = replace(second, as_of=NOW + 9 * DAY, blocks=(block(7),))
    before = performance("ok", NOW)
    who = replace(make_champion(), version=4)
    found = earlier_blocks(who, NOW + 5 * DAY, [late, second, other, longer, before, first], DAY)
    assert [(one.start - NOW, one.excess) for one in found] == [(0 * DAY, 1.0), (DAY, 2.0), (2 * DAY, 2.0)]


def test_what_a_look_sees_whole_replaces_and_what_it_does_not_see_any_more_is_forgotten() -> None:
    window = Window(start=NOW + 2 * DAY, end=NOW + 5 * DAY)
    joined = join_blocks([block(number, 1.0) for number in range(6)], [block(2, 2.0), block(4, 2.0)], window, DAY)
    assert [(one.start - NOW) / DAY for one in joined] == [0, 1, 2, 4, 5]
    assert [one.excess for one in joined] == [1.0, 1.0, 2.0, 2.0, 1.0]
