"""What the gate's rules saw, in numbers: the tables and curves behind a decision, small enough to travel with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.candidate import Label

MAX_POINTS = 101
"""Points of a curve that are kept: a page cannot show more."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number with its confidence interval; bounds are NaN where none could be made."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, kw_only=True)
class SliceResult:
    """One slice of the holdout rows."""

    column: str
    value: str
    """The column's value in words, or its bin: `12 to 40`; `missing` for rows without one."""
    rows: int
    judged: bool
    """Whether it has the fewest rows asked for."""
    candidate: float | None
    """The primary metric."""
    champion: float | None
    drop: Interval | None
    """How much worse than the champion (positive is worse), on these rows."""
    drop_p: float | None
    """p-value of `the drop is at most max_drop`, corrected over all slices (Holm)."""
    gap: Interval | None
    """How much worse than on all rows."""
    gap_p: float | None


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of the rows, found by a search, where the candidate is weak."""

    words: str
    """`distance > 1,200 and origin in {EWR}`"""
    rows: int
    share: float
    metric: float
    """The primary metric on rows that the search had not seen."""
    whole: float
    """The same on all of those rows."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """One group of a protected attribute."""

    column: str
    value: str
    rows: int
    judged: bool
    metrics: Mapping[str, float]
    """`selection_rate`, `true_positive_rate`, `false_positive_rate` where they exist, and the task's own metrics."""


@dataclass(frozen=True, kw_only=True)
class Disparity:
    """A difference between the groups of a protected attribute."""

    column: str
    measure: str
    """`demographic_parity_difference`, `equalized_odds_difference`, or the primary metric's name."""
    difference: Interval
    bound: float | None
    rows: int


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Rows with about the same predicted probability."""

    predicted: float
    """Mean of it."""
    observed: Interval
    """Share of them where it came true."""
    rows: int


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How far a model's probabilities are from what happens."""

    who: Literal["candidate", "champion"]
    event: str
    """What the probability is of: the positive class, or `predicted class` for several classes."""
    error: Interval
    """Expected calibration error."""
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line of the page, of at most `MAX_POINTS` points."""

    name: Literal["roc", "precision_recall", "residuals"]
    who: Literal["candidate", "champion"]
    of: str
    """The class that it is about; for residuals the quantile axis in words."""
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """The primary metric when the input is broken in one way."""

    kind: Literal["missing", "noise", "shuffled"]
    what: str
    """`10 % of all values`, or the column that was shuffled."""
    metric: float
    drop: float
    """How much worse than on the rows as they are (positive is worse)."""
    rows: int


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Something that may know the label."""

    kind: Literal["power", "function", "known_with_label", "overlap", "time", "question"]
    what: str
    """The feature, or `key` and `content` of an overlap."""
    value: float
    bound: float
    leaking: bool
    words: str
    """One sentence."""

    @property
    def asked(self) -> bool:
        """Whether it is strong, may be honest, and nobody has said yet that it is known before the event."""
        return self.kind == "question"


@dataclass(frozen=True, kw_only=True)
class ServingReport(Record):
    """What a fresh interpreter saw of the stored model."""

    model_uri: str
    environment: Literal["current", "fresh"]
    rows: int
    """Rows of the golden batch."""
    max_difference: float
    """Largest difference between a served and a recorded prediction; NaN when a prediction is missing."""
    load_seconds: float
    row_ms: tuple[float, float]
    """p50 and p99 of scoring one row."""
    batch_ms: tuple[float, float]
    """p50 and p99 of scoring the whole golden batch."""
    size_bytes: int
    python: str
    failure: str | None = None
    """Why it could not be served, in one sentence; the numbers mean nothing then."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that differs between candidate and champion."""

    what: str
    """`training.parameters.max_iter`, `features`, `train window`, `package scikit-learn`, ..."""
    candidate: str
    champion: str


@dataclass(frozen=True, kw_only=True)
class ClassRows:
    """How often one class is in the rows."""

    label: Label
    train: int
    judged: int
    positive: bool = False
    """Whether metrics of one class are about it."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that the rules saw."""

    slices: tuple[SliceResult, ...] = ()
    segments: tuple[Segment, ...] = ()
    groups: tuple[Group, ...] = ()
    disparities: tuple[Disparity, ...] = ()
    reliability: tuple[Reliability, ...] = ()
    curves: tuple[Curve, ...] = ()
    perturbations: tuple[Perturbation, ...] = ()
    leaks: tuple[Leak, ...] = ()
    serving: ServingReport | None = None
    changes: tuple[Change, ...] = ()
    convergence: Mapping[str, Any] = field(default_factory=dict)
    """`warnings`, `iterations`, `limit`: what the estimator said of its own training."""
    classes: tuple[ClassRows, ...] = added(())
    """Rows of each class, of a classification."""


DROP = "drop_under_broken_input"


RELIANCE = "drop_without_one_column"
"""What the two results are about."""
