"""The evidence of a decision in words: a section for each thing that a rule saw, and for what it did not see why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from airflow_mlops.core.gate.changes import changes_section
from airflow_mlops.core.gate.rule import Rule, Seen
from airflow_mlops.core.gate.rules import RULES
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.section import Section
from airflow_mlops.spec.model import ModelSpec


def sections_of(spec: ModelSpec, candidate: Candidate, decision: GateDecision) -> tuple[Section, ...]:
    """Word what every registered rule saw, in the order of the rules, then what changed against the champion.

    Page, card and form show the same sections, each those that it has room for.

    Parameters
    ----------
    spec
        Tells which rules were asked for.
    candidate, decision
        What was judged, and the decision with its evidence.

    Returns
    -------
    tuple of Section
        One without rows and facts holds a sentence that says why.
    """
    return tuple(_sections(Seen(spec=spec, candidate=candidate, evaluation=decision.evaluation)))


def _sections(seen: Seen) -> Iterator[Section]:
    for rule in RULES:
        for part in rule.sections(seen):
            yield part if part.rows or part.facts else replace(part, sentences=_why_empty(rule, seen, part))
    yield changes_section(seen.evaluation)


def _why_empty(rule: Rule, seen: Seen, part: Section) -> tuple[str, ...]:
    """Not asked for, or not evaluated: an empty place looks like an answer."""
    if not rule.runs(seen.spec):
        return (f"The {rule.name} rule is switched off.",)
    return part.sentences or (f"The {rule.name} rule was asked for, and there is no evidence of it in the decision.",)
