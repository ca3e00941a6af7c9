"""What the gate decided as sections: rules, gains with their intervals, metrics of the models beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from airflow_mlops.core.records.candidate import Candidate, Label
from airflow_mlops.core.records.decision import Evaluation, GateDecision, JudgedVersion, RuleResult
from airflow_mlops.core.records.evidence import Interval
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.wording import (
    format_interval,
    format_settings,
    format_window,
    greater_is_better,
    metric_direction,
)
from airflow_mlops.core.text import clip_text, format_number, spell_out
from airflow_mlops.reports.decision.wording import COMPARISONS, PASS, TONE, power, sorted_rules

_MOST_METRICS = 60


def rules_section(rules: Iterable[RuleResult], title: str = "Rules") -> Section:
    """Every rule with its verdict, the failed ones first."""
    ordered = sorted_rules(rules)
    return Section(
        key="rules",
        title=title,
        headings=("verdict", "rule", "in words", "value", "bound", "rows"),
        rows=tuple(
            (
                PASS[rule.verdict] if rule.enforced else f"{PASS[rule.verdict]}, recorded only",
                clip_text(spell_out(rule.rule)) + ("" if rule.metric == rule.rule else f"\n{spell_out(rule.metric)}"),
                _reason(rule),
                format_number(rule.value),
                rule.bound,
                f"{rule.rows:,}",
            )
            for rule in ordered
        ),
        tones=tuple((TONE[rule.verdict],) for rule in ordered),
    )


def _reason(rule: RuleResult) -> str:
    """The reason, and on lines of their own what stands beside it."""
    waived = "" if rule.enforced else "recorded only: it did not count"
    parts = (" ".join(rule.reason.split()), waived, power(rule), rule.code or "")
    return "\n".join(part for part in parts if part)


def gains_section(rules: Sequence[RuleResult]) -> Section:
    """What was decided on a gain and its interval."""
    found = [
        (rule, Interval(value=rule.value, lower=rule.lower, upper=rule.upper))
        for name in COMPARISONS
        for rule in rules
        if rule.rule == name and rule.value is not None and rule.lower is not None and rule.upper is not None
        if all(map(math.isfinite, (rule.value, rule.lower, rule.upper)))
    ]
    over = {"champion": "the champion", "first_model": "nothing: it is the first model", "baseline": "the baseline"}
    drawn = "The thick line is the confidence interval, the upright mark the bound. A circle passes, a ring is open, "
    return Section(
        key="gains",
        title="Gains with their confidence intervals",
        sentences=(f"{drawn}a diamond fails." if found else "No rule was decided on an interval.",),
        headings=("verdict", "over", "metric", "gain (interval)", "bound"),
        rows=tuple(
            (PASS[rule.verdict], over[rule.rule], spell_out(rule.metric), format_interval(gain), rule.bound)
            for rule, gain in found
        ),
        tones=tuple((TONE[rule.verdict],) for rule, _ in found),
    )


def remedies_section(evaluation: Evaluation) -> Section:
    """What may help a first model that was refused, the best founded first."""
    return Section(
        key="remedies",
        title="What may help",
        sentences=(f"airflow mlops advise {clip_text(evaluation.model)} tries them, and the others, on history.",),
        headings=("remedy", "in the specification", "because"),
        rows=tuple((one.title, "\n".join(format_settings(one.settings)), one.because) for one in evaluation.remedies),
    )


def metrics_section(evaluation: Evaluation, judged: JudgedVersion | None = None) -> Section:
    """Candidate, champion and baseline on the same rows: the primary metric first, the better of two models marked.

    Parameters
    ----------
    judged
        Of a refitted model: whose numbers these are.
    """
    champion = evaluation.champion_metrics or {}
    every = set(evaluation.candidate_metrics) | set(champion) | set(evaluation.baseline_metrics)
    names = [evaluation.primary, *sorted(every - {evaluation.primary})]
    version = evaluation.champion_version
    return Section(
        key="metrics",
        title="Metrics on the same rows",
        sentences=tuple(_compared(evaluation, judged)),
        headings=(
            "metric",
            "candidate",
            f"champion (v{version})" if version else "champion (none yet)",
            "trivial baseline",
            "direction",
        ),
        rows=tuple(_metric(name, evaluation) for name in names[:_MOST_METRICS]),
    )


def about_class(positive: Label | None) -> str:
    """Which class metrics of one class are about, in a sentence."""
    return f"Metrics of one class, such as recall and average precision, are about {str(positive)!r}."


def _compared(evaluation: Evaluation, judged: JudgedVersion | None) -> Iterator[str]:
    if evaluation.positive is not None:
        yield about_class(evaluation.positive)
    if judged is not None:
        yield f"Of version {judged.version}, which was judged; the refitted model has learned from these rows too."
    rows = f"{evaluation.rows:,} rows ({format_window(evaluation.window)})"
    if evaluation.champion_metrics is None:
        yield f"On {rows} that it was not trained on. It was not compared with a champion on these rows."
    else:
        yield f"On {rows} that neither model was trained on. \u2713 marks the better of two models."


def metrics_of_training(candidate: Candidate) -> Section:
    """What was measured when it was trained: all that is known before the gate."""
    found = sorted(candidate.metrics.items())
    return Section(
        key="metrics",
        title="Metrics",
        sentences=_of_training(candidate),
        headings=("metric", "candidate", "direction"),
        rows=tuple((name, format_number(value), metric_direction(name)) for name, value in found),
    )


def _of_training(candidate: Candidate) -> tuple[str, ...]:
    if not candidate.metrics:
        return ("No metric was recorded when it was trained.",)
    return () if candidate.positive is None else (about_class(candidate.positive),)


def _metric(name: str, evaluation: Evaluation) -> tuple[str, ...]:
    ours, theirs = evaluation.candidate_metrics.get(name), (evaluation.champion_metrics or {}).get(name)
    best = _better(name, ours, theirs)
    return (
        clip_text(name) + (" (primary)" if name == evaluation.primary else ""),
        _marked(ours, best=best == "candidate"),
        _marked(theirs, best=best == "champion"),
        format_number(evaluation.baseline_metrics.get(name)),
        metric_direction(name),
    )


def _better(name: str, ours: float | None, theirs: float | None) -> str:
    """Who is better by the metric's direction; empty when that is not known, or neither is."""
    up = greater_is_better(name)
    if up is None or ours is None or theirs is None or not (math.isfinite(ours) and math.isfinite(theirs)):
        return ""
    return "" if ours == theirs else "candidate" if (ours > theirs) is up else "champion"


def _marked(value: float | None, *, best: bool) -> str:
    return f"\u2713\u00a0{format_number(value)}" if best else format_number(value)


def changes_sections(decision: GateDecision) -> Iterator[Section]:
    """Everything that the run changed of its specification, and that the specification changed of the rules."""
    by = f" by {decision.overridden_by}" if decision.overridden_by else ""
    if decision.overrides:
        yield Section(key="overrides", title=f"Changed for this run{by}", points=decision.overrides)
    if decision.rules_changed:
        title = "Gate, risk tier and approval: what is new with this version"
        yield Section(key="rules_changed", title=title, points=decision.rules_changed)
    if decision.earlier_changes:
        title = "Gate, risk tier and approval: what has changed before, since the last approval"
        yield Section(key="earlier_changes", title=title, points=decision.earlier_changes)
