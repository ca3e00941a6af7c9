"""A served model whose classifier is calibrated, and live rows whose share of wrong outcomes is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.snapshot import Window
from tests.support.served_model import (
    Says,
    Served,
    days,
    rows_on,
    served,
    spec_of,
)

P1 = [Feature(name="p1", role="numeric")]


def classified(window: Window, rows: int, rng: np.random.Generator, first: int = 0, wrong: float = 0.0) -> pd.DataFrame:
    """Rows whose classifier is calibrated, but that a share of the outcomes is the other one."""
    p = rng.beta(0.6, 0.6, rows).clip(0.01, 0.99)
    y = (rng.random(rows) < p).astype(int)
    return rows_on(
        window,
        rows,
        rng,
        first,
        p1=p,
        y=np.where(rng.random(rows) < wrong, 1 - y, y),
        region=rng.choice(["n", "s"], rows),
        amount=rng.normal(size=rows),
    )


def made(seed: int = 0, **parts: Any) -> Served:
    rng = np.random.default_rng(seed)
    train, holdout = classified(days(-60, -14), 4600, rng, 10**6), classified(days(-14, 0), 2800, rng, 2 * 10**6)
    return served(spec_of(**parts), holdout, train, Says(), P1)


def live(one: Served, start: int, end: int, seed: int = 5, rows: int = 100, **more: Any) -> pd.DataFrame:
    """Serve day by day; returns every row."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(start, end):
        frame = classified(days(number, number + 1), rows, rng, 10_000 * number, **more)
        one.serve(days(number, number + 1), frame)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def unknown_because(report: PerformanceReport, words: str) -> None:
    assert report.verdict == "unknown", report.reasons
    assert any(words in reason for reason in report.reasons), report.reasons
