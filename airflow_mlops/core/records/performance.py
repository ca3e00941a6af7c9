"""What a champion achieved: the records of realised and of estimated performance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.snapshot import Window

DecayVerdict = Literal["decay", "ok", "unknown", "invalid"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A number with its interval."""

    value: float
    lower: float | None = None
    upper: float | None = None
    rows: int


@dataclass(frozen=True, kw_only=True)
class LineTerms:
    """Score and information of a line through what the champion said, as means over a block's rows.

    They are the first and second derivatives of the metric, where the line changes nothing. With them a champion can be
    recalibrated on blocks whose rows are not at hand any more.
    """

    score: tuple[float, float]
    """How much faster than not at all the metric gets better as level and slope rise."""
    information: tuple[float, float, float]
    """How it curves: along the level, along both, along the slope."""


@dataclass(frozen=True, kw_only=True)
class BlockExcess:
    """What the champion lost in a block of event time beyond what it expects itself of these rows."""

    start: datetime
    rows: int
    excess: float
    """In units of the primary metric, positive is worse; where no expectation is to be had, the realised metric with
    that sign."""
    gain: float | None = None
    """On the trivial baseline; positive is better."""
    line: LineTerms | None = added(None)
    """None: of a metric that a line does not change, or written before there were any."""


@dataclass(frozen=True, kw_only=True)
class Rise:
    """Since when the champion is worse than before, and how surely."""

    since: datetime
    """Start of the first block of the worse ones."""
    blocks: int
    """Of the worse ones."""
    size: float
    """How much worse, in units of the primary metric."""
    surely: float
    """How much at least, however often one looks."""
    p: float
    """Of this one statistic; sure is what `core.stats.mean_rise` says."""
    beside: Literal["itself", "recalibrated"] = added("itself")
    """Worse than what: than it expects of these rows, or than it would be with a level and slope that were learned from
    the rows before."""


@dataclass(frozen=True, kw_only=True)
class SliceDecay:
    """What one slice lost against what the gate promised for it, in units of the primary metric."""

    column: str
    value: str
    rows: int
    realised: Measured
    promised: float | None
    """None where the gate had too few rows of the slice."""
    drop: float | None
    """Positive is worse."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Performance estimated without outcomes, on predictions whose outcomes are not known yet."""

    method: Literal["cbpe", "direct_loss"]
    """Confidence-based performance estimation from calibrated probabilities; direct loss estimation for regression."""
    window: Window
    estimated: Measured
    drop: float
    """Against the promise; positive is worse."""
    verdict: DecayVerdict
    assumptions: tuple[str, ...]
    error: float | None = None
    """Estimated less realised on the newest cohort whose outcomes are known: what the estimate is worth. None: there
    is none yet."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Every metric that the method can estimate."""


@dataclass(frozen=True, kw_only=True)
class DataHealth:
    """Whether predictions and their inputs arrive: freshness, volume, missing values, latency and errors."""

    newest: datetime | None
    """Event time of the newest row of the source."""
    age_seconds: float | None
    """As-of less that."""
    rows: int
    """Rows of the source in the cohort's window."""
    predicted: int
    """Rows of it that were scored."""
    missing: Mapping[str, float] = field(default_factory=dict)
    """Share of missing values by feature, of those with any."""
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    """`p50`, `p99`, where the serving side reports a column `latency_ms` with its predictions."""
    errors: int | None = None
    """Predictions that failed, where the serving side reports a column `error`."""


@dataclass(frozen=True, kw_only=True)
class PerformanceReport(Record):
    """Predictions of one cohort joined with their outcomes, against what the gate promised."""

    model: str
    champion_version: int
    as_of: datetime
    window: Window
    """Event times of the cohort: all of its labels are mature at as-of."""
    metric: str
    predicted: int
    """Predictions in the window, of whichever version served."""
    matched: int
    """Of these, with an outcome, and made by this champion."""
    coverage: float
    """Share of the predictions that have an outcome, 0 to 1."""
    immature: int
    """Predictions up to as-of that are left out because their labels are not mature."""
    promised: float | None
    """The primary metric on the gate's holdout rows."""
    realised: Measured | None = None
    drop: Measured | None = None
    """Promised less realised, so that positive is worse, with its interval."""
    bound: float | None = None
    """Largest drop that is not decay."""
    urgent_bound: float | None = None
    verdict: DecayVerdict
    urgent: bool = False
    """Whether it is surely beyond the urgent bound."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Every registered metric of the task on the cohort."""
    baseline_gain: Measured | None = None
    """What the champion gains on the trivial baseline on these rows; at the gate it gained `promised_gain`."""
    promised_gain: float | None = None
    calibration_error: float | None = None
    slices: tuple[SliceDecay, ...] = ()
    """Worst drop first."""
    estimate: Estimate | None = None
    flow: DataHealth | None = None
    problems: tuple[str, ...] = ()
    """What is odd about the outcomes: doubled, contradicting, without prediction."""
    reasons: tuple[str, ...]
    block_seconds: float | None = added(None)
    """Length of the blocks; None of a report that was written before there were any."""
    blocks: tuple[BlockExcess, ...] = added(())
    """Every block of this champion's service whose outcomes are known, by this look and earlier ones; oldest first."""
    reference: tuple[BlockExcess, ...] = added(())
    """The same of its holdout rows."""
    rise: Rise | None = added(None)
    """The most telling place where the blocks began to be worse, sure or not."""
    changed: datetime | None = added(None)
    """Since when what the champion learned is surely known not to hold; None: it is not."""
    displaced_gain: float | None = added(None)
    """What the champion gained at the gate, in the primary metric, on the one that served before it; positive is
    better. None: there was none, or it is not known."""
