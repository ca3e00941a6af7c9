"""What the gate promised of a champion, and how well it could know: the holdout rows, predicted again.

The promise is an estimate from a sample of rows. Its error is that of the sample: the holdout rows of the champion's
snapshot are predicted again with its pipeline, and their blocks resampled. Where the snapshot or the pipeline is gone,
the error is taken from the rows served since, in proportion to the blocks of each (`core.stats.two_sample`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array, finite_or_none
from airflow_mlops.core.errors import DataError, RecordError, TrainingError
from airflow_mlops.core.metrics.baseline import trivial
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import Metric, judge
from airflow_mlops.core.pipeline.predict import Predicted, predict
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.snapshot import Snapshot, Window
from airflow_mlops.core.rows.frames import to_frame
from airflow_mlops.core.rows.labels import clean_labels
from airflow_mlops.core.rows.weights import row_weights
from airflow_mlops.core.rows.windows import within_any
from airflow_mlops.core.snapshot import open_snapshot_of, raise_altered, snapshot_batches
from airflow_mlops.core.stats.bootstrap import blocks_of
from airflow_mlops.core.stats.two_sample import SampledMetric, sampled
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.monitoring import PerformanceSpec

if TYPE_CHECKING:
    import pandas as pd

MAX_DROP, URGENT_DROP = 0.1, 0.5
"""Bounds where the specification has none: shares of what the champion gained on the baseline at the gate."""
FALLBACK = 0.05, 0.25
"""The same as shares of the promised value itself, where that gain is unknown or none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Holdout:
    """The rows that the champion was judged on, as the pipeline that was judged predicts them now; n rows."""

    rows: pd.DataFrame
    """With features, slices, entity and weight as far as the snapshot has them, sorted by event time."""
    judged: LabelledPredictions
    block: Array | None
    trivial: LabelledPredictions
    """The baseline on the same rows."""
    constant: Predicted
    """What the baseline says, one row."""
    predicted: Predicted
    """The champion's predictions of the rows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExpectedPerformance:
    """What the champion is held to."""

    metric: Metric
    sample: SampledMetric
    """The promised value with its error; NaN where nothing was promised."""
    gain: float | None
    """Over the baseline, at the gate; positive is better."""
    bound: float | None
    urgent: float | None
    holdout: Holdout | None
    reasons: tuple[str, ...]
    """What could not be had, and what took its place."""

    @property
    def value(self) -> float | None:
        """The promised value, if there is one."""
        return finite_or_none(self.sample.value)


def read_holdout(  # noqa: PLR0917 - whose rows, where they are, which of them, and by what they are judged
    spec: ModelSpec, champion: Champion, load_pipeline: Callable[[], Any], storage: Storage, window: Window, metric: str
) -> Holdout | str:
    """Predict the judged rows of the champion's snapshot again; or say, in words, why that cannot be.

    Raises
    ------
    RecordError
        SNAPSHOT_ALTERED or MODEL_ALTERED, if rows or model are there and were changed: nobody is held to those.
    StoreUnavailableError
        If the storage or the model store does not answer.
    """
    candidate = champion.candidate
    try:
        snapshot = open_snapshot_of(candidate, storage)
        rows, train = _rows(spec, champion, storage, snapshot, window)
        classification = candidate.task != "regression"
        rows, labels = clean_labels(spec, rows, classification)
        train, train_labels = clean_labels(spec, train, classification)
        if not len(rows) or not len(train):
            return f"the snapshot of version {champion.version} has no rows in {window}"
        weights, train_weights = row_weights(spec, rows)[0], row_weights(spec, train)[0]
        constant = trivial(candidate, train_labels, 1, metric, train_weights)
        predicted = predict(load_pipeline(), rows, candidate)
        return Holdout(
            rows=rows,
            judged=judge(labels, predicted, weights=weights),
            block=blocks_of(spec, rows),
            trivial=judge(labels, repeated(constant, len(rows)), weights=weights),
            constant=constant,
            predicted=predicted,
        )
    except (DataError, RecordError) as refusal:
        raise_altered(refusal)
        return f"the holdout rows of version {champion.version} cannot be predicted again: {refusal.problems[0]}"
    except TrainingError as refusal:
        return f"the holdout rows of version {champion.version} cannot be predicted again: {refusal.problems[0]}"


def promise_of(
    spec: ModelSpec, champion: Champion, metric: Metric, decision: GateDecision | None, held: Holdout | str
) -> ExpectedPerformance:
    """Put together what was promised, how sure that was, and the bounds of decay.

    The value is the gate's decision's; without one, what training measured on the holdout.
    """
    values = champion.candidate.metrics if decision is None else decision.evaluation.candidate_metrics
    reasons = [held] if isinstance(held, str) else []
    holdout = None if isinstance(held, str) else held
    again = None if holdout is None else _again(spec, metric, holdout)
    value = values.get(metric.name, math.nan if again is None else again.value)
    rows = champion.candidate.holdout_rows if decision is None else decision.evaluation.rows
    sample = SampledMetric(value=value, rows=rows, units=_units(spec, judged_window(champion, decision), rows))
    if again is not None:
        sample = SampledMetric(value=value, rows=rows, units=again.units, error=again.error)
        if again.known and abs(again.value - value) > max(0.1 * again.error, 1e-9 * abs(value)):
            reasons.append(f"its holdout rows give {metric.name} {again.value:.5g} now; the gate recorded {value:.5g}")
    if not math.isfinite(value):
        reasons.append(f"the gate recorded no {metric.name} of version {champion.version}")
    gain = _gain(metric, decision, holdout)
    bound, urgent, words = _bounds(spec, value, gain)
    return ExpectedPerformance(
        metric=metric,
        sample=sample,
        gain=gain,
        bound=bound,
        urgent=urgent,
        holdout=holdout,
        reasons=(*reasons, *words),
    )


def judged_window(champion: Champion, decision: GateDecision | None) -> Window:
    """Event times of the rows that the promise is about."""
    return champion.candidate.holdout if decision is None else decision.evaluation.window


def displaced_gain(decision: GateDecision | None, metric: str) -> float | None:
    """What the champion gained at the gate on the one that served before it; None where none did, or nobody knows."""
    rules = () if decision is None else decision.evaluation.rules
    return next((rule.value for rule in rules if (rule.rule, rule.metric) == ("champion", metric)), None)


def repeated(constant: Predicted, rows: int) -> Predicted:
    """Return the baseline's one prediction for so many rows."""
    import numpy as np

    probabilities = None if constant.probabilities is None else np.repeat(constant.probabilities, rows, axis=0)
    return Predicted(
        task=constant.task,
        classes=constant.classes,
        values=np.repeat(constant.values, rows),
        probabilities=probabilities,
    )


