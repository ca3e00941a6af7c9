"""The records after promotion: validation, predictions, reference profile, drift, retraining."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from airflow_mlops.core.data import Window
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
    """One scored window: where the rows are, and which version made them."""

    model: str
    version: int
    run_id: str
    window: Window
    rows: int
    uri: str
    """Parquet: key columns, event time, prediction, probabilities, model_version, model_run_id, loop_run."""


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
    """The distribution of a window of rows in frozen bins; the champion's training profile is the reference."""

    model: str
    window: Window
    rows: int
    columns: tuple[ColumnProfile, ...]


DriftVerdict = Literal["drift", "ok", "unknown", "invalid"]


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """One column against its reference."""

    column: str
    verdict: DriftVerdict
    psi: float | None
    p_value: float | None
    """Chi-squared test of the counts, adjusted across columns (Benjamini-Hochberg)."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class DriftReport(Record):
    """A window against the champion's reference profile."""

    model: str
    champion_version: int
    window: Window
    reference: Window
    rows: int
    verdict: DriftVerdict
    columns: tuple[ColumnDrift, ...]
    reasons: tuple[str, ...]
    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class RetrainDecision(Record):
    """Whether to retrain now, with the evidence."""

    model: str
    action: Literal["retrain", "wait"]
    as_of: datetime
    reasons: tuple[str, ...]
    evidence: Mapping[str, str]
    """Digest of the drift report and the champion's version: names the event that this decision answers."""
