"""How many rows a group needs, against the normal distribution and against fairlearn's rates of drawn groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from airflow_mlops.core.gate.rules.fairness.group_sizes import large_enough, rows_to_decide


@pytest.mark.parametrize(("rate", "bound", "confidence"), [(0.5, 0.1, 0.95), (0.05, 0.1, 0.95), (0.2, 0.05, 0.9)])
def test_of_two_groups_it_is_the_textbooks_normal_formula(rate: float, bound: float, confidence: float) -> None:
    z = stats.norm.ppf((1 + confidence) / 2)
    expected = math.ceil(2 * rate * (1 - rate) * (z / bound) ** 2)
    assert rows_to_decide(rate * (1 - rate), bound, 2, confidence) == expected


@pytest.mark.parametrize("groups", [2, 3, 7])
def test_of_several_it_is_the_range_of_normal_estimates(groups: int) -> None:
    """P(range of G standard normal numbers <= w), by its integral instead of scipy's distribution."""
    rows = rows_to_decide(0.25, 0.1, groups, 0.95)
    width = 0.1 / math.sqrt(0.25 / rows)

    def density(low: float) -> float:
        inside = stats.norm.cdf(low + width) - stats.norm.cdf(low)
        return float(groups * stats.norm.pdf(low) * inside ** (groups - 1))

    probability, _ = integrate.quad(density, -9, 9)
    assert probability == pytest.approx(0.95, abs=0.002)  # rows are whole


def test_groups_that_have_too_few_for_all_are_compared_without_the_smallest() -> None:
    spread = np.array([0.25])
    kept, needed = large_enough(np.array([[400.0, 300.0, 250.0, 30.0]]), spread, 0.1, 0.95)
    three, two = (rows_to_decide(0.25, 0.1, groups, 0.95) for groups in (3, 2))
    assert (three, two) == (275, 193)
    assert needed.tolist() == [two]  # 250 rows are too few for three groups, and enough for two
    assert kept.tolist() == [True, True, True, False]
    kept, needed = large_enough(np.array([[400.0, 300.0, 280.0, 30.0]]), spread, 0.1, 0.95)
    assert (kept.tolist(), needed.tolist()) == ([True, True, True, False], [three])


def test_every_part_must_have_its_rows_and_the_error_is_shared() -> None:
    counts = np.array([[1000.0, 1000.0], [1000.0, 12.0]])
    kept, needed = large_enough(counts, np.array([0.25, 0.25]), 0.1, 0.95)
    assert kept.tolist() == [True, False]
    assert needed.tolist() == [rows_to_decide(0.25, 0.1, 2, 0.975)] * 2


def test_a_rate_that_never_varies_still_needs_a_row() -> None:
    kept, needed = large_enough(np.array([[0.0, 40.0]]), np.array([0.0]), 0.1, 0.95)
    assert (kept.tolist(), needed.tolist()) == ([False, True], [1])