def _rows(
    spec: ModelSpec, champion: Champion, storage: Storage, snapshot: Snapshot, window: Window
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The judged rows, and time, label and weight of those that were learned from; in one pass."""
    import pandas as pd
    import pyarrow as pa

    data, gate, candidate = spec.data, spec.gate, champion.candidate
    there = {column.name for column in snapshot.columns}
    plain = [name for name in (data.time, data.label, data.weight) if name is not None]
    also = [name for name in (gate.champion.entity, *gate.slices.columns) if name in there]
    wanted = list(dict.fromkeys((*plain, *(feature.name for feature in candidate.features), *also)))
    judged, learned = [], []
    for batch in snapshot_batches(snapshot, storage, wanted):
        times = batch.column(data.time)
        judged.append(batch.filter(pa.array(within_any(times, [window]))))
        learned.append(batch.filter(pa.array(within_any(times, [candidate.judged_train]))).select(plain))
    if not judged:
        return pd.DataFrame(columns=wanted), pd.DataFrame(columns=plain)
    rows = to_frame(pa.Table.from_batches(judged)).sort_values(data.time, kind="stable", ignore_index=True)
    return rows, to_frame(pa.Table.from_batches(learned))


def _again(spec: ModelSpec, metric: Metric, holdout: Holdout) -> SampledMetric:
    rule = spec.gate.champion
    return sampled(
        metric,
        holdout.judged,
        holdout.block,
        confidence=spec.monitoring.performance.confidence,
        resamples=rule.resamples,
        seed=spec.training.seed,
    )


def _units(spec: ModelSpec, window: Window, rows: int) -> float:
    """How many blocks the window has, without looking at its rows; NaN of entities, which only rows can tell."""
    rule = spec.gate.champion
    if rule.entity is not None:
        return math.nan
    if rule.block is None:
        return rows
    return max(1.0, (window.end - window.start - timedelta(microseconds=1)) / rule.block)


def _gain(metric: Metric, decision: GateDecision | None, holdout: Holdout | None) -> float | None:
    """What the champion gained on the baseline at the gate."""
    sign = 1.0 if metric.greater_is_better else -1.0
    both = None
    if decision is not None:
        evaluation = decision.evaluation
        found = [values.get(metric.name) for values in (evaluation.candidate_metrics, evaluation.baseline_metrics)]
        both = None if found[0] is None or found[1] is None else (found[0], found[1])
    if both is None and holdout is not None:
        both = metric(holdout.judged), metric(holdout.trivial)
    return None if both is None else finite_or_none(sign * (both[0] - both[1]))


def _bounds(spec: ModelSpec, value: float, gain: float | None) -> tuple[float | None, float | None, list[str]]:
    """Bounds of decay and of urgent decay, and in words what they are where the specification has none."""
    rule = spec.monitoring.performance
    if rule.max_drop is not None and rule.urgent_drop is not None:
        return rule.max_drop, rule.urgent_drop, []
    if gain is not None and gain > 0:
        unit, shares, words = gain, (MAX_DROP, URGENT_DROP), []
    else:
        unit, shares = abs(value), FALLBACK
        why = "is not known" if gain is None else f"was {gain:.4g}, no gain at all"
        words = [
            f"what the champion gained on the baseline at the gate {why}: {_fallen_back(rule)} of the promised value"
        ]
    if not math.isfinite(unit):
        return rule.max_drop, rule.urgent_drop, words
    bound = rule.max_drop if rule.max_drop is not None else shares[0] * unit
    urgent = rule.urgent_drop if rule.urgent_drop is not None else max(shares[1] * unit, bound)
    return min(bound, urgent), urgent, words


def _fallen_back(rule: PerformanceSpec) -> str:
    """Name the bounds that the specification leaves open."""
    if rule.max_drop is None and rule.urgent_drop is None:
        return f"bounds are {FALLBACK[0]:.0%} and {FALLBACK[1]:.0%}"
    return f"the bound is {FALLBACK[0]:.0%}" if rule.max_drop is None else f"the urgent bound is {FALLBACK[1]:.0%}"
