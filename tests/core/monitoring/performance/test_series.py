"""What the row of a champion's blocks shows: worse than it was, or worse than no model at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from airflow_mlops.core.monitoring.performance.series import series_of
from airflow_mlops.core.records.performance import BlockExcess, LineTerms
from airflow_mlops.core.stats.mean_rise import LEVEL
from tests.support.retrain_cases import DAY, NOW


def row(values: list[float], gain: float | None = 0.1, first: int = 0) -> tuple[BlockExcess, ...]:
    return tuple(
        BlockExcess(start=NOW + (first + number) * DAY, rows=50, excess=value, gain=gain)
        for number, value in enumerate(values)
    )


NOISE = (np.random.default_rng(0).normal(size=60) * 0.02).tolist()
REFERENCE = row(NOISE[:14], first=-14)


@pytest.mark.parametrize(("rise", "sure", "urgent"), [(0.0, False, False), (0.2, True, False), (0.6, True, True)])
def test_a_rise_is_sure_beyond_its_bound_and_urgent_beyond_the_other(rise: float, sure: bool, urgent: bool) -> None:
    values = [value + (rise if number >= 20 else 0.0) for number, value in enumerate(NOISE[14:54])]
    found = series_of(REFERENCE, row(values), 0.03, 0.3, new=7, learned=30, late=1)
    assert found.rise is not None
    assert (found.sure, found.urgent, found.beaten) == (sure, urgent, False)
    assert found.new == 7
    if sure:
        assert abs((found.rise.since - NOW) / DAY - 20) <= 1
        assert found.rise.blocks == 40 - (found.rise.since - NOW) / DAY
        assert 0.03 < found.rise.surely < found.rise.size == pytest.approx(rise, abs=0.03)
        assert found.rise.p <= LEVEL


def test_without_a_bound_nothing_is_found_and_few_blocks_say_nothing() -> None:
    assert series_of(REFERENCE, row(NOISE[14:54]), None, None, new=1, learned=30, late=1).rise is None
    assert series_of(REFERENCE, row(NOISE[14:16]), 0.03, 0.3, new=1, learned=30, late=1).rise is None
    assert series_of((), row(NOISE[14:19]), 0.03, 0.3, new=1, learned=30, late=1).rise is None


def test_without_holdout_rows_the_first_blocks_in_service_are_the_reference() -> None:
    values = [value + (0.5 if number >= 20 else 0.0) for number, value in enumerate(NOISE[14:54])]
    found = series_of((), row(values), 0.03, 0.3, new=1, learned=30, late=1)
    assert found.sure
    assert found.rise is not None
    assert abs((found.rise.since - NOW) / DAY - 20) <= 1


@pytest.mark.parametrize(("gain", "beaten"), [(0.1, False), (-0.2, True), (None, False)])
def test_a_sure_loss_against_the_baseline_is_told_whatever_was_promised(gain: float | None, beaten: bool) -> None:
    blocks = tuple(
        BlockExcess(start=one.start, rows=50, excess=one.excess, gain=None if gain is None else gain + one.excess)
        for one in row(NOISE[14:54])
    )
    found = series_of(REFERENCE, blocks, 0.03, 0.3, new=1, learned=30, late=1)
    assert (found.sure, found.beaten) == (False, beaten)


def said(truth: list[float], first: int = 0) -> tuple[BlockExcess, ...]:
    """Days of 400 rows of which 0.3 is said, and as many are true as given; the excess is that of log loss."""
    place = float(np.log(0.3 / 0.7))
    return tuple(
        BlockExcess(
            start=NOW + (first + number) * DAY,
            rows=400,
            excess=place * (0.3 - share),
            gain=0.02,
            line=LineTerms(
                score=(share - 0.3, (share - 0.3) * place), information=(0.21, 0.21 * place, 0.21 * place**2)
            ),
        )
        for number, share in enumerate(truth)
    )


NOISY = [0.3 + 0.02 * float(value) for value in np.random.default_rng(5).normal(size=94)]


@pytest.mark.parametrize(
    ("by", "beside"), [(0.0, None), (-0.12, "recalibrated"), (0.12, "itself")], ids=["as ever", "rarer", "more often"]
)
def test_a_champion_that_says_too_much_is_seen_as_well_as_one_that_says_too_little(
    by: float, beside: str | None
) -> None:
    truth = [value + (by if number >= 54 else 0.0) for number, value in enumerate(NOISY)]
    found = series_of(said(truth[:14], -14), said(truth[14:]), 0.005, 0.5, new=7, learned=30, late=2)
    assert found.rise is not None
    assert found.sure == (beside is not None)
    if beside is not None:
        assert found.rise.beside == beside
        assert abs((found.rise.since - NOW) / DAY - 40) <= 14  # a line is learned from a row of days first


def test_blocks_of_before_there_were_lines_tell_of_the_excess_alone() -> None:
    truth = [value - (0.12 if number >= 54 else 0.0) for number, value in enumerate(NOISY)]
    older = tuple(replace(one, line=None) for one in said(truth[:14], -14))
    found = series_of(older, said(truth[14:]), 0.005, 0.5, new=7, learned=30, late=2)
    assert found.rise is not None
    assert found.rise.beside == "itself"
    assert not found.sure
