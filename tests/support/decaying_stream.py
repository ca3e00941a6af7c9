"""A silent decay: the accuracy of a fixed classifier stays at 94 % for 120 days, then falls to 81 % in 120 more.

What the classifier sees and says never changes, only what comes of it: no drift of inputs or predictions shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.snapshot import Window
from tests.support.served_model import Says, Served, day, days, rows_on, served, spec_of

BEFORE, AFTER = 0.94, 0.81
STABLE, FALLING = 120, 120
"""Days."""
ROWS = 500, 2000
"""Rows of a day, at least and at most."""


def accuracy(number: float) -> float:
    """True accuracy on a day, counted from the champion's as-of."""
    fallen = min(max(number - STABLE, 0.0) / FALLING, 1.0)
    return BEFORE + (AFTER - BEFORE) * fallen


def stream_rows(window: Window, number: float, rng: np.random.Generator, first: int) -> pd.DataFrame:
    """Rows of a day; the model is right about each with the confidence that it has, shrunk by how far it decayed."""
    rows = int(rng.integers(ROWS[0], ROWS[1] + 1))
    confidence = 0.5 + 0.49 * rng.beta(8.0, (1 - _MEAN) / _MEAN * 8.0, rows)
    shrunk = (accuracy(number) - 0.5) / (BEFORE - 0.5)
    right = rng.random(rows) < 0.5 + (confidence - 0.5) * shrunk
    said = rng.random(rows) < 0.5
    probability = np.where(said, confidence, 1 - confidence)
    return rows_on(window, rows, rng, first, p1=probability, y=np.where(right, said, ~said).astype(int))


_MEAN = (BEFORE - 0.5) / 0.49


def decaying(seed: int = 0, **parts: Any) -> Served:
    """A champion that was trained and judged before day 0, on rows of the same kind; nothing is served yet."""
    rng = np.random.default_rng(seed)
    before = [stream_rows(days(n, n + 1), n, rng, 1_000_000 + 10_000 * n) for n in range(-60, 0)]
    train, holdout = pd.concat(before[:46], ignore_index=True), pd.concat(before[46:], ignore_index=True)
    return served(spec_of(**parts), holdout, train, Says(), [Feature(name="p1", role="numeric")])


def lived(made: Served, seed: int = 0, until: int = STABLE + FALLING) -> Iterator[int]:
    """Serve day after day; yields each day's number once its rows are scored and their outcomes known."""
    rng = np.random.default_rng(seed + 1)
    for number in range(until):
        window = days(number, number + 1)
        made.serve(window, stream_rows(window, number, rng, 10_000 * number))
        yield number


__all__ = ["AFTER", "BEFORE", "FALLING", "STABLE", "accuracy", "day", "decaying", "lived"]
