"""The evidence of a decision as sections of its page; what was not evaluated has no section."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, TypeVar

from airflow_mlops.core.records.decision import Evaluation, RuleResult
from airflow_mlops.core.records.evidence import (
    RELIANCE,
    Disparity,
    Evidence,
    Group,
    Interval,
    Reliability,
    ServingReport,
    SliceResult,
)
from airflow_mlops.core.records.wording import format_interval
from airflow_mlops.core.text import LONGEST, SHORT, clip_text, format_number, format_percent, spell_out
from airflow_mlops.reports.decision import plots as gate_plots
from airflow_mlops.reports.html import facts, mark, optional, table, words

MOST = 40
"""Rows of one table."""
_Item = TypeVar("_Item")


def sections(evaluation: Evaluation) -> Iterator[str]:
    """Every section that has something to show, as HTML; empty text for the others."""
    found, metric, rules = evaluation.evidence, evaluation.primary, evaluation.rules
    yield optional("Slices", _slices(found, metric, rules))
    yield optional("Weakest segments", _segments(found, metric))
    yield optional("Fairness", _fairness(found))
    yield optional("Calibration", gate_plots.reliability(found.reliability), _calibration(found.reliability))
    yield optional("Curves", gate_plots.curves(found.curves))
    yield optional("Robustness", _robustness(found, metric, rules))
    yield optional("Leaks", _leaks(found))
    yield optional("Serving", _serving(found.serving))
    yield optional("Convergence", _convergence(found.convergence))
    yield optional("What changed against the champion", _changes(found))


def limited(
    headings: Sequence[str],
    items: Sequence[_Item],
    row: Callable[[_Item], Sequence[str]],
    *,
    numbers: frozenset[int] = frozenset(),
    stack: bool = False,
) -> str:
    """A table of the first items, and how many more there are; nothing for none."""
    if not items:
        return ""
    more = len(items) - MOST
    rest = words(f"{more:,} more are in the decision's JSON.") if more > 0 else ""
    return table(headings, [row(item) for item in items[:MOST]], numbers=numbers, stack=stack) + rest


def cell(text: str, most: int = SHORT) -> str:
    """Plain text for a table: names are short, sentences longer."""
    return escape(clip_text(text, most))


def _slices(found: Evidence, metric: str, rules: Sequence[RuleResult]) -> str:
    if not found.slices:
        return ""
    judged = sum(result.judged for result in found.slices)
    tones = {id(result): gate_plots.tone_of(result, rules) for result in found.slices}
    worse = [result for result in found.slices if tones[id(result)] == "bad"]
    count = f"{len(found.slices):,} slices, {judged:,} with enough rows to be judged, {len(worse):,} surely worse."
    plot = gate_plots.plots_beside([gate_plots.slice_drops(found.slices, metric, rules)])
    gaps = any(result.gap is not None for result in found.slices)
    headings = ["", "slice", "rows", "candidate", "champion", "drop (interval)", "corrected p"]
    tested = any(result.gap_p is not None for result in found.slices)
    headings += ["below the whole (interval)"] * gaps + ["corrected p"] * (gaps and tested)
    ordered = sorted(found.slices, key=lambda result: _badness(result, tones[id(result)]))
    numbers = frozenset(range(2, len(headings)))
    return (
        words(count)
        + plot
        + limited(
            headings, ordered, lambda item: _slice(item, tones[id(item)], gaps=gaps, tested=tested), numbers=numbers
        )
    )


def _badness(result: SliceResult, tone: str) -> tuple[bool, bool, float]:
    drop = result.drop.value if result.drop is not None else -math.inf
    return not result.judged, tone != "bad", -drop if math.isfinite(drop) else math.inf


def _slice(result: SliceResult, tone: str, *, gaps: bool, tested: bool) -> list[str]:
    said = mark(tone, {"bad": "worse", "good": "not worse"}[tone]) if tone != "plain" else _unmarked(result)
    cells = [said, f"{cell(result.column)} = {cell(result.value)}", f"{result.rows:,}", format_number(result.candidate)]
    if not gaps:
        return [*cells, format_number(result.champion), format_interval(result.drop), _p(result.drop_p)]
    cells += [format_number(result.champion), _in_two_lines(result.drop), _p(result.drop_p)]
    return [*cells, _in_two_lines(result.gap), *([_p(result.gap_p)] if tested else [])]


def _in_two_lines(found: Interval | None) -> str:
    """A value above its interval: two of them beside each other are too wide for paper."""
    value, _, ends = format_interval(found).partition(" (")
    return f'{value}<br><span class="soft">({ends}</span>' if ends else value


def _unmarked(result: SliceResult) -> str:
    if not result.judged:
        return '<span class="soft">too few rows</span>'
    return "" if result.drop is None else '<span class="soft">no drop shown</span>'


def _p(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return format_number(value)
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004 - smaller says no more


def _segments(found: Evidence, metric: str) -> str:
    headings = ["segment", "rows", "share", spell_out(metric), "on all rows"]
    return limited(
        headings,
        found.segments,
        lambda s: [
            cell(s.words, LONGEST),
            f"{s.rows:,}",
            format_percent(s.share),
            format_number(s.metric),
            format_number(s.whole),
        ],
        numbers=frozenset({1, 2, 3, 4}),
        stack=True,
    )


def _fairness(found: Evidence) -> str:
    plot = gate_plots.plots_beside([gate_plots.differences(found.disparities)])
    headings = ["", "attribute", "difference in", "value (interval)", "bound", "rows"]
    return plot + limited(headings, found.disparities, _disparity, numbers=frozenset({3, 4, 5})) + _groups(found.groups)


def _against(item: Disparity) -> str:
    """How a difference stands to its bound: only an interval that lies on one side of it is sure."""
    if item.bound is None:
        return "reported only"
    if not math.isfinite(item.difference.value):
        return "not computed"
    if item.difference.value > item.bound:
        return "above the bound" if item.difference.lower > item.bound else "above, not surely"
    return "within the bound"


def _disparity(item: Disparity) -> list[str]:
    tone = gate_plots.difference_tone(item)
    cells = [
        mark(tone, _against(item)),
        cell(item.column),
        cell(spell_out(item.measure)),
        format_interval(item.difference),
    ]
    return [*cells, format_number(item.bound), f"{item.rows:,}"]


def _groups(groups: Sequence[Group]) -> str:
    names = list(dict.fromkeys(name for group in groups for name in group.metrics))[:8]
    headings = ["group", "rows", *(clip_text(spell_out(name), SHORT) for name in names), ""]

    def row(group: Group) -> list[str]:
        few = "" if group.judged else '<span class="soft">too few rows</span>'
        values = [format_number(group.metrics.get(name)) for name in names]
        return [f"{cell(group.column)} = {cell(group.value)}", f"{group.rows:,}", *values, few]

    return limited(headings, groups, row, numbers=frozenset(range(1, len(names) + 2)))


def _calibration(found: Sequence[Reliability]) -> str:
    headings = ["model", "probability of", "expected calibration error (interval)"]
    return limited(
        headings, found, lambda r: [cell(r.who), cell(r.event), format_interval(r.error)], numbers=frozenset({2})
    )


def _robustness(found: Evidence, metric: str, rules: Sequence[RuleResult]) -> str:
    plot = gate_plots.drops(found.perturbations, metric, _bounds(rules))
    ordered = sorted(found.perturbations, key=lambda item: -item.drop if math.isfinite(item.drop) else -math.inf)
    kinds = {"missing": "made missing", "noise": "noise", "shuffled": "shuffled column"}
    return plot + limited(
        ["broken by", "what", spell_out(metric), "drop", "rows"],
        ordered,
        lambda p: [kinds[p.kind], cell(p.what), format_number(p.metric), format_number(p.drop), f"{p.rows:,}"],
        numbers=frozenset({2, 3, 4}),
    )


def _bounds(rules: Sequence[RuleResult]) -> dict[str, float | None]:
    """The bound of each kind of perturbation, where a rule has one."""
    found: dict[str, float | None] = {}
    for rule in rules:
        if rule.rule == "robustness":
            kinds = ["shuffled"] if rule.metric == RELIANCE else ["missing", "noise"]
            found |= dict.fromkeys(kinds, gate_plots.bound_of(rule.bound))
    return found


def _leaks(found: Evidence) -> str:
    headings = ["", "kind", "what", "in words", "value", "bound"]
    return limited(
        headings,
        sorted(found.leaks, key=lambda leak: not leak.leaking),
        lambda leak: [
            mark("bad", "leak") if leak.leaking else mark("good", "none"),
            escape(spell_out(leak.kind)),
            cell(leak.what),
            cell(leak.words, LONGEST),
            format_number(leak.value),
            format_number(leak.bound),
        ],
        numbers=frozenset({4, 5}),
        stack=True,
    )


def _serving(report: ServingReport | None) -> str:
    return "" if report is None else facts({name: clip_text(value) for name, value in serving_facts(report).items()})


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


def _convergence(found: Mapping[str, Any]) -> str:
    if not found:
        return ""
    return facts({name: clip_text(value) for name, value in convergence_facts(found).items()})


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


def _changes(found: Evidence) -> str:
    return limited(
        ["what", "candidate", "champion"],
        found.changes,
        lambda change: [cell(change.what), cell(change.candidate), cell(change.champion)],
        stack=True,
    )
