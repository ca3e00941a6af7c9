"""A decision is derived again from its own rules when it is read: what contradicts itself is refused, sealed or not.

A seal shows that a text is the one that was written; this shows that the verdict follows from what stands beside it. So
somebody who may write both a decision and its seal must at least tell a whole story, and one that other records do not
contradict: the specification says which rules are owed, and the candidate which model is meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.gate.decide import BY_NAME, decide, failed_closed, worst
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, RuleResult, Verdict
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

_BY_VALUE = frozenset({"absolute", "holdout", "serving"})
"""Rules that accept exactly where their value meets the bound that they say in words."""
_BY_INTERVAL = frozenset({"baseline", "champion"})
"""Rules that accept exactly where the lower bound of their interval exceeds it."""
_LIMIT = re.compile(r"(>=|<=|lower bound >) (-?[0-9.]+(?:e[+-]?[0-9]+)?)")
_ROUNDED = 1e-5
"""Bounds are written with six significant digits: a value is allowed so much beyond them, relative to the bound."""


def require_consistent(decision: GateDecision) -> GateDecision:
    """Return a decision whose verdict follows from its rules.

    One that holds no rule at all, as there may be of before, has nothing to follow from: before anything follows from
    it, :func:`require_derived` misses every rule that is owed.

    Raises
    ------
    RecordError
        DECISION_CONTRADICTORY, with everything that does not follow.
    """
    found = list(_contradictions(decision))
    if found:
        raise _contradictory(decision, found)
    return decision


def require_derived(decision: GateDecision, candidate: Candidate, specs: Sequence[ModelSpec]) -> None:
    """Refuse a decision that none of the specifications gives, from the evaluation that it holds.

    Where a rule is owed and its result is missing, or one that counts is marked as recorded only, deciding anew gives
    another verdict.

    Parameters
    ----------
    specs
        By which it may have been made: the one that the run was trained by, and the one of now.

    Raises
    ------
    RecordError
        DECISION_CONTRADICTORY.
    """
    if not any(_gives(spec, candidate, decision) for spec in specs):
        what = "the specification gives another, for a rule that it owes is missing, or one that counts is not counted"
        raise _contradictory(decision, [what])


def _gives(spec: ModelSpec, candidate: Candidate, decision: GateDecision) -> bool:
    if any(not result.enforced and _counts(spec, result) for result in decision.evaluation.rules):
        return False
    return decide(spec, candidate, decision.evaluation, now=decision.decided_at).verdict is decision.verdict


def _counts(spec: ModelSpec, result: RuleResult) -> bool:
    rule = BY_NAME.get(result.rule)
    return rule is not None and rule.counts(spec) and result.code not in rule.recordable


def _contradictions(decision: GateDecision) -> Iterator[str]:
    evaluation, rules = decision.evaluation, decision.evaluation.rules
    verdict = _verdict(rule for rule in rules if rule.enforced)
    if rules and verdict is not decision.verdict:
        failed = "; ".join(rule.reason for rule in rules if rule.enforced and rule.verdict is verdict)
        yield f"its rules give {verdict}" + (f": {failed[:300]}" if failed else "")
    if rules and decision.would is not None and (would := _verdict(rules)) is not decision.would:
        yield f"all its rules together give {would}, and it says {decision.would}"
    yield from (wrong for rule in rules if rule.verdict is Verdict.ACCEPT and (wrong := _unfounded(rule)))
    for name in ("model", "run_id", "champion_version"):
        if getattr(decision, name) != getattr(evaluation, name):
            yield f"it is about {name} {getattr(decision, name)}, and its evaluation about {getattr(evaluation, name)}"


def _verdict(rules: Iterable[RuleResult]) -> Verdict:
    return worst(tuple(failed_closed(rule) for rule in rules))


def _unfounded(rule: RuleResult) -> str:
    """Say why a rule cannot have accepted; empty when it can."""
    what = f"rule {rule.rule} of {rule.metric} accepts"
    if rule.code is not None:
        return f"{what}, with the code {rule.code} of a refusal"
    number = rule.value if rule.rule in _BY_VALUE else rule.lower if rule.rule in _BY_INTERVAL else None
    if number is None or all(_meets(number, sign, float(limit)) for sign, limit in _LIMIT.findall(rule.bound)):
        return ""
    return f"{what} {number:g}, where its bound is {rule.bound}"


def _meets(number: float, sign: str, limit: float) -> bool:
    slack = _ROUNDED * abs(limit)
    return math.isfinite(number) and (number <= limit + slack if sign == "<=" else number >= limit - slack)


def _contradictory(decision: GateDecision, found: Sequence[str]) -> RecordError:
    return RecordError(
        Problem(
            code=ReasonCode.DECISION_CONTRADICTORY,
            field="decision",
            found=f"the verdict {decision.verdict}, though {'; and '.join(found)}",
            allowed="the verdict that follows from the decision's own rules",
            fix="clear the gate task of this run together with the tasks after it, and find out who changed the "
            "decision; the champion is untouched",
        ),
        subject=f"MLflow run {decision.run_id}",
    )
