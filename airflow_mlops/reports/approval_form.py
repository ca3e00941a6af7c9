"""What a person reads who is asked whether a candidate may serve: Markdown, computed from the decision."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, RuleResult, Verdict
from airflow_mlops.core.records.evidence import Disparity, Evidence, SliceResult
from airflow_mlops.spec import ModelSpec

_REASONS, _SLICES, _DISPARITIES, _CHANGES = 4, 5, 5, 12
"""How many are shown: the form is to be read; the report has them all."""


def subject(spec: ModelSpec, decision: GateDecision, version: int) -> str:
    """Return the question in one line."""
    champion = decision.champion_version
    instead = f" instead of version {champion}" if champion else ", as its first model"
    return f"May version {version} of {spec.name} serve{instead}?"


def body(
    spec: ModelSpec, candidate: Candidate, decision: GateDecision, version: int, *, links: Mapping[str, str]
) -> str:
    """Return what is needed to answer: verdict, gain with its interval, slices, fairness, changes, links."""
    evaluation, evidence = decision.evaluation, decision.evaluation.evidence
    parts = [
        " | ".join(f"[{name}]({url})" for name, url in links.items() if url),
        _facts(spec, candidate, decision, version),
        *_section("Primary metric", _primary(decision)),
        *_section("Rules that did not pass", [_rule(rule) for rule in evaluation.rules if _open(rule)]),
        *_section("Slices furthest behind the champion", _slices(evidence.slices)),
        *_section("Fairness", [_disparity(found) for found in evidence.disparities[:_DISPARITIES]]),
        *_section("What changed against the champion", _changes(evidence)),
        f"Without an answer within {_words(spec.promotion.approval.timeout)}, the champion stays.",
    ]
    return "\n\n".join(part for part in parts if part)


def _facts(spec: ModelSpec, candidate: Candidate, decision: GateDecision, version: int) -> str:
    evaluation = decision.evaluation
    judged = f"{evaluation.rows:,} rows in {evaluation.window}"
    who = f"**{_plain(spec.name)}**, version {version}, owner **{_plain(spec.owner)}**, risk tier **{spec.risk_tier}**"
    lines = [
        f"{who}: the gate says **{decision.verdict}**.",
        _plain(spec.description),
        "\n".join(f"- {_plain(reason)}" for reason in _first(decision.reasons)),
        f"As of {decision.as_of:%Y-%m-%d %H:%M} UTC; trained on {candidate.train_rows:,} rows, judged on {judged}.",
    ]
    if decision.mode != "enforce":
        would = f"; all rules together would say **{decision.would}**" if decision.would else ""
        lines.append(f"The gate's mode is **{decision.mode.replace('_', ' ')}**{would}.")
    return "\n\n".join(line for line in lines if line)


def _first(reasons: Sequence[str]) -> list[str]:
    """The reasons that decide stand first; those of every rule that passed would bury them."""
    more = len(reasons) - _REASONS
    return [*reasons[:_REASONS], *([f"{more} more, in the report"] if more > 0 else [])]


def _primary(decision: GateDecision) -> Iterator[str]:
    evaluation = decision.evaluation
    name, champion = evaluation.primary, evaluation.champion_metrics or {}
    yield (
        f"{_plain(name)}: candidate {_number(evaluation.candidate_metrics.get(name))}, "
        f"champion {_number(champion.get(name))}, trivial baseline {_number(evaluation.baseline_metrics.get(name))}"
    )
    for rule in evaluation.rules:
        if rule.rule == "champion" and rule.value is not None:
            between = _interval(rule.lower, rule.upper)
            yield f"gain over the champion (positive is better): {_number(rule.value)}{between}; bound {rule.bound}"


def _open(rule: RuleResult) -> bool:
    return rule.verdict is not Verdict.ACCEPT


def _rule(rule: RuleResult) -> str:
    waived = "" if rule.enforced else " (not enforced)"
    return f"{_plain(rule.rule)}, {_plain(rule.metric)}: {_plain(rule.reason)}{waived}"


def _slices(slices: Sequence[SliceResult]) -> list[str]:
    judged = [found for found in slices if found.judged and found.drop is not None]
    worst = sorted(judged, key=lambda found: -_or_worst(found.drop.value if found.drop else math.nan))[:_SLICES]
    return [
        f"{_plain(found.column)} = {_plain(found.value)} ({found.rows:,} rows): candidate {_number(found.candidate)}, "
        f"champion {_number(found.champion)}, drop {_number(found.drop.value)}"
        f"{_interval(found.drop.lower, found.drop.upper)}"
        for found in worst
        if found.drop is not None
    ]


def _or_worst(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _disparity(found: Disparity) -> str:
    bound = "no bound" if found.bound is None else f"at most {found.bound:g}"
    between = _interval(found.difference.lower, found.difference.upper)
    measure = _plain(found.measure.replace("_", " "))
    return f"{_plain(found.column)}, {measure}: {_number(found.difference.value)}{between}; {bound}"


def _changes(evidence: Evidence) -> list[str]:
    shown = [
        f"{_plain(change.what)}: {_plain(change.champion)} → {_plain(change.candidate)}"
        for change in evidence.changes[:_CHANGES]
    ]
    more = len(evidence.changes) - len(shown)
    return [*shown, f"and {more} more, in the report"] if more else shown


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    items = [f"- {line}" for line in lines]
    if items:
        yield "\n".join([f"### {heading}", "", *items])


def _plain(text: str) -> str:
    r"""Return a text that Markdown shows as it is, in one line: a column's value must not become a link or a table.

    >>> print(_plain("[a](http://x) *b* under_score"))
    \[a\](http://x) \*b\* under\_score
    """
    return re.sub(r"([\\`*_\[\]<>|#~!])", r"\\\1", " ".join(str(text).split()))


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.4f}" if math.isfinite(value) else str(value)


def _interval(lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None:
        return ""
    return f" (interval {_number(lower)} to {_number(upper)})"


def _words(span: timedelta) -> str:
    """Say a duration in its largest whole unit.

    >>> _words(timedelta(days=7)), _words(timedelta(hours=36)), _words(timedelta(seconds=5))
    ('7 days', '36 hours', '5 seconds')
    """
    seconds = int(span.total_seconds())
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
