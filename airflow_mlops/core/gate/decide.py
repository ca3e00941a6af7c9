"""An evaluation becomes a decision; what is missing or not finite is a rejection."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.gate.rules.serving import bounds as serving_bounds
from airflow_mlops.core.metrics import registry as metric
from airflow_mlops.core.records import evidence
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import Evaluation, GateDecision, RuleResult, Verdict
from airflow_mlops.spec.gate import FairnessRule
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

ALWAYS_ENFORCED = frozenset({"finite", "as_of"})


def failed_closed(rule: RuleResult) -> RuleResult:
    """The rule, or a rejection when it accepts on something that is missing or not finite."""
    on_interval = rule.rule in {"baseline", "champion"}
    numbers = (rule.value, rule.lower, rule.upper) if on_interval else (rule.value,)
    also = tuple(number for number in (rule.lower, rule.upper) if number is not None)
    if rule.verdict is not Verdict.ACCEPT or (
        all(number is not None and math.isfinite(number) for number in numbers) and all(map(math.isfinite, also))
    ):
        return rule
    return replace(
        rule,
        verdict=Verdict.REJECT,
        code=ReasonCode.METRIC_NOT_FINITE,
        reason=f"rule {rule.rule} of {rule.metric} has a number that is missing or not finite",
    )


def counted(spec: ModelSpec, rule: RuleResult) -> RuleResult:
    """The rule, marked as recorded only where the specification says so.

    Two rules count whatever `gate.mode` says, because nothing may be waived that they refuse: a metric that is not
    finite, and an as-of that goes backwards.
    """
    part = getattr(spec.gate, rule.rule, None)
    on = spec.gate.mode == "enforce" and getattr(part, "mode", "enforce") == "enforce"
    return replace(rule, enforced=on or rule.rule in ALWAYS_ENFORCED)


def missing(
    spec: ModelSpec, candidate: Candidate, evaluation: Evaluation, found: tuple[RuleResult, ...]
) -> Iterator[RuleResult]:
    """Yield a rejection for each rule that the specification asks for and that was not evaluated."""
    have = {(rule.rule, rule.metric) for rule in found}
    names = {rule.rule for rule in found}
    for rule, about in _wanted(spec, candidate, evaluation, found):
        if (rule, about) not in have and (about is not None or rule not in names):
            what = rule if about is None else f"{rule} of {about.replace('_', ' ')}"
            yield RuleResult(
                rule=rule,
                metric=about or rule,
                verdict=Verdict.REJECT,
                value=None,
                bound="evaluated",
                rows=evaluation.rows,
                code=ReasonCode.NOT_EVALUATED,
                reason=f"rule {what} was not evaluated, and what is missing does not pass",
            )


def _wanted(
    spec: ModelSpec, candidate: Candidate, evaluation: Evaluation, found: tuple[RuleResult, ...]
) -> Iterator[tuple[str, str | None]]:
    """Yield rule and metric of every result that must be there; None: any metric of the rule."""
    gate, name = spec.gate, metric.primary(spec, candidate.task)
    yield from (("finite", name), ("finite", "distinct_predictions"))
    if evaluation.champion_version is not None:
        yield "as_of", "as_of"
    if gate.mode == "off":
        return
    yield from (("holdout", "rows"), ("baseline", name))
    yield from (("absolute", rule.metric) for rule in gate.absolute)
    if evaluation.champion_version is None:
        yield "first_model", name
    elif not any(
        rule.code is ReasonCode.CHAMPION_TRAINED_ON_HOLDOUT and rule.verdict is not Verdict.ACCEPT for rule in found
    ):
        yield "champion", name
    on = {name for name, asked in _asked(spec).items() if asked and getattr(gate, name).mode != "off"}
    yield from ((rule, metric) for rule, metric in _by_name(spec) if rule in on)
    yield from ((rule, None) for rule in sorted(on))


def _by_name(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """Yield the results of rules with a mode of their own that are known by name."""
    gate = spec.gate
    yield from (("leakage", name) for name in ("single_feature_power", "function_of_label", "overlap", "time"))
    if gate.leakage.known_with_label:
        yield "leakage", "known_with_label"
    yield from (("serving", name) for name, _, _ in serving_bounds(gate.serving))
    if gate.robustness.max_drop is not None:
        yield "robustness", evidence.DROP
    if gate.robustness.max_reliance is not None:
        yield "robustness", evidence.RELIANCE


def _asked(spec: ModelSpec) -> dict[str, bool]:
    """Rules with a mode of their own, and whether they have to give a result at all."""
    gate = spec.gate
    return {
        "slices": bool(gate.slices.columns) and (gate.slices.max_drop is not None or gate.slices.max_gap is not None),
        "fairness": bool(gate.fairness.columns) and _bounded(gate.fairness),
        "calibration": gate.calibration.max_error is not None,
        "convergence": True,
        "robustness": gate.robustness.max_drop is not None or gate.robustness.max_reliance is not None,
        "leakage": True,
        "serving": True,
    }


def _bounded(rule: FairnessRule) -> bool:
    return any(
        bound is not None
        for bound in (
            rule.max_demographic_parity_difference,
            rule.max_equalized_odds_difference,
            rule.max_metric_difference,
        )
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
    verdict, would = _worst(rule for rule in every if rule.enforced), _worst(every)
    return GateDecision(
        model=candidate.model,
        run_id=candidate.run_id,
        loop_run=candidate.loop_run,
        model_uri=candidate.model_uri,
        as_of=candidate.as_of,
        verdict=verdict,
        champion_version=evaluation.champion_version,
        evaluation=replace(evaluation, rules=every),
        reasons=tuple(_reasons(spec, every, would)),
        decided_at=now,
        mode=spec.gate.mode,
        would=would,
    )


_ORDER = (Verdict.REJECT, Verdict.INCONCLUSIVE, Verdict.ACCEPT)


_TOLD_FIRST = (
    *("holdout", "champion", "first_model", "as_of", "baseline"),
    *("leakage", "serving", "slices", "fairness", "absolute"),
)


def _worst(found: Iterator[RuleResult] | tuple[RuleResult, ...]) -> Verdict:
    """The verdict of several rules; none at all is a rejection."""
    verdicts = {rule.verdict for rule in found}
    return next((verdict for verdict in _ORDER if verdict in verdicts), Verdict.REJECT)


def _reasons(spec: ModelSpec, every: tuple[RuleResult, ...], would: Verdict) -> Iterator[str]:
    """Why, in sentences: failed rules first, those that do not count last."""
    if spec.gate.mode != "enforce":
        yield f"gate.mode is {spec.gate.mode}: its rules do not count; had they counted, the verdict were {would.value}"
    told = sorted(every, key=lambda rule: _TOLD_FIRST.index(rule.rule) if rule.rule in _TOLD_FIRST else 99)
    for verdict in _ORDER:
        yield from (rule.reason for rule in told if rule.verdict is verdict and rule.enforced)
    for verdict in _ORDER[:2]:
        yield from (f"recorded only: {rule.reason}" for rule in told if rule.verdict is verdict and not rule.enforced)


def _mismatch(candidate: Candidate, evaluation: Evaluation) -> Problem:
    return Problem(
        code=ReasonCode.DECISION_MISMATCH,
        field="evaluation.run_id",
        found=f"an evaluation of {evaluation.model} run {evaluation.run_id}",
        allowed=f"one of {candidate.model} run {candidate.run_id}",
        fix="evaluate this candidate again",
    )
