"""What the champion achieves on predictions whose outcomes nobody knows yet, as far as that can be estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.registry import Metric, metrics_of
from airflow_mlops.core.monitoring.performance import cbpe, direct_loss
from airflow_mlops.core.monitoring.performance.expected import ExpectedPerformance
from airflow_mlops.core.monitoring.performance.outcomes import RowLosses
from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.performance import DecayVerdict, Estimate, Measured
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.stats.two_sample import SampledMetric, drop, sampled
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
        """The primary metric, estimated."""
        rule = self.spec.gate.champion
        metric, judged, block = self._laid_out(rows, self.expected.metric)
        found = sampled(
            metric,
            judged,
            block,
            confidence=self.spec.monitoring.performance.confidence,
            resamples=rule.resamples,
            seed=self.spec.training.seed,
        )
        # rows of classes stand there once for each class: the sample is of rows
        units = len(rows.predicted.values) if rows.block is None else found.units
        return SampledMetric(
            value=found.value,
            rows=len(rows.predicted.values),
            units=units,
            error=found.error,
            lower=found.lower,
            upper=found.upper,
        )

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
    losses = direct_loss.fit_losses(held.rows, held.judged, champion.candidate.features, name, champion.candidate.seed)
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
    return Estimate(
        method="direct_loss" if estimator.calibration is None else "cbpe",
        window=window,
        estimated=found.measured,
        drop=lost.value,
        verdict=_verdict(lost, expected.bound, rule.min_rows),
        assumptions=_assumptions(estimator),
        error=error if error is not None and math.isfinite(error) else None,
        metrics=estimator.metrics(waiting),
    )


def _verdict(lost: Measured, bound: float | None, min_rows: int) -> DecayVerdict:
    if lost.rows < min_rows or lost.lower is None or bound is None:
        return "unknown"
    return "decay" if lost.lower > bound else "ok"


def _assumptions(estimator: Estimator) -> tuple[str, ...]:
    if estimator.calibration is None:
        return direct_loss.ASSUMPTIONS
    how = "as they are" if estimator.calibration.method == "none" else "calibrated on them by isotonic regression"
    return (*cbpe.ASSUMPTIONS, f"probabilities mean on these rows what they meant on the holdout rows, taken {how}")
