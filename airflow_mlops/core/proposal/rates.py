"""How long windows must be so that training learns, the gate decides and monitoring speaks: by the data's own rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_mlops.core.gate import settings_for_rare
from airflow_mlops.core.pipeline.simpler import LearnedFrom
from airflow_mlops.core.proposal.roles import Target
from airflow_mlops.core.proposal.sample import SourceSample
from airflow_mlops.spec.gate import GateSpec
from airflow_mlops.spec.monitoring import MonitoringSpec

DAY = timedelta(days=1)
TRAINING_ROWS = 5_000
"""Rows that a training window holds where history has them: from there on a boosted tree gains little by more."""
MOST_TRAINING_ROWS = 1_000_000
"""Rows of a training window at most, for the first day's patience."""
HOLDOUT_ROWS = 1_000
"""Rows that decide a gain of a tenth of a loss's spread with power 0.8: (2.5 / 0.1)^2 = 625, and half as many again
because rows of one day hang together."""
PERIODS_TRAINED, PERIODS_JUDGED = 24, 6
"""Where rows come at distinct times (a survey's wave, a month's end): so many of them."""
_RARE_ROWS = 1_000
FEWEST_BLOCKS = 6
"""Days of a holdout from which on a day is a block: fewer are no sample."""
FEW_ROWS = 1_000
"""Fewer training rows than this are learned by a linear model: trees of 20 rows a leaf find nothing in them."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A field of the specification, its value, and why."""

    field: str
    """`gate.holdout`."""
    value: Any
    reason: str


def settings_of(sample: SourceSample, target: Target, now: datetime) -> tuple[Setting, ...]:
    """Return what differs from the defaults, or what a person should see of them, in the order of a specification."""
    rate = _Rate(sample, target)
    return (*rate.schedule(now), *rate.data(), *rate.training(), *rate.gate(), *rate.watching(), *_of_rare(target))


def _of_rare(target: Target) -> Iterator[Setting]:
    """Yield what the gate knows to help where the positive class is rare."""
    if target.share is None or not target.rare_is_positive:
        return
    rows = round(_RARE_ROWS / target.share)
    why = f"{target.share:.2%} of the rows are {target.rare!r}: few"
    for field, value in settings_for_rare(LearnedFrom(rows=rows, events=_RARE_ROWS)).items():
        yield Setting(field=field, value=value, reason=why)


