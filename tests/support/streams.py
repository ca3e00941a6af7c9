"""Streams of windows, as counts: what a profile of random rows would hold, drawn at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import erfc, sqrt

import numpy as np

from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.core.records.snapshot import Window

BEFORE = Window(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2013, 3, 1, tzinfo=UTC))
NOW = Window(start=datetime(2013, 7, 1, tzinfo=UTC), end=datetime(2013, 7, 8, tzinfo=UTC))
BINS, CATEGORIES, MISSING = 20, 20, 0.05


def below(x: float) -> float:
    """Distribution function of the normal distribution."""
    return 0.5 * erfc(-x / sqrt(2))


def edges() -> tuple[float, ...]:
    """Twentieths of the normal distribution, by bisection."""
    found = []
    for share in np.arange(1, BINS) / BINS:
        low, high = -5.0, 5.0
        for _ in range(60):
            low, high = (low, (low + high) / 2) if below((low + high) / 2) > share else ((low + high) / 2, high)
        found.append(low)
    return tuple(found)


EDGES = edges()


def shares(kind: str, change: str = "") -> np.ndarray:
    """Shares of the bins, then `other` for categories, then missing values."""
    missing = MISSING + 0.05 * (change == "missing")
    if kind == "numeric":
        shift = 0.3 * (change == "shift")
        values = np.diff([0.0, *(below(edge - shift) for edge in EDGES), 1.0])
    else:
        values = 1 / np.arange(1, CATEGORIES + 1)
        new = 0.05 * (change == "category")
        values = np.append(values / values.sum() * (1 - new), new)
    return np.append(values / values.sum() * (1 - missing), missing)


def profile(rng: np.random.Generator, rows: int, columns: Sequence[tuple[str, str]], window: Window = NOW) -> Profile:
    """Draw a window: each column a kind (numeric or categorical) and a change (shift, category, missing or none)."""
    made = []
    for number, (kind, change) in enumerate(columns):
        *counts, missing = rng.multinomial(rows, shares(kind, change)).tolist()
        bins = {"edges": EDGES} if kind == "numeric" else {"categories": tuple(f"c{i}" for i in range(CATEGORIES))}
        made.append(ColumnProfile(name=f"x{number}", role=kind, counts=tuple(counts), missing=missing, **bins))
    return Profile(model="m", window=window, rows=rows, columns=tuple(made))


def mixed(count: int, change: str = "", changed: int = 0) -> list[tuple[str, str]]:
    """So many columns, numeric and categorical in turn; the first that a change fits have it."""
    kinds = ["numeric" if number % 2 == 0 else "categorical" for number in range(count)]
    fits = {"shift": {"numeric"}, "category": {"categorical"}}.get(change, {"numeric", "categorical"})
    places = [place for place, kind in enumerate(kinds) if kind in fits][:changed]
    return [(kind, change if place in places else "") for place, kind in enumerate(kinds)]
