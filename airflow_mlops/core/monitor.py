"""The records after promotion: validation, predictions, profiles and drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from airflow_mlops.core.data import Column, Window
from airflow_mlops.core.record import Record
from airflow_mlops.spec.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Check:
    """One expectation and what was seen. Counts only: no data value."""

    expectation: str
    """The name as written in the specification."""
    column: str
    """Column or columns; empty for the whole table."""
    severity: Literal["error", "warning"]
    passed: bool
    rows: int
    unexpected: int | None
    """Rows that break the expectation, when it is about rows."""
    problem: Problem | None = None


@dataclass(frozen=True, kw_only=True)
class ValidationReport(Record):
    """Whether data is fit to be used, and everything that speaks against it."""

    subject: str
    """The model's name, or the source in words."""
    passed: bool
    """False when any check of severity error failed."""
    rows: int
    checks: tuple[Check, ...]
    report_uri: str = ""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Problems of the failed checks, errors first."""
        failed = sorted((c for c in self.checks if not c.passed), key=lambda c: c.severity)
        return tuple(check.problem for check in failed if check.problem is not None)


@dataclass(frozen=True, kw_only=True)
class Predictions(Record):
    """One scored window: where the rows are, and which version made them.

    Format 2 added `scored_at`; of predictions written before, it is None.
    """

    FORMAT: ClassVar[int] = 2

    model: str
    version: int
    run_id: str
    window: Window
    rows: int
    uri: str
    """Parquet: key columns, event time, prediction, probabilities, model_version, model_run_id, loop_run."""
    scored_at: datetime | None = None
    """The real time: where scored windows overlap, the one that was scored last counts."""


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """Counts of one column in frozen bins; profiles of parts add up to the profile of the whole."""

    name: str
    role: Literal["numeric", "categorical"]
    edges: tuple[float, ...] = ()
    """Inner edges of numeric bins, ascending: the first and last bin are open."""
    categories: tuple[str, ...] = ()
    """Top values of the reference; what is not among them counts as other."""
    counts: tuple[int, ...]
    """One count for each bin or category, then `other` (categorical only)."""
    missing: int = 0
    non_finite: int = 0
    kind: Literal["", "number", "text", "boolean", "time"] = ""
    """What the values are, whatever their width: a code that turns from text into a number was retyped, and has
    not drifted. Empty while every value was missing."""


@dataclass(frozen=True, kw_only=True)
class Profile(Record):
    """The distribution of a window of rows in frozen bins; the champion's training profile is the reference.

    Format 2 added `outputs`, `importance` and `schema`; of a profile written before, they are empty.
    """

    FORMAT: ClassVar[int] = 2

    model: str
    window: Window
    rows: int
    columns: tuple[ColumnProfile, ...]
    """The features."""
    outputs: tuple[ColumnProfile, ...] = ()
    """`prediction` (the positive class's probability, else the predicted class or number) and `label`; of a reference
    on the holdout rows, which the model did not learn from. Counted apart: their rows are their own counts' sum."""
    importance: Mapping[str, float] = field(default_factory=dict)
    """Share of each feature in the champion, by name, adding up to 1: permutation importance on the holdout. Of a
    reference only; empty: every feature counts alike."""
    schema: tuple[Column, ...] = ()
    """Every column of the source when it was counted, with its type."""


DriftVerdict = Literal["drift", "ok", "unknown", "invalid"]
Cause = Literal[
    "unit_change",
    "constant",
    "missing_spike",
    "non_finite",
    "category_renamed",
    "new_category",
    "retyped",
    "column_missing",
    "column_new",
    "segment",
    "world",
]
"""What a change looks like. All but `segment` and `world` (and `new_category`, `column_new`) look like a fault of the
pipeline."""


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """One column against its reference. Effect sizes are None where they cannot be had."""

    column: str
    verdict: DriftVerdict
    psi: float | None
    p_value: float | None
    """Chi-squared test of the counts, adjusted across columns (Benjamini-Hochberg)."""
    reason: str
    part: Literal["feature", "prediction", "label"] = "feature"
    weight: float | None = None
    """Share of the features' importance; None for predictions and labels."""
    effect: float | None = None
    """The effect size that was held against the bound: `monitoring.drift.effect`, or Evidently's value."""
    jensen_shannon: float | None = None
    """Distance: the square root of the divergence with logarithms of base 2, 0 to 1."""
    total_variation: float | None = None
    """Half the sum of absolute differences of the shares, 0 to 1."""
    wasserstein: float | None = None
    """Of the binned values, in units of the reference's standard deviation; numeric columns only."""
    cramers_v: float | None = None
    missing_before: float | None = None
    """Share of missing values."""
    missing_now: float | None = None


@dataclass(frozen=True, kw_only=True)
class SchemaChange:
    """A column that came, went, changed its type, or has values never seen: not drift of a distribution."""

    column: str
    change: Literal["new", "missing", "retyped", "unseen_categories"]
    detail: str
    share: float | None = None
    """Share of the rows, of unseen categories."""


@dataclass(frozen=True, kw_only=True)
class CauseHint:
    """What a change looks like, since when, and where: a hint to look, not a verdict."""

    column: str
    cause: Cause
    pipeline: bool
    """Whether it looks like a fault of the pipeline rather than a change of the world."""
    words: str
    """One sentence for a person."""
    since: datetime | None = None
    """Start of the oldest of the windows in a row that show it."""
    segment: str = ""
    """`column=value` of the segment that the drift is confined to."""


@dataclass(frozen=True, kw_only=True)
class DriftReport(Record):
    """A window against a reference.

    Format 2 added what follows `as_of`; of a report written before, it has its defaults.
    """

    FORMAT: ClassVar[int] = 2

    model: str
    champion_version: int
    window: Window
    reference: Window
    rows: int
    verdict: DriftVerdict
    """Of the features, weighted by importance."""
    columns: tuple[ColumnDrift, ...]
    reasons: tuple[str, ...]
    as_of: datetime
    against: Literal["training", "previous", "year_before"] = "training"
    prediction: DriftVerdict = "unknown"
    label: DriftVerdict = "unknown"
    share: float | None = None
    """Share of the features' importance in drift."""
    changes: tuple[SchemaChange, ...] = ()
    hints: tuple[CauseHint, ...] = ()
    others: tuple[str, ...] = ()
    """What the other references say, one sentence each."""

    @property
    def pipeline_fault(self) -> bool:
        """Whether a change looks like a fault of the pipeline."""
        return any(hint.pipeline for hint in self.hints)
