"""Streams of one column as days of rows, with day effects that hang together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from airflow_mlops.core.faults import DayRows

T0, DAY = datetime(2024, 1, 1, tzinfo=UTC), timedelta(days=1)
DRAWS: dict[str, Callable[[np.random.Generator, int, float], np.ndarray]] = {
    "normal": lambda rng, rows, e: rng.normal(size=rows) + e,
    "lognormal": lambda rng, rows, e: np.exp(3.5 + 0.8 * (rng.normal(size=rows) + e)),
    "centred gamma": lambda rng, rows, e: rng.gamma(2, 1, size=rows) - 2 + math.sqrt(2) * e,
    "celsius": lambda rng, rows, e: 12 + 5 * (rng.normal(size=rows) + e),
    "kilometres": lambda rng, rows, e: np.exp(1 + 0.4 * (rng.normal(size=rows) + e)),
}


def autoregressive(rng: np.random.Generator, days: int, rho: float) -> np.ndarray:
    """A stationary first-order autoregression of unit variance."""
    effects = np.empty(days)
    effects[0] = rng.normal()
    for day in range(1, days):
        effects[day] = rho * effects[day - 1] + math.sqrt(1 - rho**2) * rng.normal()
    return effects


def day(number: int, values: Sequence[object] | np.ndarray, name: str = "x") -> DayRows:
    """All rows of a day."""
    return DayRows(
        start=T0 + number * DAY, end=T0 + (number + 1) * DAY, count=len(values), rows=pa.table({name: values})
    )


def stream(
    rng: np.random.Generator, shape: str, days: int, rows: int, *, sd: float = 0.0, rho: float = 0.0
) -> list[np.ndarray]:
    """The values of each day; `sd` of the day effects is in units of the rows' own."""
    return [DRAWS[shape](rng, rows, effect) for effect in sd * autoregressive(rng, days, rho)]
