"""What a person reads who is asked whether a candidate may serve: Markdown, computed from the decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import spell_out
from airflow_mlops.reports.decision.judgement import (
    changes_sections,
    gains_section,
    metrics_section,
    remedies_section,
    rules_section,
)
from airflow_mlops.reports.sections import anchors, plain, section_markdown
from airflow_mlops.spec import ModelSpec

_REASONS, _ROWS, _CHANGES = 4, 5, 12
"""How many are shown: the form is to be read; the report has them all."""
_SHOWN = ("slices", "disparities", "changes")
"""Sections of the evidence that a person needs to answer, by key."""


def subject(spec: ModelSpec, decision: GateDecision, version: int) -> str:
    """Return the question in one line."""
    champion = decision.champion_version
    instead = f" instead of version {champion}" if champion else ", as its first model"
    return f"May version {version} of {spec.name} serve{instead}?"


def body(
    spec: ModelSpec,
    candidate: Candidate,
    decision: GateDecision,
    version: int,
    *,
    links: Mapping[str, str],
    evidence: Sequence[Section],
) -> str:
    """Return what is needed to answer: verdict, gain with its interval, slices, fairness, changes, links.

    Parameters
    ----------
    spec, candidate, decision, version
        What was decided about what, and the version that it has in the registry.
    links
        Addresses by name; empty ones are left out.
    evidence
        What the rules saw, in sections; shown are those that a person needs to answer.
    """
    sections = (*_judgement(decision), *(_to_read(part) for part in evidence if part.key in _SHOWN and part.rows))
    parts = [
        anchors({name: url for name, url in links.items() if url}),
        _facts(spec, candidate, decision, version),
        *(section_markdown(part, level=3) for part in changes_sections(decision)),
        *(section_markdown(part, level=3, most=_CHANGES if part.key == "changes" else _ROWS) for part in sections),
        f"Without an answer within {_words(spec.promotion.approval.timeout)}, the champion stays.",
    ]
    return "\n\n".join(part for part in parts if part)


def _facts(spec: ModelSpec, candidate: Candidate, decision: GateDecision, version: int) -> str:
    evaluation = decision.evaluation
    judged = f"{evaluation.rows:,} rows in {evaluation.window}"
    who = f"**{plain(spec.name)}**, version {version}, owner **{plain(spec.owner)}**, risk tier **{spec.risk_tier}**"
    lines = [
        f"{who}: the gate says **{decision.verdict}**.",
        plain(spec.description),
        f"**{plain(decision.overridden)}** The specification's file says otherwise." if decision.overridden else "",
        f"**{plain(decision.other_rules)}**" if decision.other_rules else "",
        "\n".join(f"- {plain(reason)}" for reason in _first(decision.reasons)),
        f"As of {decision.as_of:%Y-%m-%d %H:%M} UTC; trained on {candidate.train_rows:,} rows, judged on {judged}.",
    ]
    if decision.overridden_by:
        lines.append(f"The run was triggered by {plain(decision.overridden_by)}.")
    if spec.training.refit:
        lines.append("Once approved, it is trained again on all rows (training.refit), and that version serves.")
    if decision.mode != "enforce":
        would = f"; all rules together would say **{decision.would}**" if decision.would else ""
        lines.append(f"The gate's mode is **{spell_out(decision.mode)}**{would}.")
    return "\n\n".join(line for line in lines if line)


def _first(reasons: Sequence[str]) -> list[str]:
    """The reasons that decide stand first; those of every rule that passed would bury them."""
    more = len(reasons) - _REASONS
    return [*reasons[:_REASONS], *([f"{more} more, in the report"] if more > 0 else [])]


def _judgement(decision: GateDecision) -> Iterator[Section]:
    """The primary metric with its gain, and the rules that did not pass."""
    evaluation = decision.evaluation
    metrics = metrics_section(evaluation)
    yield replace(metrics, title="Primary metric", rows=metrics.rows[:1])
    gains = gains_section(evaluation.rules)
    if gains.rows:
        yield replace(gains, sentences=())
    left = [rule for rule in evaluation.rules if rule.verdict is not Verdict.ACCEPT]
    if left:
        yield rules_section(left, "Rules that did not pass")
    if evaluation.remedies:
        yield remedies_section(evaluation)


def _to_read(part: Section) -> Section:
    """Without rows that nothing could be said of: they stand behind the others, and the report has them."""
    kept = tuple(row for row in part.rows if row[0] != "too few rows") if part.key == "slices" else part.rows
    return replace(part, rows=kept, tones=())


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