class _Rate:
    """The rate of a source, and what follows from it."""

    def __init__(self, sample: SourceSample, target: Target) -> None:
        self.sample, self.target = sample, target
        self.per_day = sample.per_day
        self.period = _period(sample)
        self.delay = _label_delay(sample, target)
        self.history = max(math.floor(sample.history / DAY), 1)
        self.window = self._window()
        self.holdout = self._holdout()

    def schedule(self, now: datetime) -> Iterator[Setting]:
        """Yield when it trains: from when a window is full, until the data ends where it has ended."""
        days = max(self.period / DAY, 1)
        weekly = 7 * self.per_day
        if self.period > 45 * DAY:
            cron, why = "@quarterly", f"rows come every {days:.0f} days"
        elif self.period > 8 * DAY or weekly < TRAINING_ROWS / 50:
            cron, why = "@monthly", f"about {30 * self.per_day:,.0f} new rows a month"
        else:
            cron, why = "@weekly", f"about {weekly:,.0f} new rows a week"
        yield Setting(field="schedule.cron", value=cron, reason=f"{why}; monitoring retrains sooner where it must")
        start = _midnight(self.sample.first + (self.window * DAY) + self.delay)
        yield Setting(field="schedule.start", value=f"{start:%Y-%m-%d}", reason="the first full training window")
        if now - self.sample.last > max(30 * DAY, 3 * self.period):
            end = _midnight(self.sample.last + self.delay + timedelta(microseconds=1))
            yield Setting(
                field="schedule.end",
                value=f"{end:%Y-%m-%d}",
                reason=f"the data ends on {self.sample.last:%Y-%m-%d}: history only; take it out when rows come again",
            )

    def data(self) -> Iterator[Setting]:
        """Yield the label's delay and the training window."""
        if self.delay:
            yield Setting(
                field="data.label_delay", value=_written(self.delay), reason="the newest rows have no label yet"
            )
        else:
            yield Setting(
                field="data.label_delay",
                value="0d",
                reason="every newest row has its label; write how long after the event it is really known",
            )
        rows = self.window * self.per_day
        yield Setting(
            field="data.window",
            value=f"{self.window}d",
            reason=f"about {rows:,.0f} rows at {self._pace()}, of {self.history:,} days of history",
        )

    def training(self) -> Iterator[Setting]:
        """Yield the estimator."""
        rows = (self.window - self.holdout) * self.per_day
        few = rows < FEW_ROWS
        regression = self.target.task == "regression"
        tree = "sklearn.ensemble.HistGradientBoosting" + ("Regressor" if regression else "Classifier")
        linear = "sklearn.linear_model." + ("Ridge" if regression else "LogisticRegression")
        why = f"{self.target.task}: {self.target.task_reason}"
        yield Setting(
            field="training.estimator",
            value=linear if few else tree,
            reason=why + (f"; linear, as about {rows:,.0f} rows are few" if few else ""),
        )

    def gate(self) -> Iterator[Setting]:
        """Yield the holdout, and how many rows it must have."""
        rows = self.holdout * self.per_day
        yield Setting(
            field="gate.holdout", value=f"{self.holdout}d", reason=f"the newest, about {rows:,.0f} rows: judged on"
        )
        if self.holdout < FEWEST_BLOCKS:
            hours = max(1, 24 * self.holdout // (2 * FEWEST_BLOCKS))
            yield Setting(
                field="gate.champion.block",
                value=f"{hours}h",
                reason="rows so near in time are resampled together: days would be too few blocks of this history",
            )
        default = GateSpec.model_validate({}).min_rows
        if rows < 1.25 * default:
            least = max(20, math.floor(0.8 * rows))
            yield Setting(
                field="gate.min_rows", value=least, reason=f"a holdout has about {rows:,.0f}; fewer decide little"
            )

    def watching(self) -> Iterator[Setting]:
        """Yield how often and on how many days is scored and monitored."""
        slow = self.period >= 2 * DAY
        if slow:
            days = math.ceil(self.period / DAY)
            cron = "@weekly" if days <= 7 else "@monthly" if days <= 45 else "@quarterly"  # noqa: PLR2004
            span = {"@weekly": 7, "@monthly": 31, "@quarterly": 92}[cron]
            why = f"rows come every {days} days"
            yield Setting(field="scoring.schedule", value=cron, reason=why)
            yield Setting(field="scoring.window", value=f"{span}d", reason="what came since the run before")
            yield Setting(field="monitoring.schedule", value=cron, reason=why)
            yield Setting(field="monitoring.window", value=f"{span}d", reason="what came since the run before")
        yield from self._longest(slow)

    def _longest(self, slow: bool) -> Iterator[Setting]:
        usual = MonitoringSpec.model_validate({})
        least, longest = usual.performance.min_rows, usual.longest_window / DAY
        needed = max(least / self.per_day, 6 * (self.period / DAY) if slow else 0)
        if needed <= longest:
            return
        days = min(math.ceil(needed), max(366, 6 * math.ceil(self.period / DAY)))
        rows = days * self.per_day
        yield Setting(
            field="monitoring.longest_window",
            value=f"{days}d",
            reason=f"windows grow until they hold enough rows: about {rows:,.0f} by then",
        )
        yield Setting(
            field="monitoring.performance.window", value=f"{days}d", reason="outcomes of as many days are looked at"
        )
        if rows < 1.25 * least:
            few = max(30, math.floor(0.6 * rows))
            yield Setting(
                field="monitoring.performance.min_rows", value=few, reason="of rows this few only large decay is sure"
            )

    def _pace(self) -> str:
        if self.period >= 2 * DAY:
            return f"{self.per_day:,.1f} rows a day, which come every {self.period / DAY:.0f} days"
        return f"{self.per_day:,.0f} rows a day"

    def _window(self) -> int:
        wanted = max(60, PERIODS_TRAINED * self.period / DAY if self.period > DAY else 0, TRAINING_ROWS / self.per_day)
        most = max(MOST_TRAINING_ROWS / self.per_day, 14)
        return max(2, math.floor(min(wanted, most, self.history / 2)))

    def _holdout(self) -> int:
        wanted = max(14, PERIODS_JUDGED * self.period / DAY if self.period > DAY else 0, HOLDOUT_ROWS / self.per_day)
        return max(1, math.floor(min(wanted, self.window / 3)))


def _period(sample: SourceSample) -> timedelta:
    """Return the usual time between two distinct event times."""
    import numpy as np

    times = np.unique(sample.frame[sample.time].to_numpy(dtype="datetime64[us]"))
    if len(times) < 2:  # noqa: PLR2004
        return timedelta(0)
    return timedelta(microseconds=int(np.median(np.diff(times)).astype("int64")))


def _label_delay(sample: SourceSample, target: Target) -> timedelta:
    """Return how far the newest label lies behind the newest row, in whole days; what is under an hour is none."""
    known = sample.frame.loc[sample.frame[target.name].notna(), sample.time]
    if known.empty:
        return timedelta(0)
    behind = sample.last - known.max().to_pydatetime()
    return math.ceil(behind / DAY) * DAY if behind >= timedelta(hours=1) and behind > 3 * _period(sample) else 0 * DAY


def _midnight(moment: datetime) -> datetime:
    """Return the first midnight, in UTC, that is not before an instant."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if day == moment else day + DAY


def _written(length: timedelta) -> str:
    return f"{length // DAY}d"
