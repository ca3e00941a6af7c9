"""How often sound days are called broken, and how often a change of unit is found: stationary days that hang together.

docs/decisions/0017 has the figures of a longer run.
"""

from __future__ import annotations

import numpy as np

from airflow_mlops.core.faults import find_faults
from tests.support.fault_streams import DRAWS, day, stream

YEARS, TRAINED, SCANNED = 2, 44, 28


def false_calls(rng: np.random.Generator, shape: str, sd: float, rho: float) -> int:
    """Spans that are found in a year of stationary days, looked at every fourth day as monitoring does."""
    values = stream(rng, shape, TRAINED + 15 + 364, 60, sd=sd, rho=rho)
    days = [day(number, x) for number, x in enumerate(values)]
    seen = set()
    for end in range(TRAINED + SCANNED, len(days), 4):
        for span in find_faults(days[end - SCANNED : end], {"x": "numeric"}, anchor=days[:TRAINED]):
            seen.add((span.start, span.words))
    return len(seen)


def test_stationary_days_are_not_called_broken():
    rng = np.random.default_rng(0)
    cells = [(shape, sd, rho) for shape in sorted(DRAWS) for sd, rho in ((0.3, 0.6), (0.8, 0.6), (0.8, 0.9))]
    found = [false_calls(rng, *cell) for cell in cells for _ in range(YEARS)]
    assert len(found) == len(cells) * YEARS == 30
    # At 0.05 false calls a stream and year, 1.5 are expected in 30 years, and 5 or more have a chance of 2 %.
    assert sum(found) <= 4


def test_changes_of_unit_are_found_on_the_first_day():
    rng = np.random.default_rng(1)
    changes = {
        "lognormal": lambda x: 100 * x,
        "celsius": lambda x: 1.8 * x + 32,
        "kilometres": lambda x: x / 1.609344,
        "centred gamma": lambda x: -x,
    }
    found = []
    for shape, change in changes.items():
        for sd in (0.0, 0.1):
            for _ in range(10):
                values = stream(rng, shape, 73, 400, sd=sd, rho=0.5)
                days = [day(number, change(x) if number == 72 else x) for number, x in enumerate(values)]
                spans = find_faults(days[-SCANNED:], {"x": "numeric"}, anchor=days[:TRAINED])
                found.append([span.start for span in spans] == [days[-1].start])
    assert len(found) == 80
    assert sum(found) >= 72
