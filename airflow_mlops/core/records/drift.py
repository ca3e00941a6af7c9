"""How far a window is from its reference, by column, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.fault import FaultySpan
from airflow_mlops.core.records.snapshot import Window

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
    """Of the counts, adjusted across columns (Benjamini-Hochberg): what is larger of that in which each row counts by
    itself and that in which days differ as those of the reference do."""
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
    design_effect: float | None = added(None)
    """How many rows of this column weigh as much as one that is independent of the others, because days differ (Kish,
    1965); at least 1. None where the reference does not tell."""


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

    Format 2 added what follows `as_of`, format 3 `quarantined`; of a report written before, they have their defaults.
    """

    FORMAT: ClassVar[int] = 3

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
    quarantined: tuple[FaultySpan, ...] = ()
    """Spans, also before the window, whose rows are broken: no evidence of anything until they are mended."""

    @property
    def pipeline_fault(self) -> bool:
        """Whether a change looks like a fault of the pipeline."""
        return any(hint.pipeline for hint in self.hints)
