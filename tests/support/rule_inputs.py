"""Benches made by hand: predictions are given, not trained, so that the truth about every slice is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.registry import METRICS
from airflow_mlops.core.records.candidate import Candidate, Champion, Feature
from airflow_mlops.core.records.snapshot import Column, Snapshot, Window
from airflow_mlops.spec import ModelSpec

END = datetime(2024, 3, 1, tzinfo=UTC)
WINDOW = Window(start=END - timedelta(days=20), end=END)


def spec_of(
    gate: dict[str, Any] | None = None, estimator: str = "sklearn.linear_model.LogisticRegression"
) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "m",
            "owner": "o",
            "data": {"source": {"path": "x/"}, "time": "t", "key": "id", "label": "y", "window": "60d"},
            "training": {"estimator": estimator},
            "gate": gate,
        }
    )


def candidate_of(task: str, features: tuple[Feature, ...]) -> Candidate:
    return Candidate(
        model="m", loop_run="m.train/r", run_id="r", model_uri="models:/m-r", task=task, as_of=END,  # type: ignore[arg-type]
        train=Window(start=END - timedelta(days=60), end=WINDOW.start), holdout=WINDOW, train_rows=0, holdout_rows=0,
        snapshot_uri="u", snapshot_fingerprint="f", spec_fingerprint="s", features=features, seed=42,
    )  # fmt: skip


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
    snapshot = Snapshot(
        model="m", fingerprint="f", uri="u", as_of=END, window=WINDOW, rows=len(rows), columns=columns, source="s",
        source_columns=columns, query="q", time="t", key=("id",), label="y", extracted_at=END,
    )  # fmt: skip
    served = Champion(model="m", version=3, run_id="old", model_uri="models:/m-old", candidate=candidate)
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
