"""Estimates are near what is realised, or their interval says that they may not be. The long version: benchmarks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from tests.support.estimate_worlds import CONFIDENCE, WORLDS, EstimateWorld, compare

REPEATS = 8


NEAR = [world for world in WORLDS if world.rows <= 400 and world.later is None]
"""Where inputs move beyond what was learnt from, the estimate errs, and its interval with it: an assumption."""


@pytest.mark.parametrize("world", NEAR, ids=lambda world: f"{world.name} {world.rows}")
def test_what_is_realised_lies_within_the_interval(world: EstimateWorld) -> None:
    seen = [compare(world, np.random.default_rng([7, number])) for number in range(REPEATS)]
    assert len(seen) == REPEATS
    inside = sum(one.inside for one in seen)
    assert inside >= binom.ppf(1e-3, REPEATS, 2 * CONFIDENCE - 1)


def test_an_overfitted_classifier_is_not_estimated_at_its_own_word() -> None:
    world = next(one for one in WORLDS if one.name == "balanced, overfitted")
    ratios = [compare(world, np.random.default_rng([8, number])).ratio for number in range(REPEATS)]
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)
