"""The evidence of a decision as sections; what was not evaluated has none.

A section's key is the field of the evidence that it tells of. The worst rows stand first: who shows only some of them
shows those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_mlops.core.records.decision import Evaluation, RuleResult
from airflow_mlops.core.records.evidence import (
    Change,
    Disparity,
    Evidence,
    Group,
    Interval,
    Leak,
    ServingReport,
    SliceResult,
)
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.wording import format_interval
from airflow_mlops.core.text import SHORT, clip_text, format_number, format_percent, spell_out
from airflow_mlops.reports.decision.plots import difference_tone, tone_of

_MOST_MEASURES = 8
"""Measures of a group beside each other."""


def evidence_sections(evaluation: Evaluation) -> Iterator[Section]:
    """Every section that has something to tell."""
    found, metric = evaluation.evidence, evaluation.primary
    sections = (
        _slices(found.slices, evaluation.rules),
        _segments(found, metric),
        _disparities(found.disparities),
        _groups(found.groups),
        _calibration(found),
        _robustness(found, metric),
        _leaks(found.leaks),
        _serving(found.serving),
        _convergence(found.convergence),
        changes_section(found.changes),
    )
    yield from (section for section in sections if section.rows or section.facts)


def _short(text: str) -> str:
    """A name that fits into a table; sentences may be longer."""
    return clip_text(text, SHORT)


def _slices(found: Sequence[SliceResult], rules: Sequence[RuleResult]) -> Section:
    toned = [(item, tone_of(item, rules)) for item in found]
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
            "A drop is how much worse than the champion.",
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
        f"{_short(item.column)} = {_short(item.value)}",
        f"{item.rows:,}",
        format_number(item.candidate),
        format_number(item.champion),
        shown(item.drop),
        _p(item.drop_p),
    )
    further = (shown(item.gap), _p(item.gap_p))[: 1 + tested]
    return (*cells, *further) if gaps else cells


def _stand(item: SliceResult, tone: str) -> str:
    if not item.judged:
        return "too few rows"
    return {"bad": "worse", "good": "not worse"}.get(tone, "" if item.drop is None else "no drop shown")


def _in_two_lines(found: Interval | None) -> str:
    return format_interval(found).replace(" (", "\n(")


def _p(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return format_number(value)
    return "< 0.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004 - smaller says no more


def _segments(found: Evidence, metric: str) -> Section:
    return Section(
        key="segments",
        title="Weakest segments",
        headings=("segment", "rows", "share", spell_out(metric), "on all rows"),
        rows=tuple(
            (s.words, f"{s.rows:,}", format_percent(s.share), format_number(s.metric), format_number(s.whole))
            for s in found.segments
        ),
    )


def _disparities(found: Sequence[Disparity]) -> Section:
    return Section(
        key="disparities",
        title="Fairness",
        headings=("stands", "attribute", "difference in", "value (interval)", "bound", "rows"),
        rows=tuple(
            (
                _against(item),
                _short(item.column),
                _short(spell_out(item.measure)),
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
        headings=("group", "rows", *(_short(spell_out(name)) for name in names), "stands"),
        rows=tuple(
            (
                f"{_short(group.column)} = {_short(group.value)}",
                f"{group.rows:,}",
                *(format_number(group.metrics.get(name)) for name in names),
                "enough rows" if group.judged else "too few rows",
            )
            for group in found
        ),
    )


def _calibration(found: Evidence) -> Section:
    return Section(
        key="reliability",
        title="Calibration",
        headings=("model", "probability of", "expected calibration error (interval)"),
        rows=tuple((item.who, _short(item.event), format_interval(item.error)) for item in found.reliability),
    )


def _robustness(found: Evidence, metric: str) -> Section:
    kinds = {"missing": "made missing", "noise": "noise", "shuffled": "shuffled column"}
    worst = sorted(found.perturbations, key=lambda item: -item.drop if math.isfinite(item.drop) else -math.inf)
    return Section(
        key="perturbations",
        title="Robustness",
        headings=("broken by", "what", spell_out(metric), "drop", "rows"),
        rows=tuple(
            (
                kinds[item.kind],
                _short(item.what),
                format_number(item.metric),
                format_number(item.drop),
                f"{item.rows:,}",
            )
            for item in worst
        ),
    )


def _leaks(found: Sequence[Leak]) -> Section:
    ordered = sorted(found, key=lambda leak: not leak.leaking)
    return Section(
        key="leaks",
        title="Leaks",
        headings=("stands", "kind", "what", "in words", "value", "bound"),
        rows=tuple(
            (
                "leak" if leak.leaking else "none",
                spell_out(leak.kind),
                _short(leak.what),
                leak.words,
                format_number(leak.value),
                format_number(leak.bound),
            )
            for leak in ordered
        ),
        tones=tuple(("bad" if leak.leaking else "good",) for leak in ordered),
    )


def _serving(report: ServingReport | None) -> Section:
    return Section(key="serving", title="Serving", facts={} if report is None else serving_facts(report))


def serving_facts(report: ServingReport) -> dict[str, str]:
    """What a fresh interpreter saw, in words; without numbers when it could not serve."""
    place = {"current": "this worker's packages", "fresh": "a new environment from the model's own requirements"}
    tried = {"served in": f"{place[report.environment]}, Python {report.python}"}
    if report.failure is not None:
        return {"could not be served": report.failure, **tried}
    return {
        "largest difference": f"{_exact(report.max_difference)} over {report.rows:,} rows of the golden batch",
        "load": f"{format_number(report.load_seconds)} s",
        "one row": f"{_ms(report.row_ms[0])} (p50), {_ms(report.row_ms[1])} (p99)",
        "golden batch": f"{_ms(report.batch_ms[0])} (p50), {_ms(report.batch_ms[1])} (p99)",
        "size": f"{report.size_bytes / 1e6:,.2f} MB",
        **tried,
    }


def _ms(value: float) -> str:
    return f"{value:,.1f} ms" if math.isfinite(value) else format_number(value)


def _exact(value: float) -> str:
    """Zero is said to be exactly that: the predictions are identical."""
    return "none: identical" if value == 0 else format_number(value)


def _convergence(found: Mapping[str, Any]) -> Section:
    return Section(key="convergence", title="Convergence", facts=convergence_facts(found) if found else {})


def convergence_facts(found: Mapping[str, Any]) -> dict[str, str]:
    """What the estimator said of its own training."""
    warnings = found.get("warnings") or []
    told = [warnings] if isinstance(warnings, str) else list(warnings)
    shown = {"warnings": "; ".join(map(str, told)) or "none"}
    shown |= {name: _plain(found[name]) for name in ("iterations", "limit") if found.get(name) is not None}
    rest = {
        str(name): _plain(value) for name, value in found.items() if name not in {"warnings", "iterations", "limit"}
    }
    return shown | dict(list(rest.items())[:20])


def _plain(value: Any) -> str:
    return format_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def changes_section(found: Sequence[Change]) -> Section:
    """What differs from what serves."""
    return Section(
        key="changes",
        title="What changed against the champion",
        headings=("what", "candidate", "champion"),
        rows=tuple((_short(item.what), _short(item.candidate), _short(item.champion)) for item in found),
    )
