"""What drift reports say, in sentences for the person on call."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_mlops.core.monitoring.drift.effect_sizes import EffectSize
from airflow_mlops.core.records.drift import ColumnDrift, DriftReport
from airflow_mlops.spec.monitoring import DriftSpec

NAMED = 10
"""Columns that the reasons name; all of them stand in the report's columns."""
REFERENCE_WORDS = {
    "training": "the champion's training rows",
    "previous": "the window before",
    "year_before": "the same days a year before",
}
_WORTH_A_WORD = 0.01


def of_column(column: ColumnDrift, size: EffectSize, value: float, drift: DriftSpec) -> str:
    """Why a column is in drift, or is not: effect, significance, missing values."""
    effect, p = column.effect or 0.0, 1.0 if column.p_value is None else column.p_value
    chance = f" ({effect:.3f} beyond chance)" if abs(value - effect) >= 0.0005 else ""  # noqa: PLR2004 - as printed
    said = (
        f"{size.words} {value:.3f}{chance} {'>=' if effect >= drift.min_effect else '<'} "
        f"{drift.min_effect:g}, adjusted p {p:.2g} {'<' if p < drift.level else '>='} {drift.level:g}"
    )
    was, now = column.missing_before or 0.0, column.missing_now or 0.0
    if p < drift.level and abs(now - was) >= _WORTH_A_WORD:
        said += f"; missing {was:.1%} before, {now:.1%} now"
    return said


def of_share(drifting: int, columns: int, share: float, bound: float, *, even: bool) -> str:
    """How much of the features is in drift, and how much makes drift."""
    count = f"{drifting} of {columns} feature columns"
    how_much = f" ({share:.0%}) are in drift" if even else f" are in drift, with {share:.0%} of the importance"
    return f"{count}{how_much}; {bound:.0%} make drift."


def of_output(column: ColumnDrift) -> str:
    """A sentence on predictions or labels."""
    subject = "The predictions" if column.part == "prediction" else "The labels"
    said = "are in drift" if column.verdict == "drift" else "cannot be compared"
    return f"{subject} {said}: {column.reason}."


def named(columns: Sequence[ColumnDrift]) -> tuple[str, ...]:
    """A sentence for each column, as many as are read."""
    more = (f"and {len(columns) - NAMED} more columns.",) if len(columns) > NAMED else ()
    return tuple(f"{c.column}: {c.reason}." for c in columns[:NAMED]) + more


def of_other(report: DriftReport) -> str:
    """What another reference says, in one sentence."""
    against = f"Against {REFERENCE_WORDS[report.against]} ({report.reference.start:%Y-%m-%d} to "
    against += f"{report.reference.end:%Y-%m-%d})"
    if report.verdict not in {"drift", "ok"}:
        return f"{against}: {report.verdict}: {report.reasons[0]}"
    drifting = [column.column for column in report.columns if column.verdict == "drift"]
    shown = ", ".join(drifting[:NAMED]) + (f" and {len(drifting) - NAMED} more" if len(drifting) > NAMED else "")
    columns = f" in {shown}" if drifting else ""
    return f"{against}: {report.verdict}, {report.share or 0.0:.0%} of the features' importance in drift{columns}."
