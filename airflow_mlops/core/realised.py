"""What the champion achieved on a cohort, in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

from airflow_mlops.core.cohort import Cohort
from airflow_mlops.core.metrics.registry import judge
from airflow_mlops.core.promise import Promise, repeated
from airflow_mlops.core.records.performance import Measured
from airflow_mlops.core.stats.bootstrap import gain
from airflow_mlops.core.stats.calibration_error import RESAMPLES, calibration_error, equal_bins
from airflow_mlops.core.stats.two_sample import drop, sampled
from airflow_mlops.spec.model import ModelSpec


def realised(spec: ModelSpec, cohort: Cohort, promise: Promise) -> tuple[Measured | None, Measured | None]:
    """Return the primary metric and its drop against the promise; None where it is not defined."""
    confidence = spec.monitoring.performance.confidence
    if not len(cohort.labels):
        return None, None
    found = sampled(
        promise.metric,
        cohort.judged,
        cohort.block,
        confidence=confidence,
        resamples=spec.gate.champion.resamples,
        seed=spec.training.seed,
    )
    if not math.isfinite(found.value):
        return None, None
    better = promise.metric.greater_is_better
    lost = drop(promise.sample, found, greater_is_better=better, confidence=confidence)
    return found.measured, lost if promise.value is not None else None


def baseline_gain(spec: ModelSpec, cohort: Cohort, promise: Promise) -> Measured | None:
    """Return what the champion gains on the trivial baseline on these rows; None without its training labels."""
    if promise.holdout is None:
        return None
    constant = repeated(promise.holdout.constant, len(cohort.labels))
    found = gain(
        promise.metric,
        cohort.judged,
        judge(cohort.labels, constant, weights=cohort.judged.weights),
        cohort.block,
        confidence=spec.monitoring.performance.confidence,
        resamples=spec.gate.champion.resamples,
        seed=spec.training.seed,
    )
    if not math.isfinite(found.value):
        return None
    lower, upper = (bound if math.isfinite(bound) else None for bound in (found.lower, found.upper))
    return Measured(value=found.value, lower=lower, upper=upper, rows=found.rows)


def calibration(spec: ModelSpec, cohort: Cohort) -> float | None:
    """Return the expected calibration error, as the gate estimates it; None without probabilities."""
    import numpy as np

    judged = cohort.judged
    if judged.probabilities is None:
        return None
    known = judged.probabilities
    chosen = np.ones(len(known), dtype=int) if judged.task == "binary" else known.argmax(axis=1)
    probability, came = known[np.arange(len(known)), chosen], (judged.truth == chosen).astype(float)
    weight = np.ones(len(known)) if judged.weights is None else judged.weights
    error = calibration_error(
        probability,
        came,
        weight,
        equal_bins(probability, weight, spec.gate.calibration.bins),
        cohort.block,
        rng=np.random.default_rng(spec.training.seed),
        resamples=min(spec.gate.champion.resamples, RESAMPLES),
    )
    return error.value if math.isfinite(error.value) else None


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """Leave out what is not a finite number.

    >>> finite({"a": 1.0, "b": math.nan})
    {'a': 1.0}
    """
    return {name: value for name, value in values.items() if math.isfinite(value)}
