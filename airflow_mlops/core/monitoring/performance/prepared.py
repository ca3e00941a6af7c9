"""What only the champion decides, whenever one looks at it: it is made once for many looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_mlops.core.metrics.measure import metrics_of, primary
from airflow_mlops.core.monitoring.performance.estimated import Estimator, estimator_of
from airflow_mlops.core.monitoring.performance.excess import ExcessMeter, ExcessRows, meter_of
from airflow_mlops.core.monitoring.performance.expected import (
    ExpectedPerformance,
    judged_window,
    promise_of,
    read_holdout,
)
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.performance import BlockExcess
from airflow_mlops.spec.model import ModelSpec


@dataclass(frozen=True, eq=False)
class Prepared:
    """What only the champion decides, whenever one looks: what it is held to, and how to estimate."""

    expected: ExpectedPerformance
    estimator: Estimator | str
    """In words why there is none; empty: none is wanted."""
    meter: ExcessMeter
    reference: tuple[BlockExcess, ...]
    """Of the holdout rows."""


def prepare(
    spec: ModelSpec,
    champion: Champion,
    load_pipeline: Callable[[], Any],
    storage: Storage,
    *,
    decision: GateDecision | None,
) -> Prepared:
    """Predict the champion's holdout rows again, and learn from them how sure its promise is and how to estimate.

    Raises
    ------
    StoreUnavailableError
        If the storage or the model store does not answer.
    """
    metric = metrics_of(spec)[primary(spec, champion.candidate.task)]
    held = read_holdout(spec, champion, load_pipeline, storage, judged_window(champion, decision), metric.name)
    expected = promise_of(spec, champion, metric, decision, held)
    wanted = spec.monitoring.performance.estimate
    estimator = estimator_of(spec, champion, expected) if wanted or champion.candidate.task != "regression" else ""
    calibration = estimator.calibration if isinstance(estimator, Estimator) else None
    rows, window = _held_rows(spec, expected), judged_window(champion, decision)
    meter = meter_of(spec, champion, metric, calibration, rows)
    reference = () if rows is None else meter.measure(rows, window)
    return Prepared(expected, estimator if wanted else "", meter, reference)


def _held_rows(spec: ModelSpec, expected: ExpectedPerformance) -> ExcessRows | None:
    held = expected.holdout
    if held is None:
        return None
    return ExcessRows(
        times=held.rows[spec.data.time], judged=held.judged, predicted=held.predicted, constant=held.trivial
    )
