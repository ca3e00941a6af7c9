"""The cause of one column's change, as far as its counts and a sample of rows tell it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_mlops.core.monitoring.drift.causes_in_rows import may_rest, segment_of, unseen_counts, values_of
from airflow_mlops.core.monitoring.drift.columns import MISSING_RISE
from airflow_mlops.core.monitoring.drift.effect_sizes import counts_of
from airflow_mlops.core.monitoring.drift.sampling import WindowSamples
from airflow_mlops.core.monitoring.drift.significance import SMOOTHING
from airflow_mlops.core.monitoring.drift.unit_change import unit_change
from airflow_mlops.core.records.drift import Cause, CauseHint, ColumnDrift
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.spec.monitoring import DriftSpec

if TYPE_CHECKING:
    import pyarrow as pa

WORLD = frozenset({"segment", "world", "new_category", "column_new"})
"""Causes that do not look like a fault of the pipeline."""
_LARGEST_PART = 0.5
"""Share of the index that one bin must make, for the change to be called after it."""
_VANISHED = 0.02
"""A category that has less than this of its former share is gone ..."""
COMMON = 0.01
"""... if it had at least this before."""
_ALIKE = 0.25
"""Two shares that differ by less than this of the larger are about the same."""
_MOSTLY_CONSTANT = 0.5
"""Share of the reference in one bin, above which a window in that bin alone is no surprise."""


@dataclass(frozen=True)
class CauseInput:
    """What hints are made of."""

    reference: Profile
    current: Profile
    drift: DriftSpec
    slices: tuple[str, ...] = ()
    """Columns whose segments are looked at."""
    samples: WindowSamples | None = None
    """Rows of both sides; without them, causes that counts cannot tell are not found."""
    used: frozenset[str] = frozenset()
    """Columns with a role for the model, beside the features: what becomes of others is no fault that touches it."""
    scanned: bool = False
    """Whether days were compared with days: they tell of units better than the whole window does."""


def cause_of(clues: CauseInput, column: ColumnDrift) -> CauseHint:
    """The hint for one column in drift or broken: the first cause, of those that speak of the pipeline first."""
    profiles = [
        next((c for c in (side.columns if column.part == "feature" else side.outputs) if c.name == column.column), None)
        for side in (clues.reference, clues.current)
    ]
    before, now = profiles
    if before is None or now is None:
        return made(column.column, "column_missing", f"{column.column} is not there any more.")
    look = _Evidence(clues, column, before, now)
    for asks in (_broken, _constant, _unit, _missing, _renamed, _new_category, _segment):
        hint = asks(look)
        if hint is not None:
            return hint
    return made(column.column, "world", _world(column))


@dataclass(frozen=True)
class _Evidence:
    """One column, on both sides."""

    clues: CauseInput
    column: ColumnDrift
    before: ColumnProfile
    now: ColumnProfile

    @property
    def name(self) -> str:
        return self.column.column

    @property
    def samples(self) -> WindowSamples | None:
        """Rows of features only: predictions and labels stand elsewhere, or are of other events."""
        return self.clues.samples if self.column.part == "feature" else None

    @property
    def rows(self) -> pa.Table | None:
        """Sampled rows of the window, where they have the column."""
        table = None if self.samples is None else self.samples.now
        return table if table is not None and self.name in table.column_names else None


def _broken(look: _Evidence) -> CauseHint | None:
    if not sum(look.now.counts) + look.now.non_finite:
        return made(look.name, "missing_spike", f"Every value of {look.name} is missing.")
    was, now = (side.non_finite / (sum(counts_of(side)) or 1) for side in (look.before, look.now))
    if now and (not was or now - was >= MISSING_RISE):
        said = f"{look.now.non_finite} values of {look.name} are not finite: a division or an overflow made them."
        return made(look.name, "non_finite", said)
    return None


def _constant(look: _Evidence) -> CauseHint | None:
    """All in one bin that held few before; rows tell whether they are one value, and whether that was a surprise."""
    before, now = look.before, look.now
    filled = [place for place, count in enumerate(now.counts) if count]
    if len(filled) != 1:
        return None
    place, rows = filled[0], sum(before.counts)
    if not rows or before.counts[place] / rows > _MOSTLY_CONSTANT:
        return None
    distinct = None if look.rows is None else _distinct(look.rows, look.name)
    last = len(now.counts) - 1
    is_open = place in {0, last} if before.role == "numeric" else place == last
    if (distinct != 1 and (distinct is not None or is_open)) or may_rest(look.samples, look.name):
        return None
    said = f"{look.name} has one value only in {now.counts[place]:,} rows; it varied in the reference."
    return made(look.name, "constant", said)


def _distinct(table: pa.Table, column: str) -> int:
    import pyarrow.compute as pc

    return int(pc.count_distinct(table.column(column).drop_null()).as_py())


def _unit(look: _Evidence) -> CauseHint | None:
    if look.clues.scanned and look.column.part == "feature":
        return None
    values = values_of(look.rows, look.name) if look.before.role == "numeric" else None
    unit = None if values is None else unit_change(look.before, values)
    return None if unit is None else made(look.name, "unit_change", f"{look.name} looks as before, but {unit.words}.")


def _missing(look: _Evidence) -> CauseHint | None:
    was, now = look.column.missing_before or 0.0, look.column.missing_now or 0.0
    if now - was < MISSING_RISE or _part_of_index(look, len(look.before.counts)) < _LARGEST_PART:
        return None
    said = f"{now:.1%} of {look.name} is missing, {was:.1%} was; the values that are there changed less."
    return made(look.name, "missing_spike", said)


def _renamed(look: _Evidence) -> CauseHint | None:
    """Categories that are gone, and values never seen with about their shares."""
    before = look.before
    p, q = _shares(before), _shares(look.now)
    gone = [i for i in range(len(before.categories)) if p[i] >= COMMON and q[i] < _VANISHED * p[i]]
    lost, came = sum(p[i] for i in gone), q[-1] - p[-1]
    if not gone or not _about(lost, came):
        return None
    counts = unseen_counts(look.rows, before)
    if counts and sum(counts[: len(gone)]) < (1 - _ALIKE) * sum(counts):
        return None  # many new values: no old one under a new name
    named = before.categories[gone[0]] if before.name in look.clues.slices else f"number {gone[0] + 1} by frequency"
    what = f"One value of {look.name} ({named})" if len(gone) == 1 else f"{len(gone)} values of {look.name}"
    verb = "is" if len(gone) == 1 else "are"
    said = f"{what} with {lost:.1%} of the rows {verb} gone, and values never seen have {came:.1%}."
    return made(look.name, "category_renamed", said)


def _new_category(look: _Evidence) -> CauseHint | None:
    if not look.before.categories:
        return None
    p, q = _shares(look.before)[-1], _shares(look.now)[-1]
    if q - p < COMMON or _part_of_index(look, len(look.before.counts) - 1) < _LARGEST_PART:
        return None
    said = f"{q:.1%} of the rows have a value of {look.name} beyond the reference's categories; {p:.1%} had."
    return made(look.name, "new_category", said)


def _segment(look: _Evidence) -> CauseHint | None:
    if look.samples is None or not look.clues.slices:
        return None
    found = segment_of(look.samples, look.before, look.clues.slices, look.clues.drift)
    if found is None:
        return None
    said = f"{look.name} drifts where {found.name} ({found.share:.0%} of the rows), and hardly elsewhere."
    return replace(made(look.name, "segment", said), segment=found.name)


def _world(column: ColumnDrift) -> str:
    subject = {"feature": column.column, "prediction": "What is predicted", "label": "The outcome"}[column.part]
    return f"{subject} changed without the marks of a broken pipeline: the world may have changed."


def made(column: str, cause: Cause, words: str) -> CauseHint:
    """Make a hint; its cause says whether it speaks of the pipeline."""
    return CauseHint(column=column, cause=cause, pipeline=cause not in WORLD, words=words)


def _part_of_index(look: _Evidence, place: int) -> float:
    """Share of the population stability index that one bin makes; `place` counts missing values after the bins."""
    import numpy as np

    counts = np.array([counts_of(look.before), counts_of(look.now)], dtype=float)
    used = counts.any(axis=0)
    smooth = np.where(used, counts + SMOOTHING, 0.0)
    p, q = smooth / smooth.sum(axis=1, keepdims=True)
    parts = np.where(used, (q - p) * np.log(np.where(used, q, 1) / np.where(used, p, 1)), 0.0)
    total = float(parts.sum())
    return float(parts[place]) / total if total > 0 else 0.0


def _shares(column: ColumnProfile) -> list[float]:
    rows = sum(counts_of(column)) or 1
    return [count / rows for count in column.counts]


def _about(one: float, other: float) -> bool:
    return abs(one - other) <= _ALIKE * max(one, other, 0.0)
