"""The record of a shadow challenger: a model of today's rows that was trained to compare, and serves nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from airflow_mlops.core.records.base import Record
from airflow_mlops.core.records.snapshot import Window

ShadowVerdict = Literal["accept", "reject", "inconclusive", "untrained"]
"""The gate's, or that no model came out, so that the gate was not asked."""


@dataclass(frozen=True, kw_only=True)
class ShadowReport(Record):
    """What the gate would say of a model that learned today's rows by the champion's recipe."""

    model: str
    as_of: datetime
    champion_version: int
    verdict: ShadowVerdict
    reasons: tuple[str, ...]
    """What decided, in sentences."""
    metric: str = ""
    """The primary metric; empty, as what follows, where no model came out."""
    rows: int = 0
    """That both were judged on."""
    window: Window | None = None
    """Of these rows."""
    gain: float | None = None
    """Of the primary metric over the champion on these rows; positive is better."""
    lower: float | None = None
    """Lower bound of `gain`, at the gate's confidence, by blocks that are taken as independent."""
    confidence: float | None = None
