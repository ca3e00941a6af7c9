"""What validation found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_mlops.core.records.base import Record
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
