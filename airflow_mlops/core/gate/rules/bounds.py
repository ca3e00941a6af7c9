"""Rules that hold one number against a bound."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from airflow_mlops.core.gate.rule import Asked, Rule
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules.champion import _number
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.wording import STOP
from airflow_mlops.core.text import metric_label
from airflow_mlops.spec.gate import AbsoluteRule
from airflow_mlops.spec.problems import ReasonCode

METRIC = "distinct_predictions"
"""What the rule's result is about."""


def judge_finite(inputs: RuleInput) -> RuleOutcome:
    """Refuse a candidate whose primary metric is no finite number, or whose predictions are all equal."""
    name = inputs.metric.name
    why = inputs.metric.why_undefined(inputs.judged if inputs.own is None else inputs.own)
    number = finite(name, inputs.candidate_metrics.get(name), len(inputs.rows), why)
    return RuleOutcome(rules=(number, distinct_predictions(inputs)))


def judge_absolute(inputs: RuleInput) -> RuleOutcome:
    """Hold metrics of the candidate against their bounds."""
    metrics, rows = inputs.candidate_metrics, len(inputs.rows)
    return RuleOutcome(rules=tuple(absolute(rule, metrics, rows) for rule in inputs.spec.gate.absolute))


def distinct_predictions(inputs: RuleInput) -> RuleResult:
    """Refuse a candidate whose predictions on the judged rows are all equal.

    Of a classifier the probabilities count, when it gives any: on a rare event every predicted label may well be the
    same.
    """
    rows = len(inputs.judged.y_true)
    distinct = _distinct(inputs.judged)
    fine = distinct > 1
    reason = f"the predictions of {rows:,} rows are {'not all equal' if fine else 'all equal'}"
    if not fine:
        reason += ": look whether the features hold values, and what training.parameters make of them"
    return RuleResult(
        rule="finite",
        metric=METRIC,
        verdict=Verdict.ACCEPT if fine else Verdict.REJECT,
        value=float(distinct),
        bound=">= 2",
        rows=rows,
        code=None if fine else ReasonCode.PREDICTIONS_CONSTANT,
        reason=reason,
    )


def _distinct(judged: LabelledPredictions) -> int:
    """Number of different predictions; missing ones are equal to each other."""
    import numpy as np

    said = judged.y_pred if judged.probabilities is None else judged.probabilities
    if said.ndim == 1 or said.shape[1] <= 2:  # noqa: PLR2004 - one of two probabilities tells the other
        return len(np.unique(said if said.ndim == 1 else said[:, -1]))
    rows, order = said, np.lexsort(said.T)
    same = (rows[order][1:] == rows[order][:-1]) | (np.isnan(rows[order][1:]) & np.isnan(rows[order][:-1]))
    return int(len(rows) > 0) + int((~same.all(axis=1)).sum())


def finite(metric: str, value: float | None, rows: int, why: str | None = None) -> RuleResult:
    """The primary metric of the candidate is a finite number; `why` says in words why it is not."""
    fine = value is not None and math.isfinite(value)
    return RuleResult(
        rule="finite",
        metric=metric,
        verdict=Verdict.ACCEPT if fine else Verdict.REJECT,
        value=value,
        bound="a finite number",
        rows=rows,
        code=None if fine else ReasonCode.METRIC_NOT_FINITE,
        reason=f"{metric_label(metric)} is {_number(value)} on {rows:,} rows"
        + ("" if fine or why is None else f": {why}"),
    )


def absolute(rule: AbsoluteRule, metrics: Mapping[str, float], rows: int) -> RuleResult:
    """A metric of the candidate lies inside its bounds."""
    value = metrics.get(rule.metric)
    bound = " and ".join(
        f"{sign} {limit:g}" for sign, limit in ((">=", rule.min), ("<=", rule.max)) if limit is not None
    )
    fine = value is not None and math.isfinite(value) and _or(rule.min, value) <= value <= _or(rule.max, value)
    known = value is not None and math.isfinite(value)
    code = None if fine else ReasonCode.METRIC_OUT_OF_BOUNDS if known else ReasonCode.METRIC_NOT_FINITE
    place = "within" if fine else "not within"
    return RuleResult(
        rule="absolute",
        metric=rule.metric,
        verdict=Verdict.ACCEPT if fine else Verdict.REJECT,
        value=value,
        bound=bound,
        rows=rows,
        code=code,
        reason=f"{metric_label(rule.metric)} {_number(value)} is {place} {bound} on {rows:,} rows",
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _owed_finite(asked: Asked) -> Iterator[str | None]:
    yield from (asked.primary, METRIC)


def _owed_absolute(asked: Asked) -> Iterator[str | None]:
    yield from (rule.metric for rule in asked.spec.gate.absolute)


FINITE = Rule(
    name="finite",
    owed=_owed_finite,
    judge=judge_finite,
    always=True,
    advice={
        ReasonCode.PREDICTIONS_CONSTANT: f"{STOP} the model says the same of every row. Look at the features.",
    },
)
ABSOLUTE = Rule(
    name="absolute",
    owed=_owed_absolute,
    judge=judge_absolute,
    rank=9,
    advice={
        ReasonCode.METRIC_OUT_OF_BOUNDS: "Find out whether data or bound is wrong. "
        "The bound was set by the model's owner.",
    },
)
