"""Windows of event time, columns of a source, and the rows that were taken from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from airflow_mlops.core.records.base import Record
from airflow_mlops.core.records.fault import FaultySpan
from airflow_mlops.spec.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Window:
    """A half-open span of event time, ``start <= t < end``; both ends carry a time zone."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None or self.start >= self.end:
            raise ValueError(f"a window needs time zones and start before end, not {self.start} .. {self.end}")

    def __str__(self) -> str:
        return f"[{self.start.isoformat()}, {self.end.isoformat()})"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's name and its Arrow type, as text (``int64``, ``string``, ``timestamp[us, tz=UTC]``)."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Snapshot(Record):
    """The immutable rows of one training window: where they are, and what they are.

    Format 2 added `unlabelled` and `unlabelled_nulls`, format 3 `quarantined` and `quarantined_rows`.

    The rows are `data.parquet` below `uri`; this record is `manifest.json` beside it, and is written last.
    """

    FORMAT: ClassVar[int] = 3

    model: str
    fingerprint: str
    """SHA-256 over every row: names, types, values and nulls of all columns, in row order."""
    uri: str
    as_of: datetime
    window: Window
    """Event times that were asked for: only rows whose label is mature at as-of."""
    rows: int
    columns: tuple[Column, ...]
    source: str
    """The source in words, without secrets."""
    source_columns: tuple[Column, ...]
    """Every column of the source, also those not taken: validation tells renamed from missing by them."""
    query: str
    """The filter or SQL that was run."""
    time: str
    key: tuple[str, ...]
    label: str
    extracted_at: datetime
    known_issues: tuple[Problem, ...] = ()
    """Quality issues that were met and how they were treated, such as rows without a label left out."""
    unlabelled: int = 0
    """Mature rows that had no label, and were left out."""
    unlabelled_nulls: Mapping[str, int] | None = None
    """Missing values among those, by column: a column that is missing with the label is known only with it. None: not
    counted (format 1)."""
    quarantined: tuple[FaultySpan, ...] = ()
    """Spans in which a column is broken: their rows are left out until somebody mends or releases them."""
    quarantined_rows: int = 0
    """Mature rows with a label that were left out for it."""

    @property
    def data_uri(self) -> str:
        """URI of the Parquet file."""
        return f"{self.uri}/data.parquet"
