"""How often a row of blocks without a change is called, and how late one with a change: `benchmarks/mean_rise.py`."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.mean_rise import STREAMS, calls, changed, looks_at_a_cure

YEARS = 60


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
def test_a_year_of_looks_at_a_stream_without_a_change_seldom_calls_one(name: str) -> None:
    rng = np.random.default_rng(11)
    called = sum(calls(STREAMS[name](rng), every=2) is not None for _ in range(YEARS))
    assert called <= 0.2 * YEARS, "of the hardest, whose neighbours hang together by 0.7, about one in ten"


@pytest.mark.slow
@pytest.mark.parametrize(("size", "latest"), [(1.0, 40), (2.0, 12), (5.0, 4)])
def test_a_rise_is_called_in_time_and_never_long_before(size: float, latest: int) -> None:
    rng = np.random.default_rng(12)
    delays = [calls(changed(rng, size), every=1) for _ in range(YEARS)]
    late = [delay for delay in delays if delay is not None and delay >= 0]
    assert len(late) >= 0.9 * YEARS
    assert float(np.median(late)) <= latest


@pytest.mark.parametrize("dependence", [0.0, 0.7])
def test_a_change_that_is_over_is_seldom_followed_and_one_that_goes_on_mostly(dependence: float) -> None:
    """One look at a known split, at a level of 0.1; there are six looks in two months."""
    rng, worlds = np.random.default_rng(11), 60
    over, slow = ([looks_at_a_cure(rng, slope, dependence) for _ in range(worlds)] for slope in (0.0, 0.08))
    assert len(over) == len(slow) == worlds
    assert sum(first for first, _ in over) <= 0.25 * worlds
    assert sum(ever for _, ever in over) <= 0.35 * worlds
    assert sum(ever for _, ever in slow) >= 0.7 * worlds
