"""How often advice calls a remedy sure, where no model knows anything: at most at the gate's own level."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from airflow_mlops.core.backtest.advise import luck
from airflow_mlops.core.stats.multiple_testing import holm

LEVEL, WORLDS, REMEDIES = 0.05, 2000, 6


@pytest.mark.parametrize("looks", [1, 2, 3, 6])
@pytest.mark.parametrize("together", [0.0, 0.8], ids=["apart", "together"])
def test_remedies_that_bring_nothing_are_seldom_sure(looks: int, together: float) -> None:
    """At each step the gate errs with its whole level; remedies of one step err together or not."""
    rng = np.random.default_rng(7)
    sure = 0
    for _ in range(WORLDS):
        shared = rng.normal(size=(1, looks))
        own = rng.normal(size=(REMEDIES, looks))
        accepted = sqrt(together) * shared + sqrt(1 - together) * own > 1.6449
        p = holm([luck(int(count), looks, 1 - LEVEL) for count in accepted.sum(axis=1)])
        sure += min(p) <= LEVEL
    assert sure / WORLDS <= LEVEL + 3 * sqrt(LEVEL * (1 - LEVEL) / WORLDS)


def test_a_remedy_that_is_accepted_at_most_steps_is_sure() -> None:
    rng = np.random.default_rng(8)
    found = 0
    for _ in range(WORLDS):
        accepted = [int((rng.random(6) < 0.8).sum()), *(int((rng.random(6) < LEVEL).sum()) for _ in range(5))]
        found += holm([luck(count, 6, 1 - LEVEL) for count in accepted])[0] <= LEVEL
    assert found / WORLDS > 0.95
