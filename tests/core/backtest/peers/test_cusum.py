"""The cumulative sum, against a loop."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from airflow_mlops.core.backtest.costs import RetrainingCost
from airflow_mlops.core.backtest.losses import LossTable
from airflow_mlops.core.backtest.peers.cusum import SETTINGS, CusumSetting, cumulative_sums, make_cusum, watch_losses
from airflow_mlops.core.backtest.peers.rules import PeerInput, simulate
from tests.support.loss_tables import WEEK, constant, drawn, table


@pytest.mark.parametrize("seed", range(5))
def test_sums_are_those_of_the_best_beginning(seed: int) -> None:
    """Page's other form: how far the plain sum is above its lowest value so far."""
    values = np.random.default_rng(seed).normal(size=200)
    walk = np.concatenate([[0.0], np.cumsum(values - 0.5)])
    expected = [walk[n] - walk[: n + 1].min() for n in range(1, len(walk))]
    assert cumulative_sums(values.tolist(), 0.5) == pytest.approx(expected)


def first_call(made: LossTable, setting: CusumSetting) -> int | None:
    """Step of the first training, written out."""
    reference = [block.loss for block in made.models[1].holdout if block.loss is not None]
    mean, deviation = statistics.fmean(reference), statistics.stdev(reference)
    blocks = [block for step in range(len(made.steps)) for block in made.blocks(1, step)]
    total = 0.0
    for block in blocks:
        assert block.loss is not None
        total = max(0.0, total + (block.loss - mean) / deviation - setting.allowance)
        if total > setting.limit:
            known = block.end + made.delay
            return next((step for step, window in enumerate(made.steps) if window.start >= known), None)
    return None


@pytest.mark.parametrize("setting", SETTINGS[::4])
@pytest.mark.parametrize("seed", range(6))
def test_it_trains_when_the_sum_passes_its_limit(seed: int, setting: CusumSetting) -> None:
    made = drawn(seed, steps=12)
    found = simulate(made, watch_losses(setting)).retrained
    expected = first_call(made, setting)
    assert (found[0] if found else None) == expected


def test_it_begins_anew_with_each_champion() -> None:
    """A change in the middle: the model of the step after it has not seen the change worse, and is kept."""

    def loss(trained: int, used: int, block: int) -> float:
        return 0.3 + 0.01 * (block % 2) + (0.5 if block >= 0 and trained < 4 <= used else 0.0)

    found = simulate(table(9, loss), watch_losses(CusumSetting(allowance=0.5, limit=5.0)))
    assert found.retrained == (5,)


def test_a_holdout_that_tells_nothing_calls_for_nothing() -> None:
    same = constant([[9.0 * (used > trained) for used in range(5)] for trained in range(5)])
    assert simulate(same, watch_losses(SETTINGS[0])).retrained == ()
    unknown = table(5, lambda trained, used, block: None if block < -3 else float(used + block % 2))
    assert simulate(unknown, watch_losses(SETTINGS[0])).retrained == ()


def test_it_is_the_textbooks_where_history_does_not_speak_against_it() -> None:
    quiet = table(6, lambda trained, used, block: 0.3 + 0.01 * ((block * 7 + used) % 5))
    cost = RetrainingCost(worse_by=0.01, per=WEEK)
    made = drawn(3)
    tuned = simulate(made, make_cusum(PeerInput(history=quiet, cost=cost, every=WEEK)))
    assert SETTINGS[0] == CusumSetting(allowance=0.5, limit=5.0)
    assert tuned == simulate(made, watch_losses(SETTINGS[0]))


def test_the_textbooks_calls_as_rarely_as_the_textbook_says() -> None:
    """938 blocks for allowance 0.5 and limit 5, by D. Siegmund's approximation; 600 runs, within four errors."""
    shifted = 5.0 + 1.166
    expected = (np.exp(2 * 0.5 * shifted) - 2 * 0.5 * shifted - 1) / (2 * 0.5**2)
    assert round(expected) == 938
    rng = np.random.default_rng(7)
    lengths = []
    for _ in range(600):
        total, length = 0.0, 0
        while total <= 5.0:
            total, length = max(0.0, total + rng.normal() - 0.5), length + 1
        lengths.append(length)
    error = np.std(lengths) / np.sqrt(len(lengths))
    assert abs(np.mean(lengths) - expected) < 4 * error
