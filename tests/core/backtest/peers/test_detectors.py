"""river's detectors against references written from the papers, and what a rule makes of their calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from river import drift

from airflow_mlops.core.backtest.costs import RetrainingCost
from airflow_mlops.core.backtest.losses import LossTable, RowErrors
from airflow_mlops.core.backtest.peers.detectors import DetectorRule, has_river, make_adwin, make_ddm
from airflow_mlops.core.backtest.peers.rules import PeerInput, simulate
from tests.support.loss_tables import DAY, WEEK, drawn

GIVEN = PeerInput(history=None, cost=RetrainingCost(worse_by=0.01, per=WEEK), every=WEEK)


def ddm_reference(errors: Sequence[float]) -> list[int]:
    """Rows at which DDM calls: Gama et al. 2004, with 30 rows before it looks; it begins anew after each call."""
    calls: list[int] = []
    count, wrong, low_p, low_s = 0, 0.0, math.inf, math.inf
    for row, error in enumerate(errors):
        count, wrong = count + 1, wrong + error
        p = wrong / count
        s = math.sqrt(p * (1 - p) / count)
        if count <= 30:
            continue
        if p + s <= low_p + low_s:
            low_p, low_s = p, s
        if p + s > low_p + 3 * low_s:
            calls.append(row)
            count, wrong, low_p, low_s = 0, 0.0, math.inf, math.inf
    return calls


def adwin_reference(errors: Sequence[float], delta: float = 0.002) -> list[int]:
    """Rows at which ADWIN cuts its window: Bifet and Gavalda 2007, all cuts of the whole window, every 32nd row.

    This is their ADWIN0 with the bound of its section 3.3: variances, and a union over the logarithm of the rows. river
    looks only at cuts between buckets of powers of two, so that it calls at the same look or later.
    """
    calls: list[int] = []
    window: list[float] = []
    for row, error in enumerate(errors):
        window.append(error)
        if (row + 1) % 32 or len(window) <= 10:
            continue
        cut = _last_cut(np.array(window), delta)
        if cut:
            calls.append(row)
            window = window[cut:]
    return calls


def _last_cut(values: np.ndarray, delta: float) -> int:
    n = len(values)
    sums = np.cumsum(values)
    first = np.arange(5, n - 4)
    means = sums[first - 1] / first - (sums[-1] - sums[first - 1]) / (n - first)
    share = 1 / (first - 5 + 1) + 1 / (n - first - 5 + 1)
    level = math.log(2 * math.log(n) / delta)
    bound = np.sqrt(2 * share * values.var() * level) + 2 / 3 * level * share
    cuts = first[np.abs(means) > bound]
    return int(cuts[-1]) if len(cuts) else 0


def bits(seed: int, rates: Sequence[float], rows: int = 1500) -> list[float]:
    rng = np.random.default_rng(seed)
    return [float(rng.random() < rate) for rate in rates for _ in range(rows)]


def river_calls(detector: drift.ADWIN | drift.binary.DDM, errors: Sequence[float]) -> list[int]:
    calls = []
    for row, error in enumerate(errors):
        detector.update(error)
        if detector.drift_detected:
            calls.append(row)
    return calls


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rates", [(0.2,), (0.2, 0.35), (0.1, 0.4), (0.3, 0.1, 0.3)])
def test_ddm_is_that_of_its_paper(seed: int, rates: tuple[float, ...]) -> None:
    errors = bits(seed, rates)
    found: list[int] = []
    detector = drift.binary.DDM()
    for row, error in enumerate(errors):
        detector.update(bool(error))
        if detector.drift_detected:
            found.append(row)
    assert found == ddm_reference(errors)


@pytest.mark.parametrize("seed", range(6))
def test_adwin_calls_where_its_paper_does(seed: int) -> None:
    """A rise of the error rate by 0.2: within two looks of the reference, which sees more cuts; and never before it."""
    errors = bits(seed, (0.2, 0.4))
    reference, found = adwin_reference(errors), river_calls(drift.ADWIN(), errors)
    assert reference[0] >= 1500
    assert reference[0] <= found[0] <= reference[0] + 96


def test_adwin_is_silent_where_nothing_changes() -> None:
    """Its level is 0.002 a look by the paper's bound, which is far from sharp: no call in 8 streams of 3,000 rows."""
    assert [river_calls(drift.ADWIN(), bits(seed, (0.2, 0.2))) for seed in range(8)] == [[]] * 8


def rates(made: LossTable, rate_of: object, rows: int = 300) -> LossTable:
    """Rows of each day wrong with the probability that a function of version and step says."""

    def errors_of(step: int, version: int) -> RowErrors:
        rng = np.random.default_rng([step, version])
        start = np.datetime64(made.steps[step].start.replace(tzinfo=None), "us")
        times = start + np.arange(rows) * np.timedelta64(int(WEEK / rows / DAY * 86_400_000_000), "us")
        rate = rate_of(version, step)  # type: ignore[operator]
        return RowErrors(times=times, errors=(rng.random(rows) < rate).astype(float))

    return replace(made, errors_of=errors_of)


@pytest.mark.parametrize("make", [make_adwin, make_ddm])
def test_it_trains_after_a_change_for_the_worse_and_begins_anew(make: object) -> None:
    def worse(version: int, step: int) -> float:
        return 0.6 if version <= 5 <= step else 0.2

    made = rates(drawn(1, steps=12), worse)
    found = simulate(made, make(GIVEN)).retrained  # type: ignore[operator]
    assert found[0] == 6
    assert len(found) <= 2  # DDM is easily alarmed when it has just begun


@pytest.mark.parametrize("make", [make_adwin, make_ddm])
def test_a_change_for_the_better_asks_for_nothing(make: object) -> None:
    made = rates(drawn(1, steps=12), lambda _version, step: 0.1 if step >= 5 else 0.5)
    assert simulate(made, make(GIVEN)).retrained == ()  # type: ignore[operator]


def test_a_call_is_remembered_until_something_could_be_trained() -> None:
    made = rates(drawn(1, steps=12, untrained=[6, 7]), lambda version, step: 0.6 if version <= 5 <= step else 0.2)
    assert simulate(made, make_ddm(GIVEN)).retrained[0] == 8


def test_a_detector_is_fed_each_row_once() -> None:
    fed: list[float] = []

    def feed(_detector: object, error: float) -> bool:
        fed.append(error)
        return False

    made = drawn(2, delay=2 * DAY)
    simulate(made, DetectorRule(object, feed))
    assert made.errors_of is not None
    whole = [error for step in range(9) for error in made.errors_of(step, 1).errors]
    assert fed == whole[: len(whole) - 2 * 40]
    assert has_river()
