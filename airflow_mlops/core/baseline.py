"""The model that ignores its input: what any candidate must beat to be worth anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlops.core.predict import Described, Predicted

if TYPE_CHECKING:
    import pandas as pd

_MEDIAN_METRICS = frozenset({"mae", "median_absolute_error", "mape"})


def trivial(model: Described, train_labels: pd.Series[Any], rows: int, metric: str) -> Predicted:
    """Predict the same for every row, from the labels of the training part only.

    Classification: the class shares. Regression: the mean, or the median where the metric is one of absolute
    errors, because that is the constant which is best for it.

    Parameters
    ----------
    model
        The candidate: its task and classes.
    train_labels
        Cleaned labels of the candidate's training rows.
    rows
        Number of rows to predict.
    metric
        The metric that decides.
    """
    import numpy as np

    if model.task == "regression":
        constant = train_labels.median() if metric in _MEDIAN_METRICS else train_labels.mean()
        return Predicted(task=model.task, classes=(), values=np.full(rows, float(constant)), probabilities=None)
    shares = (
        train_labels.value_counts(normalize=True).reindex(list(model.classes), fill_value=0.0).to_numpy(dtype=float)
    )
    return Predicted(
        task=model.task,
        classes=model.classes,
        values=np.full(rows, np.array(model.classes)[shares.argmax()]),
        probabilities=np.tile(shares, (rows, 1)),
    )
