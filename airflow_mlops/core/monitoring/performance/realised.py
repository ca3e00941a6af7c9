"""What the champion achieved on a cohort, in numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_mlops.core.arrays import Array, finite_or_none
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import judge
from airflow_mlops.core.monitoring.performance.cohort import Cohort
from airflow_mlops.core.monitoring.performance.expected import ExpectedPerformance, repeated
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.performance import Measured, SliceDecay
from airflow_mlops.core.rows.slicing import LARGEST, MISSING, SliceSource, as_numbers, cut
from airflow_mlops.core.stats.bootstrap import gain
from airflow_mlops.core.stats.calibration_error import RESAMPLES, calibration_error, equal_bins
from airflow_mlops.core.stats.two_sample import drop, sampled
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd


def realised(spec: ModelSpec, cohort: Cohort, expected: ExpectedPerformance) -> tuple[Measured | None, Measured | None]:
    """Return the primary metric and its drop against the promise; None where it is not defined."""
    confidence = spec.monitoring.performance.confidence
    if not len(cohort.labels):
        return None, None
    found = sampled(
        expected.metric,
        cohort.judged,
        cohort.block,
        confidence=confidence,
        resamples=spec.gate.champion.resamples,
        seed=spec.training.seed,
    )
    if not math.isfinite(found.value):
        return None, None
    better = expected.metric.greater_is_better
    lost = drop(expected.sample, found, greater_is_better=better, confidence=confidence)
    return found.measured, lost if expected.value is not None else None


def baseline_gain(spec: ModelSpec, cohort: Cohort, expected: ExpectedPerformance) -> Measured | None:
    """Return what the champion gains on the trivial baseline on these rows; None without its training labels."""
    if expected.holdout is None:
        return None
    constant = repeated(expected.holdout.constant, len(cohort.labels))
    found = gain(
        expected.metric,
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
    probability, joined = known[np.arange(len(known)), chosen], (judged.y_true == chosen).astype(float)
    weight = np.ones(len(known)) if judged.weights is None else judged.weights
    error = calibration_error(
        probability,
        joined,
        weight,
        equal_bins(probability, weight, spec.gate.calibration.bins),
        cohort.block,
        rng=np.random.default_rng(spec.training.seed),
        resamples=min(spec.gate.champion.resamples, RESAMPLES),
    )
    return finite_or_none(error.value)


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """Leave out what is not a finite number.

    >>> finite({"a": 1.0, "b": math.nan})
    {'a': 1.0}
    """
    return {name: value for name, value in values.items() if math.isfinite(value)}


@dataclass(frozen=True, eq=False)
class _Slice:
    column: str
    value: str
    rows: Array
    """Which rows of the cohort, shape (rows,)."""
    promised: float | None


def slice_decay(  # noqa: PLR0917 - by which rules, on which rows, judged how, and against what
    spec: ModelSpec,
    frame: pd.DataFrame,
    judged: LabelledPredictions,
    block: Array | None,
    expected: ExpectedPerformance,
    decision: GateDecision | None,
) -> tuple[SliceDecay, ...]:
    """Measure every slice of `gate.slices.columns` with at least `gate.slices.min_rows` rows; worst drop first.

    A numeric column has the bins that the gate cut, where the holdout rows are at hand; else its own. What the gate
    recorded of a slice is its promise; what it did not, is measured on the holdout rows if these are enough. No
    verdict is made of slices: with many, some look worse by chance, and the intervals are those of one slice alone.
    """
    import numpy as np

    recorded = _recorded(decision, expected.metric.name)
    found = []
    for one in _slices(spec, frame, expected, recorded):
        mine = judged.take(one.rows)
        inside = None if block is None else np.unique(block[one.rows], return_inverse=True)[1]
        seen = sampled(
            expected.metric,
            mine,
            inside,
            confidence=spec.monitoring.performance.confidence,
            resamples=spec.gate.champion.resamples,
            seed=spec.training.seed,
        )
        if math.isfinite(seen.value):
            sign = 1.0 if expected.metric.greater_is_better else -1.0
            lost = None if one.promised is None else sign * (one.promised - seen.value)
            found.append(
                SliceDecay(
                    column=one.column,
                    value=one.value,
                    rows=seen.rows,
                    realised=seen.measured,
                    promised=one.promised,
                    drop=lost,
                )
            )
    return tuple(sorted(found, key=lambda one: (one.drop is None, -(one.drop or 0.0), -one.rows)))


def _slices(
    spec: ModelSpec, frame: pd.DataFrame, expected: ExpectedPerformance, recorded: Mapping[tuple[str, str], float]
) -> Iterator[_Slice]:
    rule = spec.gate.slices
    for column in rule.columns:
        if column not in frame:
            continue
        held = (
            None if expected.holdout is None or column not in expected.holdout.rows else expected.holdout.rows[column]
        )
        cuts = {} if held is None else {rows.value: rows for rows in _all(held, rule.bins)}
        if held is not None and as_numbers(held) is not None:
            parts = list(_in_bins(frame[column], cuts))
        else:
            parts = [(rows.value, rows.index) for rows in _all(frame[column], rule.bins)]
        large = sorted((part for part in parts if len(part[1]) >= rule.min_rows), key=lambda part: -len(part[1]))
        for value, rows in large[:LARGEST]:
            promised = recorded.get((column, value))
            if promised is None:
                promised = _measured(expected, cuts.get(value), rule.min_rows)
            yield _Slice(column, value, rows, promised)


def _all(values: pd.Series[float], bins: int) -> list[SliceSource]:
    found = cut(values, bins, 1)
    return [*found.judged, *found.small, *found.others]


def _in_bins(values: pd.Series[float], cuts: Mapping[str, SliceSource]) -> Iterator[tuple[str, Array]]:
    """Rows in the bins that the gate cut; the outer ones are open, and text that is no number is missing."""
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bins = sorted((rows for rows in cuts.values() if not math.isnan(rows.high)), key=lambda rows: rows.high)
    place = np.searchsorted([rows.high for rows in bins[:-1]], numbers, side="left")
    place[np.isnan(numbers)] = -1
    for number, rows in enumerate(bins):
        yield rows.value, np.flatnonzero(place == number)
    yield MISSING, np.flatnonzero(place < 0)


def _measured(expected: ExpectedPerformance, rows: SliceSource | None, min_rows: int) -> float | None:
    """The primary metric of a slice on the holdout rows."""
    if expected.holdout is None or rows is None or len(rows.index) < min_rows:
        return None
    return finite_or_none(expected.metric(expected.holdout.judged.take(rows.index)))


def _recorded(decision: GateDecision | None, metric: str) -> dict[tuple[str, str], float]:
    if decision is None or decision.evaluation.primary != metric:
        return {}
    found = decision.evaluation.evidence.slices
    return {(one.column, one.value): one.candidate for one in found if one.candidate is not None}
