"""What every metric reads: labels beside predictions."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.records.candidate import Label, Task


@dataclass(frozen=True, eq=False)
class LabelledPredictions:
    """Labels beside predictions for n rows, as arrays that every metric reads."""

    task: Task
    y_true: Array
    """Class numbers (negative: a class that the model does not know), or labels of a regression; shape (n,)."""
    y_pred: Array
    """Class numbers or values; shape (n,)."""
    probabilities: Array | None
    """Shape (n, classes)."""
    weights: Array | None = None
    """Of the rows (`data.weight`), shape (n,); None: all alike."""
    names: tuple[Label, ...] = ()
    """Class labels, so that `names[number]` is the label of a class number: the unknown ones stand at the end, where
    negative numbers find them. Empty: the numbers are the labels."""

    @property
    def known(self) -> Array:
        """The probabilities, for metrics that are asked only when there are some."""
        if self.probabilities is None:
            raise ValueError("no probabilities: Metric.weighted asks for them first")
        return self.probabilities

    @property
    def labels(self) -> tuple[Array, Array]:
        """True and predicted labels as they are in the data, shape (n,) each; numbers of a regression."""
        import numpy as np

        if not self.names:
            return self.y_true, self.y_pred
        names = np.array(self.names)  # clean_labels gave them one type
        return names[self.y_true], names[self.y_pred]

    @property
    def finite(self) -> bool:
        """Whether there are rows, every label and prediction is a finite number, and so are the weights.

        Weights are also >= 0, and not all 0.
        """
        import numpy as np

        parts = [self.y_true, self.y_pred, self.probabilities, self.weights]
        fine = len(self.y_true) > 0 and all(bool(np.isfinite(part).all()) for part in parts if part is not None)
        return fine and (self.weights is None or bool((self.weights >= 0).all() and self.weights.any()))

    def take(self, rows: Array) -> LabelledPredictions:
        """Some of the rows: a mask or positions, shape (m,)."""
        probabilities, weights = (None if part is None else part[rows] for part in (self.probabilities, self.weights))
        return LabelledPredictions(self.task, self.y_true[rows], self.y_pred[rows], probabilities, weights, self.names)
