"""How often the superiority rule is wrong, in few seeded worlds; `benchmarks/levels.py` runs many more."""

from math import sqrt

import pytest

from tests.support.worlds import CASES, METRICS, POWER, accepted, with_detectable_gain

ALPHA = 0.05
WORLDS, RESAMPLES = 300, 300
KEEPS = [(name, world, by_group) for name, world, by_group in CASES if by_group or not world.groups]
BREAKS = [(name, world, by_group) for name, world, by_group in CASES if not by_group and world.groups]


def monte_carlo(share: float) -> float:
    return sqrt(share * (1 - share) / WORLDS)


@pytest.mark.parametrize("case", KEEPS, ids=[case[0] for case in KEEPS])
@pytest.mark.parametrize("metric", METRICS)
def test_equal_models_are_accepted_at_most_at_the_level(metric: str, case: tuple) -> None:
    share = accepted(metric, case[1], case[2], worlds=WORLDS, resamples=RESAMPLES)
    assert share <= ALPHA + 3 * monte_carlo(ALPHA)
    assert share >= ALPHA - 3 * monte_carlo(ALPHA)  # nor does the rule keep its level by never accepting


@pytest.mark.parametrize("case", BREAKS, ids=[case[0] for case in BREAKS])
def test_resampling_rows_that_err_together_breaks_the_level(case: tuple) -> None:
    assert accepted("log_loss", case[1], case[2], worlds=WORLDS, resamples=RESAMPLES) > ALPHA + 3 * monte_carlo(ALPHA)


@pytest.mark.parametrize("metric", METRICS)
def test_the_detectable_gain_is_found_with_the_stated_power(metric: str) -> None:
    world, gain = with_detectable_gain(metric, 100_000)
    assert gain > 0
    share = accepted(metric, world, False, worlds=WORLDS, resamples=RESAMPLES)
    assert share == pytest.approx(POWER, abs=3 * monte_carlo(POWER) + 0.01)
