"""Rows that a fault of the pipeline has spoiled, and what a person said of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

FaultCause = Literal["unit_change", "constant", "missing_spike", "category_renamed"]


@dataclass(frozen=True, kw_only=True)
class FaultySpan:
    """A half-open span of event time, ``start <= t < end``, in whose rows one column is broken."""

    start: datetime
    end: datetime
    column: str
    cause: FaultCause
    words: str
    """One sentence for a person; values of the data are not in it."""
    rows: int
    """Rows of the span, of those that were looked at."""
    before_release: bool = False
    """Broken only against what a person said is right from then on: nothing that has to be mended."""


@dataclass(frozen=True, kw_only=True)
class ReleasedSpan:
    """Rows of which a person said that they are right as they are: they were mended, or the change is to stay."""

    start: datetime
    end: datetime | None
    """None: from `start` on. What is different before it is left out, as if that were broken."""
    reason: str = ""
    by: str = ""

    def covers(self, start: datetime, end: datetime) -> bool:
        """Whether every instant of ``[start, end)`` is released."""
        return self.start <= start and (self.end is None or end <= self.end)
