"""What a scoring run wrote."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.candidate import Label
from airflow_mlops.core.records.snapshot import Window


@dataclass(frozen=True, kw_only=True)
class InvalidValues:
    """Values of one column that no model can be given, or rows that this one refused."""

    column: str
    """Empty: the model refused the whole row."""
    words: str
    """What is wrong with them."""
    rows: int
    treated: Literal["missing", "left_out"]
    """Whether the rows were scored with the value missing, or are not among the predictions."""
    keys: tuple[str, ...] = ()
    """The first rows that have one."""

    def __str__(self) -> str:
        how = "scored as missing" if self.treated == "missing" else "left out"
        what = f"{self.column}: {self.rows:,} values that are {self.words}" if self.column else self.words
        count = "" if self.column else f" for {self.rows:,} rows"
        return f"{what}{count}, {how}; first rows: {', '.join(self.keys)}"


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
    probability_of: Label | None = added(None)
    """The class that `probability` is of; None where there are no two classes, or no probabilities."""
    invalid: tuple[InvalidValues, ...] = added(())
    """What was wrong with the rows, and how it was treated."""
    scored_at: datetime | None = None
    """The real time: where scored windows overlap, the one that was scored last counts."""
