"""An evaluation becomes a decision; what is missing or not finite is a rejection."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.gate.rule import UNRANKED, Asked
from airflow_mlops.core.gate.rules import RULES
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import Evaluation, GateDecision, RuleResult, Verdict
from airflow_mlops.core.records.wording import STOP, comparison_words, format_settings
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

BY_NAME = {rule.name: rule for rule in RULES}


def failed_closed(result: RuleResult) -> RuleResult:
    """The result, or a rejection when it accepts on something that is missing or not finite."""
    on_interval = result.rule in BY_NAME and BY_NAME[result.rule].interval
    numbers = (result.value, result.lower, result.upper) if on_interval else (result.value,)
    also = tuple(number for number in (result.lower, result.upper) if number is not None)
    if result.verdict is not Verdict.ACCEPT or (
        all(number is not None and math.isfinite(number) for number in numbers) and all(map(math.isfinite, also))
    ):
        return result
    return replace(
        result,
        verdict=Verdict.REJECT,
        code=ReasonCode.METRIC_NOT_FINITE,
        reason=f"rule {result.rule} of {result.metric} has a number that is missing or not finite",
    )


def counted(spec: ModelSpec, result: RuleResult) -> RuleResult:
    """The result, marked as recorded only where the specification says so.

    One of a rule that is not registered, written by another version, counts wherever the gate does. What a rule itself
    only records does not count.
    """
    rule = BY_NAME.get(result.rule)
    counts = rule.counts(spec) if rule is not None else spec.gate.mode == "enforce"
    return replace(result, enforced=result.enforced and counts)


def missing(
    spec: ModelSpec, candidate: Candidate, evaluation: Evaluation, found: tuple[RuleResult, ...]
) -> Iterator[RuleResult]:
    """Yield a rejection for each result that a registered rule owes and that is not there."""
    asked = Asked(
        spec=spec,
        primary=metric.primary(spec, candidate.task),
        champion_version=evaluation.champion_version,
        found=found,
    )
    for rule in RULES:
        mine = {result.metric for result in found if result.rule == rule.name}
        for about in rule.owed(asked) if rule.runs(spec) else ():
            if about not in mine if about is not None else not mine:
                yield _not_evaluated(rule.name, about, evaluation.rows)


def _not_evaluated(rule: str, about: str | None, rows: int) -> RuleResult:
    what = rule if about is None else f"{rule} of {about.replace('_', ' ')}"
    return RuleResult(
        rule=rule,
        metric=about or rule,
        verdict=Verdict.REJECT,
        value=None,
        bound="evaluated",
        rows=rows,
        code=ReasonCode.NOT_EVALUATED,
        reason=f"rule {what} was not evaluated, and what is missing does not pass",
    )


def decide(spec: ModelSpec, candidate: Candidate, evaluation: Evaluation, *, now: datetime) -> GateDecision:
    """Turn an evaluation into a decision: any reject rejects, else any inconclusive is inconclusive, else accept.

    Only rules that are enforced count; `would` says what the verdict had been if all did. A rule that the
    specification asks for and the evaluation does not hold, or one that accepts on a number that is missing or not
    finite, is a rejection: nothing passes by being absent.

    Raises
    ------
    RecordError
        If the evaluation is of another model or run.
    """
    if (evaluation.model, evaluation.run_id) != (candidate.model, candidate.run_id):
        raise RecordError(_mismatch(candidate, evaluation))
    checked = tuple(failed_closed(rule) for rule in evaluation.rules)
    every = tuple(counted(spec, rule) for rule in (*checked, *missing(spec, candidate, evaluation, checked)))
    verdict, would = worst(rule for rule in every if rule.enforced), worst(every)
    judged = replace(evaluation, rules=every)
    return GateDecision(
        model=candidate.model,
        run_id=candidate.run_id,
        loop_run=candidate.loop_run,
        model_uri=candidate.model_uri,
        as_of=candidate.as_of,
        verdict=verdict,
        champion_version=evaluation.champion_version,
        evaluation=judged,
        reasons=tuple(_reasons(spec, judged, verdict, would)),
        decided_at=now,
        mode=spec.gate.mode,
        would=would,
        model_digest=candidate.model_digest,
    )


_ORDER = (Verdict.REJECT, Verdict.INCONCLUSIVE, Verdict.ACCEPT)


def worst(found: Iterator[RuleResult] | tuple[RuleResult, ...]) -> Verdict:
    """The verdict of several rules; none at all is a rejection."""
    verdicts = {rule.verdict for rule in found}
    return next((verdict for verdict in _ORDER if verdict in verdicts), Verdict.REJECT)


_COMPARED = frozenset({"champion", "baseline", "first_model"})


def _reasons(spec: ModelSpec, evaluation: Evaluation, verdict: Verdict, would: Verdict) -> Iterator[str]:
    """Why, in sentences: failed rules first, those that do not count last.

    What was accepted was so by every rule, and the one that says why is the comparison: it is told first, in the words
    that all places show, and not in those of its own rule once more.
    """
    every, words = evaluation.rules, comparison_words(evaluation) if verdict is Verdict.ACCEPT else None
    if spec.gate.mode != "enforce":
        yield f"gate.mode is {spec.gate.mode}: its rules do not count; had they counted, the verdict were {would.value}"
    if words is not None:
        yield words if spec.gate.mode == "enforce" else f"recorded only: {words}"
    told = sorted(every, key=lambda result: BY_NAME[result.rule].rank if result.rule in BY_NAME else UNRANKED)
    for kind in _ORDER:
        mine = [rule for rule in told if rule.verdict is kind and rule.enforced]
        yield from (rule.reason for rule in mine if words is None or not _is_worded(rule, evaluation))
    for kind in _ORDER[:2]:
        yield from (f"recorded only: {rule.reason}" for rule in told if rule.verdict is kind and not rule.enforced)


def _is_worded(rule: RuleResult, evaluation: Evaluation) -> bool:
    """Whether the comparison's words say already what this rule says."""
    return rule.rule == "champion" if evaluation.champion_version is not None else rule.rule in _COMPARED


