"""Names, kinds and directions of the metrics: light, so that a specification can be checked without sklearn.

`core.metrics` attaches a function to each, under exactly these names.
"""

from __future__ import annotations

from typing import Literal


class MetricDeclaration:
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


METRICS: dict[str, MetricDeclaration] = {
    "log_loss": MetricDeclaration("classification", greater_is_better=False),
    "brier": MetricDeclaration("classification", greater_is_better=False),
    "roc_auc": MetricDeclaration("classification", greater_is_better=True),
    "average_precision": MetricDeclaration("classification", greater_is_better=True),
    "accuracy": MetricDeclaration("classification", greater_is_better=True),
    "balanced_accuracy": MetricDeclaration("classification", greater_is_better=True),
    "f1": MetricDeclaration("classification", greater_is_better=True),
    "precision": MetricDeclaration("classification", greater_is_better=True),
    "recall": MetricDeclaration("classification", greater_is_better=True),
    "rmse": MetricDeclaration("regression", greater_is_better=False),
    "mae": MetricDeclaration("regression", greater_is_better=False),
    "median_absolute_error": MetricDeclaration("regression", greater_is_better=False),
    "mape": MetricDeclaration("regression", greater_is_better=False),
    "r2": MetricDeclaration("regression", greater_is_better=True),
}
"""Every metric that a gate or a search may name."""
