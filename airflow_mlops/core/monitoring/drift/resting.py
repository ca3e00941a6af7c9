"""Columns that keep one value for as long as the window: it holds one draw of them, which tells of no drift.

A month in a window of a week, a weekday in a window of a day, the price list of the quarter: however many rows the
window has, it has seen one value, or two. Days that differ by themselves (:mod:`day_effects`) keep such a column from
being called drift; that it is not in drift is then no finding either, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from airflow_mlops.core.records.drift import ColumnDrift
from airflow_mlops.core.records.profile import ColumnProfile, DayCounts, Profile

MOST_CHANGES = 1.0
"""Changes of value in a window, on average, up to which it tells nothing."""


def resting_words(reference: Profile, window_days: float, columns: Sequence[ColumnDrift]) -> Iterator[str]:
    """Name the features that a window of so many days cannot judge, in a sentence; nothing where it can judge all.

    Parameters
    ----------
    reference
        With its days counted.
    columns
        Of the report: what is in drift all the same, or cannot be compared, is said there.
    """
    fine = {column.column for column in columns if column.part == "feature" and column.verdict == "ok"}
    names = [one.name for one in reference.columns if one.name in fine and rests(one, reference, window_days)]
    if names:
        window = "a day" if window_days == 1 else f"{window_days:g} days"
        keeps, drifted = ("keeps its value", "it") if len(names) == 1 else ("keep their values", "they")
        yield f"{', '.join(names)}: {keeps} for as long as the window of {window}: it cannot tell if {drifted} drifted."


def rests(column: ColumnProfile, reference: Profile, window_days: float) -> bool:
    """Whether a column changes its value at most once in a window of so many days, by how often it did before.

    One that never changed in the reference does not: another value would be news.
    """
    if column.by_day is None:
        return False
    changes = _changes(column.by_day)
    days = (reference.window.end - reference.window.start) / timedelta(days=1)
    return changes is not None and 0 < changes * window_days / days <= MOST_CHANGES


def _changes(days: DayCounts) -> int | None:
    """How often the value changes from span to span; None where a span holds more than a change of it."""
    changes, before = 0, frozenset[int]()
    for counts in days.counts:
        held = frozenset(place for place, count in enumerate(counts) if count)
        if len(held) > 2:  # noqa: PLR2004 - the old value and the new one
            return None
        if held:
            changes += len(held) - 1 + (bool(before) and not held & before)
            before = held
    return changes
