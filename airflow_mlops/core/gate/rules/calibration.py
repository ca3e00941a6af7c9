"""Do probabilities mean what they say: reliability curves and the expected calibration error, judged.

Rows are put into bins of equal mass by their probability; in each bin the mean probability stands beside the share of
rows where it came true. The expected calibration error is the mean distance between the two over bins, weighted by
their mass (Naeini, Cooper and Hauskrecht, 2015). Of several classes it is about the predicted class and its
probability, the confidence (Guo et al., 2017). How it is estimated: :mod:`airflow_mlops.core.stats.calibration_error`.

References
----------
C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), On calibration of modern neural networks, ICML.
M. P. Naeini, G. F. Cooper, M. Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning, AAAI.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rule import Asked, Rule, Seen
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import Interval, Reliability, ReliabilityBin
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.wording import format_interval
from airflow_mlops.core.stats.bootstrap import MIN_BLOCKS
from airflow_mlops.core.stats.calibration_error import RESAMPLES, calibration_error, equal_bins, wilson
from airflow_mlops.core.text import SHORT, clip_text
from airflow_mlops.spec.problems import ReasonCode

METRIC = "expected_calibration_error"
"""What the rule's result is about."""


def judge(inputs: RuleInput) -> RuleOutcome:
    """Reliability of candidate and champion; a verdict when `gate.calibration.max_error` is set.

    Accept when the error is not above the bound; reject when its lower bound is; between the two inconclusive, and
    also when there are too few blocks for an interval.
    """
    made = {
        who: reliability(inputs, judged, who)
        for who, judged in _models(inputs)
        if judged.probabilities is not None and judged.finite
    }
    evidence = {"reliability": tuple(made.values())} if made else {}
    if inputs.spec.gate.calibration.max_error is None:
        return RuleOutcome(evidence=evidence)
    return RuleOutcome(rules=(_rule(inputs, made.get("candidate")),), evidence=evidence)


def reliability(inputs: RuleInput, judged: LabelledPredictions, who: Literal["candidate", "champion"]) -> Reliability:
    """Reliability curve and expected calibration error of one model on the judged rows.

    Parameters
    ----------
    judged
        Finite, with probabilities; n rows. Rows count by their weights, and bins have about equal weight.
    """
    import numpy as np

    gate = inputs.spec.gate
    probability, happened, event = _event(inputs, judged)
    weight = np.ones(len(probability)) if judged.weights is None else judged.weights
    bins = equal_bins(probability, weight, gate.calibration.bins)
    rng = np.random.default_rng(inputs.spec.training.seed)
    error = calibration_error(
        probability,
        happened,
        weight,
        bins,
        inputs.block,
        rng=rng,
        confidence=gate.champion.confidence,
        resamples=min(gate.champion.resamples, RESAMPLES),
    )
    rows = np.bincount(bins)
    mass, squares, said, came = (
        np.bincount(bins, weights=part) for part in (weight, weight**2, weight * probability, weight * happened)
    )
    with_mass = np.flatnonzero(mass > 0)
    return Reliability(
        who=who,
        event=event,
        error=error,
        bins=tuple(
            ReliabilityBin(
                predicted=float(said[b] / mass[b]),
                observed=wilson(float(came[b] / mass[b]), float(mass[b] ** 2 / squares[b]), gate.champion.confidence),
                rows=int(rows[b]),
            )
            for b in with_mass
        ),
    )


def _event(inputs: RuleInput, judged: LabelledPredictions) -> tuple[Array, Array, str]:
    """Probability and outcome of each row, and what they are of."""
    import numpy as np

    known = judged.known
    if judged.task == "binary":
        names = judged.names or inputs.candidate.classes
        return known[:, 1], (judged.y_true == 1).astype(float), str(names[1]) if len(names) > 1 else "positive class"
    chosen = known.argmax(axis=1)
    return known[np.arange(len(known)), chosen], (judged.y_true == chosen).astype(float), "predicted class"


