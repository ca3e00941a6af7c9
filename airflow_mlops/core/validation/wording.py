"""How a failed check is said: counts and percentages, never a value of the data."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from airflow_mlops.core.records.validation import Check
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.validation import Expectation

NAMES_SHOWN = 12


def share(count: int, total: int, noun: str = "rows") -> str:
    """Say how many of how many.

    >>> share(12, 5000), share(1, 1_000_000, "values")
    ('12 of 5,000 rows (0.24 %)', '1 of 1,000,000 values (under 0.01 %)')
    """
    percent = 100 * count / total if total else 0.0
    shown = "under 0.01" if 0 < percent < 0.01 else f"{percent:.2f}".rstrip("0").rstrip(".")  # noqa: PLR2004
    return f"{count:,} of {total:,} {noun} ({shown} %)"


def names(columns: Iterable[str], shown: int = NAMES_SHOWN) -> str:
    """List column names, at most `shown` of them.

    >>> names(["a", "b", "c"], shown=2)
    'a, b and 1 more'
    """
    known = list(columns)
    rest = len(known) - shown
    return ", ".join(known[:shown]) + (f" and {rest} more" if rest > 0 else "")


def age(span: timedelta) -> str:
    """Say a length of time in its two largest units.

    >>> age(timedelta(days=3, hours=4, minutes=5)), age(timedelta(seconds=30))
    ('3 d 4 h', '30 s')
    """
    seconds, parts = int(span.total_seconds()), []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def passed(expectation: Expectation, column: str, rows: int, unexpected: int | None = None) -> Check:
    """Make the check of an expectation that holds."""
    return Check(
        expectation=expectation.expect,
        column=column,
        severity=expectation.severity,
        passed=True,
        rows=rows,
        unexpected=unexpected,
    )


def failed(
    name: str,
    column: str,
    rows: int,
    *,
    found: str,
    allowed: str,
    fix: str,
    code: ReasonCode,
    severity: Literal["error", "warning"] = "error",
    unexpected: int | None = None,
) -> Check:
    """Make the check of an expectation that does not hold."""
    return Check(
        expectation=name,
        column=column,
        severity=severity,
        passed=False,
        rows=rows,
        unexpected=unexpected,
        problem=Problem(code=code, field=column or name, found=found, allowed=allowed, fix=fix),
    )
