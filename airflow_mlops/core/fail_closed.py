"""The gate fails closed: what is missing or not finite is a rejection, whatever the rule said."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from airflow_mlops.core import metrics as metric
from airflow_mlops.core.model import Candidate, Evaluation, RuleResult, Verdict
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode


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


def missing(
    spec: ModelSpec, candidate: Candidate, evaluation: Evaluation, found: tuple[RuleResult, ...]
) -> Iterator[RuleResult]:
    """Yield a rejection for each rule that the specification asks for and that was not evaluated."""
    name = metric.primary(spec, candidate.task)
    wanted = [("holdout", "rows"), ("finite", name), ("leakage", "single_feature_power"), ("baseline", name)]
    wanted += [("absolute", rule.metric) for rule in spec.gate.absolute]
    if evaluation.champion_version is None:
        wanted.append(("first_model", name))
    else:
        wanted.append(("as_of", "as_of"))
        if not any(
            rule.code is ReasonCode.CHAMPION_TRAINED_ON_HOLDOUT and rule.verdict is not Verdict.ACCEPT for rule in found
        ):
            wanted.append(("champion", name))
    have = {(rule.rule, rule.metric) for rule in found}
    for rule, about in wanted:
        if (rule, about) not in have:
            yield RuleResult(
                rule=rule,
                metric=about,
                verdict=Verdict.REJECT,
                value=None,
                bound="evaluated",
                rows=evaluation.rows,
                code=ReasonCode.METRIC_NOT_FINITE,
                reason=f"rule {rule} of {about.replace('_', ' ')} was not evaluated, and what is missing does not pass",
            )
