"""The reference profile of a candidate: what its features, its predictions and its labels looked like."""

from __future__ import annotations

from typing import Any

from airflow_mlops.core.pipeline.predict import Predicted, predict
from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.core.profiles.days import days_of
from airflow_mlops.core.records.candidate import Feature, compared_features
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.training.fit import Fitted
from airflow_mlops.core.training.importance import permutation_importance
from airflow_mlops.spec.model import ModelSpec


def reference_profile(spec: ModelSpec, snapshot: Snapshot, fitted: Fitted) -> Profile:
    """Profile what a pipeline learned from, what it says on the holdout, and what it listens to.

    Features, but for dates and times, are counted on the training rows; `prediction` and `label` on the holdout rows,
    because a model is too sure of the rows that it has seen.

    Returns
    -------
    Profile
        The same for the same snapshot, specification, code and seed.
    """
    predicted = predict(fitted.pipeline, fitted.holdout_frame, fitted)
    label = Feature(name="label", role="numeric" if fitted.task == "regression" else "categorical")
    return build_profile(
        spec.name,
        fitted.train_frame,
        compared_features(fitted.features),
        fitted.train,
        outputs=(_prediction(predicted), (label, fitted.holdout_labels.to_numpy())),
        importance=permutation_importance(spec, fitted),
        schema=snapshot.source_columns,
        days=days_of(fitted.train_times, fitted.train),
        output_days=days_of(fitted.holdout_times, fitted.holdout),
    )


def _prediction(predicted: Predicted) -> tuple[Feature, Any]:
    """Positive class's probability or number; else the predicted class."""
    if predicted.positive is not None:
        return Feature(name="prediction", role="numeric"), predicted.positive
    if predicted.task == "regression":
        return Feature(name="prediction", role="numeric"), predicted.values
    return Feature(name="prediction", role="categorical"), predicted.values
