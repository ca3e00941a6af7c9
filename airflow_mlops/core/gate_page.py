"""The gate's decision as a page for a person."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from html import escape

from airflow_mlops.core.model import Candidate, Evaluation, GateDecision, RuleResult, Verdict
from airflow_mlops.core.page import TONES, banner, facts, mark, page, section, table

_TONE = {Verdict.ACCEPT: "good", Verdict.REJECT: "bad", Verdict.INCONCLUSIVE: "unsure"}
_SENTENCE = {
    Verdict.ACCEPT: "Accepted: this candidate may serve.",
    Verdict.REJECT: "Rejected: the champion, if there is one, stays.",
    Verdict.INCONCLUSIVE: "Inconclusive: the data cannot tell the two apart, so the champion stays.",
}


def render(decision: GateDecision, candidate: Candidate) -> str:
    """Return one self-contained HTML page: answer, rules, intervals, metrics, origin."""
    evaluation = decision.evaluation
    return page(
        f"Gate decision: {decision.model}, as of {decision.as_of:%Y-%m-%d %H:%M} UTC",
        banner(_TONE[decision.verdict], _SENTENCE[decision.verdict], decision.reasons),
        section("Rules", _rules(evaluation.rules)),
        section("Gains with their confidence intervals", _intervals(evaluation.rules)),
        section("Metrics on the same rows", _metrics(evaluation)),
        section("Origin", facts(_origin(decision, candidate))),
    )


def _rules(rules: Iterable[RuleResult]) -> str:
    rows = [
        [
            escape(rule.rule.replace("_", " ")),
            escape(rule.metric),
            _number(rule.value),
            escape(rule.bound),
            mark(_TONE[rule.verdict], {"accept": "pass", "reject": "fail"}.get(rule.verdict, "open")),
            f"{rule.rows:,}",
            escape(rule.reason),
        ]
        for rule in rules
    ]
    return table(["rule", "metric", "value", "bound", "", "rows", "in words"], rows, numbers=frozenset({2, 5}))


def _metrics(evaluation: Evaluation) -> str:
    champion = evaluation.champion_metrics or {}
    names = [evaluation.primary, *sorted(set(evaluation.candidate_metrics) - {evaluation.primary})]
    rows = [
        [
            escape(name) + (" <span class='soft'>(primary)</span>" if name == evaluation.primary else ""),
            _number(evaluation.candidate_metrics.get(name)),
            _number(champion.get(name)),
            _number(evaluation.baseline_metrics.get(name)),
        ]
        for name in names
    ]
    serves = f"champion (v{evaluation.champion_version})" if evaluation.champion_version else "champion (none yet)"
    return table(["metric", "candidate", serves, "trivial baseline"], rows, numbers=frozenset({1, 2, 3}))


def _origin(decision: GateDecision, candidate: Candidate) -> dict[str, str]:
    return {
        "rows judged on": f"{decision.evaluation.rows:,} in {decision.evaluation.window}",
        "trained on": f"{candidate.train_rows:,} rows in {candidate.train}",
        "snapshot": candidate.snapshot_fingerprint,
        "candidate": candidate.model_uri,
        "MLflow run": candidate.run_id,
        "Airflow run": candidate.loop_run,
        "decided at": f"{decision.decided_at:%Y-%m-%d %H:%M:%S} UTC",
    }


def _number(value: float | None) -> str:
    if value is None:
        return "<span class='soft'>none</span>"
    if not math.isfinite(value):
        return escape(str(value))
    return f"{value:,.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.4f}"


def _intervals(rules: Iterable[RuleResult]) -> str:
    """Draw each interval as a bar on a common axis with a line at zero: right of it is better."""
    drawn = [rule for rule in rules if _finite(rule.value, rule.lower, rule.upper)]
    if not drawn:
        return "<p class='soft'>No rule was decided on an interval.</p>"
    reach = max(max(abs(rule.lower or 0.0), abs(rule.upper or 0.0)) for rule in drawn) or 1.0
    width, step, left = 760, 34, 190

    def x(value: float) -> float:
        return left + (value / reach + 1) / 2 * (width - left - 20)

    bars = "".join(_bar(rule, x, 12 + step * i) for i, rule in enumerate(drawn))
    height = 12 + step * len(drawn) + 26
    axis = (
        f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="4" y2="{height - 24}" stroke="currentColor" '
        'stroke-dasharray="3 3"/>'
        f'<text x="{x(0):.1f}" y="{height - 8}" text-anchor="middle">0: no difference</text>'
        f'<text x="{left}" y="{height - 8}">worse</text>'
        f'<text x="{width - 20}" y="{height - 8}" text-anchor="end">better</text>'
    )
    style = 'font-family="system-ui,sans-serif" font-size="13" fill="currentColor"'
    return f'<svg viewBox="0 0 {width} {height}" role="img" {style}>{bars}{axis}</svg>'


def _bar(rule: RuleResult, place: Callable[[float], float], top: int) -> str:
    low, high, mid = place(rule.lower or 0.0), place(rule.upper or 0.0), place(rule.value or 0.0)
    colour = TONES[_TONE[rule.verdict]]
    label = escape(f"over the {rule.rule} ({rule.metric})")
    return (
        f'<text x="0" y="{top + 13}">{label}</text>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{top + 9}" y2="{top + 9}" stroke="{colour}" stroke-width="6" '
        f'stroke-linecap="round" opacity=".55"/><circle cx="{mid:.1f}" cy="{top + 9}" r="5" fill="{colour}"/>'
    )


def _finite(*values: float | None) -> bool:
    return all(value is not None and math.isfinite(value) for value in values)
