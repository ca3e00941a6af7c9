"""What a block's rows say about the champion's level and slope: score and information of a straight line through it.

Of two classes it is a line through the log odds, judged by log loss, or through the probability, judged by the Brier
score; of numbers one through the prediction, judged by the root mean square error. Other metrics ask for an order or
for a decision, which a line does not change, and several classes have no one line.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.monitoring.performance import cbpe
from airflow_mlops.core.records.performance import LineTerms

KINDS = {"log_loss": "binary", "brier": "binary", "rmse": "regression"}
"""Metrics that a line can lower, and the task in which they do."""
_LEAST = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class LineMeter:
    """Measures the rows of blocks of one champion, always in the same way."""

    metric: str
    calibration: cbpe.Calibration | None
    """What is known of the champion's probabilities since the gate: a line that was needed then is no decay."""
    middle: float = 0.0
    scale: float = 1.0
    """Of predictions that are numbers: the line is drawn in these units."""
    error: float = 1.0
    """The root mean square error that was promised: by it, squares become the metric (the first order of the root)."""

    def measure(self, judged: LabelledPredictions, block: Array, count: int) -> list[LineTerms]:
        """Return each block's means.

        Parameters
        ----------
        judged
            Finite; n rows.
        block
            Block number of each row, shape (n,).
        count
            Of blocks, each of which has rows.
        """
        import numpy as np

        residual, place, curve = self._terms(judged)
        weights = np.ones(len(block)) if judged.weights is None else np.asarray(judged.weights, dtype=float)
        whole = np.maximum(np.bincount(block, weights=weights, minlength=count), np.finfo(float).tiny)

        def mean(values: Array) -> Array:
            found: Array = np.bincount(block, weights=weights * values, minlength=count) / whole
            return found

        columns = [residual, residual * place, curve, curve * place, curve * place**2]
        means = np.column_stack([mean(column) for column in columns])
        return [LineTerms(score=(one[0], one[1]), information=(one[2], one[3], one[4])) for one in means.tolist()]

    def _terms(self, judged: LabelledPredictions) -> tuple[Array, Array, Array]:
        """How fast the loss of a row falls as the line rises there, where that is, and how it curves; shape (n,)."""
        import numpy as np
        from scipy.special import expit, logit

        if self.metric == "rmse":
            place = (judged.y_pred - self.middle) / self.scale
            return (judged.y_true - judged.y_pred) / self.error, place, np.full(len(place), 1 / self.error)
        known = judged.known
        said = (known if self.calibration is None else self.calibration(known))[:, 1]
        joined = (judged.y_true == 1).astype(float)
        if self.metric == "brier":
            return 2 * (joined - said), said, np.full(len(said), 2.0)
        place = logit(np.clip(said, _LEAST, 1 - _LEAST))
        said = expit(place)
        return joined - said, place, said * (1 - said)


def line_meter_of(
    metric: str, held: LabelledPredictions | None, calibration: cbpe.Calibration | None
) -> LineMeter | None:
    """Return the meter of a champion; None where a line says nothing about its metric.

    Parameters
    ----------
    held
        The holdout rows. Without them nobody knows what was promised, nor in which units to draw.
    """
    import numpy as np

    if held is None or not len(held.y_true) or not held.finite or KINDS.get(metric) != held.task:
        return None
    if metric != "rmse":
        return LineMeter(metric=metric, calibration=calibration) if held.probabilities is not None else None
    error = float(np.sqrt(np.mean((held.y_true - held.y_pred) ** 2)))
    if not error:
        return None
    return LineMeter(
        metric=metric,
        calibration=None,
        middle=float(np.mean(held.y_pred)),
        scale=float(np.std(held.y_pred)) or 1.0,
        error=error,
    )
