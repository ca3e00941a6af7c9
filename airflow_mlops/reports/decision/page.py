"""The gate's decision as a page for a person: the answer first, what to do next, then everything behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import Evaluation, GateDecision, RuleResult
from airflow_mlops.core.records.wording import format_window, greater_is_better, metric_direction
from airflow_mlops.core.text import clip_text, format_number, spell_out
from airflow_mlops.reports.decision import evidence as gate_evidence
from airflow_mlops.reports.decision import plots as gate_plots
from airflow_mlops.reports.decision.wording import (
    PASS,
    TONE,
    deciding,
    next_steps,
    power,
    sentence,
    sorted_rules,
    tone,
    waived,
)
from airflow_mlops.reports.html import banner, facts, loud, mark, page, section, table, words

MOST_REASONS = 6
"""Reasons in the banner; the table of rules has them all."""
MOST_RULES = 40


def render(decision: GateDecision, candidate: Candidate, advice: Sequence[str]) -> str:
    """Return one self-contained HTML page, below 200 kB, that needs no network and no script.

    Sections without evidence are left out. What is too long for a page (rules, slices, groups, features) is cut to the
    worst, and the page says so: the decision's JSON beside it has everything.
    """
    evaluation = decision.evaluation
    warning = waived(decision)
    return page(
        f"Gate decision: {clip_text(decision.model)}, as of {decision.as_of:%Y-%m-%d %H:%M} UTC",
        "" if warning is None else loud(*warning),
        banner(tone(decision), sentence(decision), _reasons(deciding(decision))),
        section("What to do next", _list(next_steps(decision, advice))),
        section("Rules", _rules(evaluation.rules)),
        section("Gains with their confidence intervals", _intervals(evaluation.rules)),
        section("Metrics on the same rows", _metrics(evaluation)),
        *gate_evidence.sections(evaluation),
        section("Origin", facts(_origin(decision, candidate))),
    )


def _reasons(reasons: Sequence[str]) -> list[str]:
    shown = [clip_text(reason) for reason in reasons[:MOST_REASONS]]
    left = len(reasons) - len(shown)
    return [*shown, f"and {left} more, in the table of rules"] if left > 0 else shown


def _list(sentences: Iterable[str]) -> str:
    return f"<ol>{''.join(f'<li>{escape(clip_text(item))}</li>' for item in sentences)}</ol>"


def _rules(rules: Sequence[RuleResult]) -> str:
    ordered = sorted_rules(rules)
    rows = [
        [
            mark(TONE[rule.verdict], PASS[rule.verdict]),
            f"<b>{_name(rule.rule)}</b>{_about(rule)}",
            _reason(rule),
            _number(rule.value),
            escape(clip_text(rule.bound)),
            f"{rule.rows:,}",
        ]
        for rule in ordered[:MOST_RULES]
    ]
    more = len(ordered) - len(rows)
    return table(["", "rule", "in words", "value", "bound", "rows"], rows, numbers=frozenset({3, 5}), stack=True) + (
        words(f"{more} more rules are in the decision's JSON.") if more else ""
    )


def _about(rule: RuleResult) -> str:
    return "" if rule.metric == rule.rule else f" <span class='soft'>{_name(rule.metric)}</span>"


def _name(word: str) -> str:
    return escape(clip_text(spell_out(word)))


def _reason(rule: RuleResult) -> str:
    parts = [escape(clip_text(rule.reason))]
    if not rule.enforced:
        parts.append(mark("unsure", "recorded only: it did not count"))
    if power(rule):
        parts.append(f'<span class="soft">{escape(power(rule))}</span>')
    if rule.code is not None:
        parts.append(f'<code class="soft">{escape(rule.code)}</code>')
    return "<br>".join(parts)


def _intervals(rules: Sequence[RuleResult]) -> str:
    plots = gate_plots.intervals(rules)
    if not plots:
        return words("No rule was decided on an interval.")
    return plots + words(
        "The thick line is the confidence interval, the upright mark the bound. A circle passes, a ring is open, "
        "a diamond fails."
    )


def _metrics(evaluation: Evaluation) -> str:
    champion = evaluation.champion_metrics or {}
    every = set(evaluation.candidate_metrics) | set(champion) | set(evaluation.baseline_metrics)
    names = [evaluation.primary, *sorted(every - {evaluation.primary})]
    rows = [
        [
            escape(clip_text(name)) + (" <span class='soft'>(primary)</span>" if name == evaluation.primary else ""),
            *_cells(name, evaluation, champion),
            f"<span class='soft'>{metric_direction(name)}</span>",
        ]
        for name in names[:60]
    ]
    serves = f"champion (v{evaluation.champion_version})" if evaluation.champion_version else "champion (none yet)"
    note = words(
        f"On {evaluation.rows:,} rows that neither model was trained on. \u2713 marks the better of two models."
    )
    headings = ["metric", "candidate", serves, "trivial baseline", ""]
    return note + table(headings, rows, numbers=frozenset({1, 2, 3}))


def _cells(name: str, evaluation: Evaluation, champion: Mapping[str, float]) -> list[str]:
    ours, theirs = evaluation.candidate_metrics.get(name), champion.get(name)
    best = _better(name, ours, theirs)
    return [
        _number(ours, best=best == "candidate"),
        _number(theirs, best=best == "champion"),
        _number(evaluation.baseline_metrics.get(name)),
    ]


def _better(name: str, ours: float | None, theirs: float | None) -> str:
    """Who is better by the metric's direction; empty when that is not known, or neither is."""
    up = greater_is_better(name)
    if up is None or ours is None or theirs is None or not (math.isfinite(ours) and math.isfinite(theirs)):
        return ""
    return "" if ours == theirs else "candidate" if (ours > theirs) is up else "champion"


def _number(value: float | None, *, best: bool = False) -> str:
    shown = escape(format_number(value))
    if value is None:
        return f"<span class='soft'>{shown}</span>"
    if not math.isfinite(value):
        return mark("bad", format_number(value))
    return f"<b>\u2713\u00a0{shown}</b>" if best else shown


def _origin(decision: GateDecision, candidate: Candidate) -> dict[str, str]:
    found = {
        "judged on": f"{decision.evaluation.rows:,} rows, {format_window(decision.evaluation.window)}",
        "trained on": f"{candidate.train_rows:,} rows, {format_window(candidate.train)}",
        "task": candidate.task,
        "candidate": candidate.model_uri,
        "MLflow run": candidate.run_id,
        "Airflow run": candidate.loop_run,
        "snapshot": candidate.snapshot_uri,
        "its fingerprint": candidate.snapshot_fingerprint,
        "specification": candidate.spec_fingerprint,
        "seed": str(candidate.seed),
        "gate.mode": decision.mode,
        "decided at": f"{decision.decided_at:%Y-%m-%d %H:%M:%S} UTC",
        "decision's digest": decision.digest,
    }
    return {name: clip_text(value) for name, value in found.items()}
