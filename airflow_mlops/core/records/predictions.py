"""What a scoring run wrote."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from airflow_mlops.core.records.base import Record
from airflow_mlops.core.records.snapshot import Window


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
