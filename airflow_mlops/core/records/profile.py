"""The distribution of a window, by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.snapshot import Column, Window


@dataclass(frozen=True, kw_only=True)
class DayCounts:
    """Counts of one column day by day, or span by span of several days: how far days differ when nothing changes."""

    length: int
    """Days of each span."""
    counts: tuple[tuple[int, ...], ...]
    """For each span, oldest first: the bins as in `ColumnProfile.counts`, then missing and non-finite values."""


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
    by_day: DayCounts | None = added(None)
    """Of a reference: its rows, day by day; of an earlier window that is compared with, those of the champion's
    reference. None where they were not counted so."""


@dataclass(frozen=True, kw_only=True)
class Profile(Record):
    """The distribution of a window of rows in frozen bins; the champion's training profile is the reference.

    Format 2 added `outputs`, `importance` and `schema`; of a profile written before, they are empty.
    """

    FORMAT: ClassVar[int] = 2

    model: str
    window: Window
    rows: int
    columns: tuple[ColumnProfile, ...]
    """The features."""
    outputs: tuple[ColumnProfile, ...] = ()
    """`prediction` (the positive class's probability, else the predicted class or number) and `label`; of a reference
    on the holdout rows, which the model did not learn from. Counted apart: their rows are their own counts' sum."""
    importance: Mapping[str, float] = field(default_factory=dict)
    """Share of each feature in the champion, by name, adding up to 1: permutation importance on the holdout. Of a
    reference only; empty: every feature counts alike."""
    schema: tuple[Column, ...] = ()
    """Every column of the source when it was counted, with its type."""