def _models(inputs: RuleInput) -> list[tuple[Literal["candidate", "champion"], LabelledPredictions]]:
    models: list[tuple[Literal["candidate", "champion"], LabelledPredictions]] = [("candidate", inputs.judged)]
    return models if inputs.other is None else [*models, ("champion", inputs.other)]


def _rule(inputs: RuleInput, found: Reliability | None) -> RuleResult:
    bound = inputs.spec.gate.calibration.max_error or 0.0
    rows = len(inputs.judged.y_true)
    if found is None:
        code, reason = _unknown(inputs)
        return _result(
            bound, rows, Verdict.REJECT, Interval(value=math.nan, lower=math.nan, upper=math.nan), code, reason
        )
    error = found.error
    reason = (
        f"expected calibration error {error.value:.3g} of {found.event} in {len(found.bins)} bins on {rows:,} rows, "
        f"where gate.calibration.max_error allows {bound:g}"
    )
    if not (math.isfinite(error.lower) and math.isfinite(error.upper)):
        why = f"{reason}; an interval needs at least {MIN_BLOCKS} blocks: lengthen gate.holdout or shorten the block"
        return _result(bound, rows, Verdict.INCONCLUSIVE, error, ReasonCode.NOT_CALIBRATED, why)
    level = f"{inputs.spec.gate.champion.confidence * 100:g}% lower bound {error.lower:.3g}"
    if error.value <= bound:
        return _result(bound, rows, Verdict.ACCEPT, error, None, f"{reason} ({level})")
    if error.lower > bound:
        why = f"{reason}, {level}: calibrate it (sklearn.calibration.CalibratedClassifierCV), or raise the bound"
        return _result(bound, rows, Verdict.REJECT, error, ReasonCode.NOT_CALIBRATED, why)
    why = f"{reason}, but {level} does not: more holdout rows would tell"
    return _result(bound, rows, Verdict.INCONCLUSIVE, error, ReasonCode.NOT_CALIBRATED, why)


def _unknown(inputs: RuleInput) -> tuple[ReasonCode, str]:
    asked = "gate.calibration.max_error is set"
    if inputs.judged.task == "regression":
        return ReasonCode.NOT_EVALUATED, f"{asked}, and a regression has no calibration error: take it out"
    if inputs.judged.probabilities is None:
        estimator = inputs.spec.training.estimator
        why = f"{asked}, and {estimator} gives no probabilities: choose one that does, or take it out"
        return ReasonCode.NOT_EVALUATED, why
    return ReasonCode.METRIC_NOT_FINITE, f"{asked}, and there are no rows, or probabilities that are not finite"


def _result(  # noqa: PLR0917 - one private maker of one record
    bound: float, rows: int, verdict: Verdict, error: Interval, code: ReasonCode | None, reason: str
) -> RuleResult:
    return RuleResult(
        rule="calibration",
        metric=METRIC,
        verdict=verdict,
        value=error.value,
        lower=error.lower,
        upper=error.upper,
        bound=f"<= {bound:g}",
        rows=rows,
        code=code,
        reason=reason,
    )


def _owed(asked: Asked) -> Iterator[str | None]:
    if asked.spec.gate.calibration.max_error is not None:
        yield None


def sections(seen: Seen) -> Iterator[Section]:
    """Word the expected calibration error of both models."""
    found = seen.evaluation.evidence.reliability
    regression = seen.candidate.task == "regression"
    yield Section(
        key="reliability",
        title="Calibration",
        sentences=("A regression gives no probabilities.",) if regression else (),
        headings=("model", "probability of", "expected calibration error (interval)"),
        rows=tuple((item.who, clip_text(item.event, SHORT), format_interval(item.error)) for item in found),
    )


RULE = Rule(
    name="calibration",
    owed=_owed,
    judge=judge,
    part=True,
    evidence=frozenset({"reliability"}),
    sections=sections,
    advice={
        ReasonCode.NOT_CALIBRATED: "Probabilities are off: see the reliability diagram. "
        "Do not use them as probabilities.",
    },
)
