"""What the champion achieves on predictions whose outcomes nobody knows yet, as far as that can be estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import Metric, metrics_of
from airflow_mlops.core.monitoring.performance import cbpe, direct_loss
from airflow_mlops.core.monitoring.performance.expected import ExpectedPerformance
from airflow_mlops.core.monitoring.performance.outcomes import RowLosses
from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.performance import DecayVerdict, Estimate, Measured
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.stats.two_sample import SampledMetric, drop, no_interval, sampled
from airflow_mlops.spec.model import ModelSpec


@dataclass(frozen=True, eq=False)
class Estimator:
    """How to estimate: a calibration for classes, a model of the losses for numbers."""

    spec: ModelSpec
    expected: ExpectedPerformance
    calibration: cbpe.Calibration | None = None
    losses: direct_loss.LossModel | None = None

    @property
    def each(self) -> RowLosses | None:
        """Expected losses of rows with features and their predictions; None for classes, which need no features."""
        return self.losses

    def sample(self, rows: UnlabelledRows) -> SampledMetric:
        """The primary metric, estimated; its interval holds the error of the rows, and the estimator's own.

        Expected losses differ less than those that come. What a metric of so many blocks is off by, the promise knows,
        whose outcomes came: its error, for as many blocks, is the least; and the only one where the rows fall into too
        few blocks to say how these differ.
        """
        import numpy as np

        rule, promised = self.spec.gate.champion, self.expected.sample
        confidence = self.spec.monitoring.performance.confidence
        metric, judged, block = self._laid_out(rows, self.expected.metric)
        found = sampled(
            metric, judged, block, confidence=confidence, resamples=rule.resamples, seed=self.spec.training.seed
        )
        # rows of classes stand there once for each class: the sample is of rows
        count = len(rows.predicted.values)
        found = replace(found, rows=count, units=count if rows.block is None else found.units)
        least = replace(found, error=math.nan).like(promised).error
        if not found.known:
            found = replace(found, error=least, units=promised.units)
        error = math.hypot(np.fmax(found.error, least), self._own_error(rows, found.value))
        reach = _quantile(confidence, promised.units) * error
        return replace(found, error=error, lower=found.value - reach, upper=found.value + reach)

    def _own_error(self, rows: UnlabelledRows, value: float) -> float:
        """Standard error of what was learnt on the holdout rows, as far as it moves the metric on these rows.

        For classes the delta method (A. van der Vaart, Asymptotic statistics, 1998, chapter 3), with differences over
        one standard error of each parameter; for losses their relative error, halved by a root.
        """
        import numpy as np

        if self.calibration is None:
            relative = math.nan if self.losses is None else self.losses.relative_error
            root = direct_loss.LOSSES[self.expected.metric.name] == "squared"
            return abs(value) * relative / (2 if root else 1)
        if self.calibration.method == "none":
            return 0.0
        covariance = np.asarray(self.calibration.covariance)
        if not np.isfinite(covariance).all():
            return math.nan
        spread = np.sqrt(np.diag(covariance))
        slopes = np.zeros(len(spread))
        for place in np.flatnonzero(spread):
            sides = [self.calibration.nearby(int(place), sign * spread[place]) for sign in (1, -1)]
            up, down = (self.expected.metric(cbpe.expected(rows.predicted, one, rows.weights)) for one in sides)
            slopes[place] = (up - down) / (2 * spread[place])
        return float(np.sqrt(max(0.0, slopes @ covariance @ slopes)))

    def metrics(self, rows: UnlabelledRows) -> dict[str, float]:
        """Every metric that the method can estimate, where it is finite."""
        if self.calibration is None:
            name = self.expected.metric.name
            metric, judged, _ = self._laid_out(rows, self.expected.metric)
            found = {name: metric(judged)}
        else:
            judged = cbpe.expected(rows.predicted, self.calibration, rows.weights)
            known = metrics_of(self.spec)
            found = {name: one(judged) for name, one in known.items() if one.kind == "classification"}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _laid_out(self, rows: UnlabelledRows, metric: Metric) -> tuple[Metric, LabelledPredictions, Array | None]:
        import numpy as np

        count = len(rows.predicted.values)
        if self.calibration is not None:
            judged = cbpe.expected(rows.predicted, self.calibration, rows.weights)
            each = np.arange(count) if rows.block is None else rows.block
            return metric, judged, np.repeat(each, len(rows.predicted.classes))
        judged = LabelledPredictions("regression", np.zeros(count), rows.predicted.values, None, rows.weights)
        return direct_loss.mean_of(rows.losses, metric.name), judged, rows.block


def _quantile(confidence: float, units: float) -> float:
    """Of Student's t with the holdout's blocks less one: what is known of any error is known from them."""
    from scipy import stats

    return float(stats.t.ppf(confidence, max(1.0, units - 1)) if math.isfinite(units) else stats.norm.ppf(confidence))


@dataclass(frozen=True, kw_only=True, eq=False)
class UnlabelledRows:
    """Predictions to estimate on; n rows."""

    predicted: Predicted
    weights: Array | None
    block: Array | None
    losses: Array | None = None
    """Expected losses, for numbers; shape (n,)."""


def estimator_of(spec: ModelSpec, champion: Champion, expected: ExpectedPerformance) -> Estimator | str:
    """Learn how to estimate from the holdout rows; or say, in words, why there is no estimate."""
    held, name, task = expected.holdout, expected.metric.name, champion.candidate.task
    if held is None:
        return "no estimate without outcomes: it needs the holdout rows, which are not to be had"
    if not held.judged.finite:
        return "no estimate without outcomes: a label or prediction of the holdout rows is not a finite number"
    if task != "regression":
        if held.judged.probabilities is None:
            return "no estimate without outcomes: the champion gives no probabilities"
        return Estimator(spec, expected, calibration=cbpe.calibrate(held.judged, held.block))
    if name not in direct_loss.LOSSES:
        named = ", ".join(direct_loss.LOSSES)
        return f"no estimate without outcomes: {name} is not a mean of losses; {named} can be estimated"
    candidate = champion.candidate
    losses = direct_loss.fit_losses(held.rows, held.judged, candidate.features, name, candidate.seed, held.block)
    return Estimator(spec, expected, losses=losses)


def estimate(
    estimator: Estimator, window: Window, waiting: UnlabelledRows, known: UnlabelledRows | None, realised: float | None
) -> Estimate:
    """Estimate on predictions without outcomes, and say what such an estimate was worth where outcomes are known.

    Parameters
    ----------
    waiting
        Predictions without outcomes, at least one.
    known, realised
        The newest cohort with outcomes, and the primary metric there; None: there is none, or too little of it.
    """
    expected, rule = estimator.expected, estimator.spec.monitoring.performance
    found = estimator.sample(waiting)
    lost = drop(
        expected.sample,
        found,
        greater_is_better=expected.metric.greater_is_better,
        confidence=rule.confidence,
    )
    error = None
    if known is not None and realised is not None:
        error = estimator.sample(known).value - realised
    error = error if error is not None and math.isfinite(error) else None
    return Estimate(
        method="direct_loss" if estimator.calibration is None else "cbpe",
        window=window,
        estimated=found.measured,
        drop=lost.value,
        verdict=_verdict(lost, expected.bound, rule.min_rows, error),
        assumptions=_assumptions(estimator),
        error=error,
        metrics=estimator.metrics(waiting),
    )


def _verdict(lost: Measured, bound: float | None, min_rows: int, error: float | None) -> DecayVerdict:
    if lost.rows < min_rows or lost.lower is None or bound is None or (error is not None and abs(error) > bound):
        return "unknown"
    return "decay" if lost.lower > bound else "ok"


def doubts(estimator: Estimator, found: Estimate) -> list[str]:
    """Why nothing can be said by an estimate, in words; nothing where it can."""
    if found.verdict != "unknown":
        return []
    rule, bound, seen = estimator.spec.monitoring.performance, estimator.expected.bound, found.estimated
    between = "no interval" if seen.lower is None or seen.upper is None else f"{seen.lower:.4g} to {seen.upper:.4g}"
    words = f"the estimate without outcomes, {seen.value:.4g} ({between}), says nothing"
    if found.error is not None and bound is not None and abs(found.error) > bound:
        return [f"{words}: it was off by {found.error:+.4g} on the newest rows with outcomes, more than {bound:.4g}"]
    if seen.rows < rule.min_rows:
        return [f"{words}: it is of {seen.rows:,} rows; needed are {rule.min_rows:,}"]
    if bound is None:
        return [f"{words}: there is no bound to hold it against: set monitoring.performance.max_drop"]
    return [f"{words}: {no_interval(estimator.expected.sample)}"]


def _assumptions(estimator: Estimator) -> tuple[str, ...]:
    if estimator.calibration is None:
        return direct_loss.ASSUMPTIONS
    return (
        *cbpe.ASSUMPTIONS,
        "probabilities mean on these rows what they meant on the holdout rows, whose slope and level they are given",
    )
