"""How often a champion that stays right is called decayed, and how late one that says too much: a seeded simulation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.recalibration import AFTER, CHANGE, CHANGES, REFERENCE, STILL, YEAR, World, days, first_call

YEARS, WORLDS = 30, 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["500 rows a day", "50 rows a day", "days differ by 0.2", "days differ by 0.5"])
def test_a_year_without_a_change_is_seldom_called(name: str) -> None:
    rng = np.random.default_rng(3)
    called = [first_call(days(rng, STILL[name], REFERENCE + YEAR), from_day=17, every=7) for _ in range(YEARS)]
    assert sum(one is not None for one in called) <= 0.1 * YEARS


@pytest.mark.slow
@pytest.mark.parametrize(("name", "latest"), [("by 0.6", 45), ("by 0.6 ", 12), ("features mean half as much", 30)])
def test_what_is_said_too_high_or_too_low_is_called_in_time(name: str, latest: int) -> None:
    rng, begins = np.random.default_rng(4), REFERENCE + CHANGE
    change = (begins, *CHANGES[name])
    streams = [days(rng, World(rows=500), begins + AFTER, change) for _ in range(WORLDS)]
    delays = [call[0] - begins for call in (first_call(one, from_day=begins, every=1) for one in streams) if call]
    assert len(delays) >= 0.9 * WORLDS
    assert float(np.median(delays)) <= latest
