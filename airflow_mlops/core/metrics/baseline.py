"""The model that ignores its input: what any candidate must beat to be worth anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.ranking import Median
from airflow_mlops.core.metrics.registry import ABSOLUTE
from airflow_mlops.core.pipeline.predict import Described, Predicted, judged_classes

if TYPE_CHECKING:
    import pandas as pd


def trivial(
    model: Described, train_labels: pd.Series[Any], rows: int, metric: str, weights: Array | None = None
) -> Predicted:
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
    weights
        Of the training rows, shape as `train_labels`; None: all alike.
    """
    import numpy as np
    import pandas as pd

    each = np.ones(len(train_labels)) if weights is None else np.asarray(weights, dtype=float)
    if model.task == "regression":
        labels = train_labels.to_numpy(dtype=float)
        median = metric in ABSOLUTE
        constant = Median(labels)(each[None, :])[0] if median else np.average(labels, weights=each)
        return Predicted(task=model.task, classes=(), values=np.full(rows, float(constant)), probabilities=None)
    counts = pd.Series(each).groupby(train_labels.to_numpy()).sum()
    classes = judged_classes(model)
    shares = counts.reindex(list(classes), fill_value=0.0).to_numpy(dtype=float) / each.sum()
    return Predicted(
        task=model.task,
        classes=classes,
        values=np.full(rows, np.array(classes)[shares.argmax()]),
        probabilities=np.tile(shares, (rows, 1)),
    )
