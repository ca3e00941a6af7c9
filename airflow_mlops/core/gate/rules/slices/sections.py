"""What the rule on slices saw, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from airflow_mlops.core.gate.rule import Seen
from airflow_mlops.core.records.evidence import Interval, SliceResult
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.wording import format_interval, format_p, slice_tone
from airflow_mlops.core.text import SHORT, clip_text, format_number, format_percent


def sections(seen: Seen) -> Iterator[Section]:
    """Word every slice, the surely worse ones first, and the weakest segments."""
    yield _slices(seen)
    yield _segments(seen)


def _slices(seen: Seen) -> Section:
    found = seen.evaluation.evidence.slices
    if not found:
        asked = bool(seen.spec.gate.slices.columns)
        unasked = "No slices rule was asked for: gate.slices.columns names no column."
        return Section(key="slices", title="Slices", sentences=() if asked else (unasked,))
    toned = [(item, slice_tone(item, seen.evaluation.rules)) for item in found]
    toned.sort(key=lambda pair: _badness(*pair))
    worse = sum(tone == "bad" for _, tone in toned)
    judged = sum(item.judged for item in found)
    gaps = any(item.gap is not None for item in found)
    tested = any(item.gap_p is not None for item in found)
    headings = ("stands", "slice", "rows", "candidate", "champion", "drop (interval)", "corrected p")
    further = ("below the whole (interval)", "corrected p of it")[: 1 + tested]
    return Section(
        key="slices",
        title="Slices",
        sentences=(
            f"{len(found):,} slices, {judged:,} with enough rows to be judged, {worse:,} surely worse.",
            f"In {seen.metric}; a drop is how much worse than the champion.",
        ),
        headings=(*headings, *further) if gaps else headings,
        rows=tuple(_slice(item, tone, gaps=gaps, tested=tested) for item, tone in toned),
        tones=tuple((tone,) for _, tone in toned),
    )


def _badness(result: SliceResult, tone: str) -> tuple[bool, bool, float]:
    drop = result.drop.value if result.drop is not None else -math.inf
    return not result.judged, tone != "bad", -drop if math.isfinite(drop) else math.inf


def _slice(item: SliceResult, tone: str, *, gaps: bool, tested: bool) -> tuple[str, ...]:
    shown = _in_two_lines if gaps else format_interval  # two intervals beside each other are too wide for paper
    cells = (
        _stand(item, tone),
        f"{clip_text(item.column, SHORT)} = {clip_text(item.value, SHORT)}",
        f"{item.rows:,}",
        format_number(item.candidate),
        format_number(item.champion),
        shown(item.drop),
        format_p(item.drop_p),
    )
    further = (shown(item.gap), format_p(item.gap_p))[: 1 + tested]
    return (*cells, *further) if gaps else cells


def _stand(item: SliceResult, tone: str) -> str:
    if not item.judged:
        return "too few rows"
    return {"bad": "worse", "good": "not worse"}.get(tone, "" if item.drop is None else "no drop shown")


def _in_two_lines(found: Interval | None) -> str:
    return format_interval(found).replace(" (", "\n(")


def _segments(seen: Seen) -> Section:
    found = seen.evaluation.evidence.segments
    return Section(
        key="segments",
        title="Weakest segments",
        sentences=() if found else ("No weak segment was found, or none was searched for.",),
        headings=("segment", "rows", "share", seen.metric, "on all rows"),
        rows=tuple(
            (s.words, f"{s.rows:,}", format_percent(s.share), format_number(s.metric), format_number(s.whole))
            for s in found
        ),
    )