def advice_of(decision: GateDecision) -> tuple[str, ...]:
    """Return what a person should do about the rules that made the verdict; what must not be passed over first."""
    failed = [one for one in decision.evaluation.rules if one.enforced and one.verdict is decision.verdict]
    found = [text for one in failed if (text := _advice(one)) is not None]
    told = sorted(dict.fromkeys(found), key=lambda text: not text.startswith(STOP))
    return (*told, *_try(decision))


def _try(decision: GateDecision) -> Iterator[str]:
    """What a first model's refusal points to, with what to write into the specification, and how to try it."""
    refused = ReasonCode.FIRST_MODEL_REFUSED in {one.code for one in decision.evaluation.rules}
    if decision.verdict is Verdict.ACCEPT or decision.champion_version is not None:
        return
    for remedy in decision.evaluation.remedies:
        written = "; ".join(format_settings(remedy.settings))
        yield f"Try {remedy.title} ({written}): {remedy.because}."
    if decision.evaluation.remedies or refused:
        yield f"airflow mlops advise {decision.model} tries what may help on history, and says what did."


def _advice(result: RuleResult) -> str | None:
    """Return what the rule itself advises; or whoever advises on its code, where it says nothing about that."""
    own = BY_NAME[result.rule].advice if result.rule in BY_NAME else {}
    return None if result.code is None else own.get(result.code, _ADVICE.get(result.code))


_DISTRUST = f"{STOP} the numbers cannot be trusted."
_ADVICE = {
    # what any rule may be refused for
    ReasonCode.METRIC_NOT_FINITE: f"{_DISTRUST} Look at the task's log for what could not be computed.",
    ReasonCode.NOT_EVALUATED: f"{_DISTRUST} A rule that was asked for could not be evaluated; its reason says why.",
    **{code: text for rule in RULES for code, text in rule.advice.items()},
}


def _mismatch(candidate: Candidate, evaluation: Evaluation) -> Problem:
    return Problem(
        code=ReasonCode.DECISION_MISMATCH,
        field="evaluation.run_id",
        found=f"an evaluation of {evaluation.model} run {evaluation.run_id}",
        allowed=f"one of {candidate.model} run {candidate.run_id}",
        fix="evaluate this candidate again",
    )
