"""What the rule on fairness saw, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from airflow_mlops.core.gate.rule import Seen
from airflow_mlops.core.records.evidence import Disparity, Group
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.wording import difference_tone, format_interval
from airflow_mlops.core.text import SHORT, clip_text, format_number, metric_label

_MOST_MEASURES = 8
"""Measures of a group beside each other."""


def sections(seen: Seen) -> Iterator[Section]:
    """Word the differences between groups against their bounds, and the groups."""
    found = seen.evaluation.evidence
    unasked = "No fairness rule was asked for: gate.fairness.columns names no protected attribute."
    if found.disparities or not found.groups:
        asked = bool(found.disparities or seen.spec.gate.fairness.columns)
        yield replace(_disparities(found.disparities), sentences=() if asked else (unasked,))
    if found.groups:
        yield _groups(found.groups)


def _disparities(found: Sequence[Disparity]) -> Section:
    return Section(
        key="disparities",
        title="Fairness",
        headings=("stands", "attribute", "difference in", "value (interval)", "bound", "rows"),
        rows=tuple(
            (
                _against(item),
                clip_text(item.column, SHORT),
                clip_text(metric_label(item.measure), SHORT),
                format_interval(item.difference),
                format_number(item.bound),
                f"{item.rows:,}",
            )
            for item in found
        ),
        tones=tuple((difference_tone(item),) for item in found),
    )


def _against(item: Disparity) -> str:
    """How a difference stands to its bound: only an interval that lies on one side of it is sure."""
    if item.bound is None:
        return "reported only"
    if not math.isfinite(item.difference.value):
        return "not computed"
    if item.difference.value > item.bound:
        return "above the bound" if item.difference.lower > item.bound else "above, not surely"
    return "within the bound"


def _groups(found: Sequence[Group]) -> Section:
    names = list(dict.fromkeys(name for group in found for name in group.metrics))[:_MOST_MEASURES]
    return Section(
        key="groups",
        title="Groups",
        headings=("group", "rows", *(clip_text(metric_label(name), SHORT) for name in names), "stands"),
        rows=tuple(
            (
                f"{clip_text(group.column, SHORT)} = {clip_text(group.value, SHORT)}",
                f"{group.rows:,}",
                *(format_number(group.metrics.get(name)) for name in names),
                "enough rows" if group.judged else "too few rows",
            )
            for group in found
        ),
    )
