"""Stationary streams whose days differ: each column's mean walks from day to day, and nothing ever changes for good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from airflow_mlops.core.monitoring.drift.compare import compare
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.profile import ColumnProfile, DayCounts, Profile
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.monitoring import DriftSpec

START = datetime(2024, 1, 1, tzinfo=UTC)
ALIKE, ONE_HAS_HALF = (1 / 8,) * 8, (0.5, 0.3, 0.1, 0.1)
"""Importance of the features."""


@dataclass(frozen=True, kw_only=True)
class DayStream:
    """Normal rows around a day's mean, which is an autoregression of the first order with variance `sd**2`."""

    sd: float
    """Standard deviation of the days' means, in that of the rows about them."""
    rho: float
    """Correlation of one day's mean with the next."""
    rows: int = 100
    """Rows a day."""
    weights: Sequence[float] = ALIKE
    shift: float = 0.0
    """By how much the first column's mean moves for good, in standard deviations of the rows, after the reference."""
    reference: int = 44
    gap: int = 15
    window: int = 7
    mixed: bool = False
    """Whether the days of the second half of the columns do not hang together."""

    def reports(self, rng: np.random.Generator, weeks: int, drift: DriftSpec) -> list[DriftReport]:
        """Watch one stream for so many windows that follow each other."""
        days = self.reference + self.gap + weeks * self.window
        columns = [self._counts(rng, days, number) for number in range(len(self.weights))]
        before = self._profile(columns, 0, self.reference, by_day=True)
        ends = range(self.reference + self.gap + self.window, days + 1, self.window)
        return [
            compare(
                before,
                self._profile(columns, end - self.window, end),
                drift,
                champion_version=1,
                as_of=START + timedelta(days=end),
            )
            for end in ends
        ]

    def _counts(self, rng: np.random.Generator, days: int, number: int) -> tuple[tuple[float, ...], np.ndarray]:
        """Edges that are frozen on the reference, and counts by day, shape (days, bins)."""
        rho = 0.0 if self.mixed and number >= len(self.weights) / 2 else self.rho
        noise, mean = rng.normal(size=days), np.empty(days)
        mean[0] = noise[0]
        for day in range(1, days):
            mean[day] = rho * mean[day - 1] + math.sqrt(1 - rho**2) * noise[day]
        values = rng.normal(size=(days, self.rows)) + self.sd * mean[:, None]
        if number == 0:
            values[self.reference :] += self.shift
        edges = np.unique(np.quantile(values[: self.reference], np.arange(1, 20) / 20))
        place = np.searchsorted(edges, values, side="right") + np.arange(days)[:, None] * 20
        return tuple(edges.tolist()), np.bincount(place.ravel(), minlength=days * 20).reshape(days, 20)

    def _profile(
        self, columns: Sequence[tuple[tuple[float, ...], np.ndarray]], start: int, end: int, *, by_day: bool = False
    ) -> Profile:
        made = []
        for number, (edges, days) in enumerate(columns):
            own = days[start:end]
            kept = DayCounts(length=1, counts=tuple((*day, 0, 0) for day in own.tolist())) if by_day else None
            counts = tuple(own.sum(axis=0).tolist())
            made.append(ColumnProfile(name=f"x{number}", role="numeric", edges=edges, counts=counts, by_day=kept))
        window = Window(start=START + timedelta(days=start), end=START + timedelta(days=end))
        importance = {f"x{number}": weight for number, weight in enumerate(self.weights)} if by_day else {}
        rows = (end - start) * self.rows
        return Profile(model="m", window=window, rows=rows, columns=tuple(made), importance=importance)


@dataclass(frozen=True, kw_only=True)
class Share:
    """Shares of windows."""

    column: float
    """Columns in drift."""
    model: float
    """Windows in which the model is."""
    signal: float
    """Windows in which that makes a signal: `violations` of the last `of`, the newest among them."""
    shifted: float
    """Windows in which the first column is in drift."""
    first: float
    """Streams in whose first window the first column is."""


def watched(stream: DayStream, streams: int, *, weeks: int, seed: int, drift: DriftSpec | None = None) -> Share:
    """Watch several streams."""
    rng, spec = np.random.default_rng(seed), drift or DriftSpec.model_validate({})
    column, model, signal, shifted, first = [], [], [], [], []
    for _ in range(streams):
        past: list[bool] = []
        found = stream.reports(rng, weeks, spec)
        for report in found:
            verdicts = [one.verdict == "drift" for one in report.columns]
            past.insert(0, report.verdict == "drift")
            column.append(sum(verdicts) / len(verdicts))
            model.append(past[0])
            signal.append(past[0] and sum(past[: spec.of]) >= spec.violations)
            shifted.append(verdicts[0])
        first.append(found[0].columns[0].verdict == "drift")
    column_share, model_share, signal_share, shifted_share, first_share = (
        float(np.mean(values)) for values in (column, model, signal, shifted, first)
    )
    return Share(column=column_share, model=model_share, signal=signal_share, shifted=shifted_share, first=first_share)
