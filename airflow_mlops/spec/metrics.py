"""Names, kinds and directions of the metrics: light, so that a specification can be checked without sklearn.

`core.metrics` holds the functions, under exactly these names.
"""

from __future__ import annotations

from typing import Literal


class Metric:
    """A metric's task, and whether more of it is better.

    Examples
    --------
    >>> METRICS["log_loss"].greater_is_better, METRICS["r2"].kind
    (False, 'regression')
    """

    __slots__ = ("greater_is_better", "kind")

    def __init__(self, kind: Literal["classification", "regression"], *, greater_is_better: bool) -> None:
        self.kind = kind
        self.greater_is_better = greater_is_better


METRICS: dict[str, Metric] = {
    "log_loss": Metric("classification", greater_is_better=False),
    "brier": Metric("classification", greater_is_better=False),
    "roc_auc": Metric("classification", greater_is_better=True),
    "average_precision": Metric("classification", greater_is_better=True),
    "accuracy": Metric("classification", greater_is_better=True),
    "balanced_accuracy": Metric("classification", greater_is_better=True),
    "f1": Metric("classification", greater_is_better=True),
    "precision": Metric("classification", greater_is_better=True),
    "recall": Metric("classification", greater_is_better=True),
    "rmse": Metric("regression", greater_is_better=False),
    "mae": Metric("regression", greater_is_better=False),
    "median_absolute_error": Metric("regression", greater_is_better=False),
    "mape": Metric("regression", greater_is_better=False),
    "r2": Metric("regression", greater_is_better=True),
}
"""Every metric that a gate or a search may name."""
