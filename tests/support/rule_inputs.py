"""Benches made by hand: predictions are given, not trained, so that the truth about every slice is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.records.candidate import Candidate, Feature
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.spec import ModelSpec
from tests.support.builders import LOGISTIC, make_candidate, make_champion, make_snapshot, make_spec

END = datetime(2024, 3, 1, tzinfo=UTC)
WINDOW = Window(start=END - timedelta(days=20), end=END)


def spec_of(gate: dict[str, Any] | None = None, estimator: str = LOGISTIC) -> ModelSpec:
    return make_spec(estimator, data={"window": "60d"}, gate=gate)


def candidate_of(task: str, features: tuple[Feature, ...]) -> Candidate:
    train = Window(start=END - timedelta(days=60), end=WINDOW.start)
    return make_candidate(END, task=task, train=train, holdout=WINDOW, features=features)


def bench_of(
    rows: pd.DataFrame,
    judged: LabelledPredictions,
    other: LabelledPredictions | None = None,
    *,
    block: Any = None,
    metric: str = "log_loss",
    features: tuple[Feature, ...] = (),
    champion: bool | None = None,
    comparison: dict[str, Any] | None = None,
    **gate: Any,
) -> RuleInput:
    """A bench; `champion` says whether there is one, and is true when there are predictions of one.

    `comparison` is `gate.champion`.
    """
    task = judged.task
    candidate = candidate_of(task, features)
    estimator = "sklearn.linear_model." + ("Ridge" if task == "regression" else "LogisticRegression")
    spec = spec_of({**gate, "champion": comparison or {}}, estimator)
    columns = (Column(name="t", type="timestamp[us, tz=UTC]"),)
    snapshot = make_snapshot(END, window=WINDOW, rows=len(rows), columns=columns)
    served = make_champion(candidate)
    return RuleInput(
        spec=spec,
        candidate=candidate,
        pipeline=None,
        champion=served if (other is not None if champion is None else champion) else None,
        snapshot=snapshot,
        metric=METRICS[metric],
        window=WINDOW,
        rows=rows,
        labels=pd.Series(judged.y_true),
        block=block,
        judged=judged,
        other=other,
        train=rows.iloc[:0],
        train_labels=pd.Series(dtype=float),
        serving=None,
    )


def binary(truth: Any, positive: Any, weights: Any = None) -> LabelledPredictions:
    """LabelledPredictions rows of two classes from the probability of the second."""
    p = np.asarray(positive, dtype=float)
    return LabelledPredictions(
        "binary", np.asarray(truth, dtype=int), (p > 0.5).astype(int), np.column_stack([1 - p, p]), weights
    )


def numbers(truth: Any, predicted: Any, weights: Any = None) -> LabelledPredictions:
    """LabelledPredictions rows of a regression."""
    return LabelledPredictions(
        "regression", np.asarray(truth, dtype=float), np.asarray(predicted, dtype=float), None, weights
    )
