"""Confidence-based performance estimation: what a classifier achieves, from its own probabilities, without outcomes.

If probabilities mean what they say, the expected number of hits is their sum, and so is the expectation of every cell
of the confusion matrix and of every weighted sum of rows. Each row is counted once for each class, as if that class
had come, with the calibrated probability of it as its weight; then any metric of weighted rows gives its estimate
(ratios of expectations, as in NannyML, where a metric is a ratio). Probabilities are calibrated on rows whose
outcomes are known: the champion's holdout.

Assumptions: the probability of each class given the features is what it was (no concept drift), and the rows are
of a kind that the calibration rows had (covariates within their support). Under concept drift the estimate is wrong,
and nothing in it shows that: its error is reported once outcomes arrive.

References
----------
NannyML, Confidence-based performance estimation, https://nannyml.readthedocs.io/en/stable/how_it_works/
performance_estimation.html
J. Bialek, W. Kuberski, N. Perrakis, A. Bifet (2024), Estimating model performance under covariate shift without
labels, arXiv:2401.08348.
B. Zadrozny, C. Elkan (2002), Transforming classifier scores into accurate multiclass probability estimates, KDD.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.pipeline.predict import Predicted

FOLDS, LEVEL = 5, 0.05
ASSUMPTIONS = (
    "the probability of each class given the features is what it was on the holdout rows (no concept drift)",
    "the rows are of kinds that the holdout rows had (covariates within their support)",
)


@dataclass(frozen=True, eq=False)
class Calibration:
    """How probabilities are put right."""

    method: Literal["none", "isotonic"]
    maps: tuple[Any, ...] = ()
    """One for each class, or of the second class alone for two."""

    def __call__(self, probabilities: Array) -> Array:
        """Calibrated probabilities, shape (n, classes), which add up to 1.

        Of several classes each is calibrated against the rest, and the sum set to 1 again (Zadrozny and Elkan, 2002);
        where every class got 0, the probabilities stay what they were.
        """
        import numpy as np

        if self.method == "none":
            return probabilities
        if len(self.maps) == 1:
            second = self.maps[0].predict(probabilities[:, 1])
            return np.column_stack([1 - second, second])
        each = np.column_stack([one.predict(column) for one, column in zip(self.maps, probabilities.T, strict=True)])
        total = each.sum(axis=1, keepdims=True)
        return np.where(total > 0, each / np.where(total > 0, total, 1.0), probabilities)


def calibrate(judged: LabelledPredictions, block: Array | None) -> Calibration:
    """Choose how to calibrate, on rows whose outcomes are known.

    Isotonic regression is chosen only where it is surely better on rows that it has not seen: blocks in order are put
    into `FOLDS` groups, each is predicted from the others, and the gain in squared error (Brier score) of the blocks
    must be above 0 by Student's t test at `LEVEL`. A map that was fitted to noise would make every estimate worse.

    Parameters
    ----------
    judged
        Finite, with probabilities; n rows.
    block
        Block number of each row, shape (n,); None: rows count one by one.
    """
    import numpy as np
    from scipy import stats

    rows = len(judged.y_true)
    units = np.arange(rows) if block is None else np.asarray(block)
    count = int(units.max()) + 1 if rows else 0
    if count < 2 * FOLDS:
        return Calibration("none")
    fold = (units * FOLDS) // count
    gains = np.zeros(rows)
    for number in range(FOLDS):
        inside = fold == number
        left_out = judged.take(inside)
        fitted = _isotonic(judged.take(~inside))
        gains[inside] = _squared(left_out, left_out.known) - _squared(left_out, fitted(left_out.known))
    gained = np.bincount(units, weights=gains if judged.weights is None else gains * judged.weights, minlength=count)
    reach = float(stats.t.ppf(1 - LEVEL, count - 1)) * float(gained.std(ddof=1)) / math.sqrt(count)
    return _isotonic(judged) if gained.mean() > reach else Calibration("none")


def expected(predicted: Predicted, calibration: Calibration, weights: Array | None) -> LabelledPredictions:
    """Each row once for each class, weighing as much as the class is probable; n rows become n times the classes.

    Rows stand in order: row 0 with every class, then row 1.
    """
    import numpy as np
    import pandas as pd

    known = predicted.probabilities
    if known is None:
        raise ValueError("no probabilities: who asks looks for them first")
    rows, classes = known.shape
    likely = calibration(known)
    if weights is not None:
        likely = likely * np.asarray(weights, dtype=float)[:, None]
    logged = pd.Index(predicted.classes).get_indexer(pd.Index(predicted.values))
    return LabelledPredictions(
        predicted.task,
        np.tile(np.arange(classes), rows),
        np.repeat(logged, classes),
        np.repeat(known, classes, axis=0),
        likely.ravel(),
        tuple(predicted.classes),
    )


def _isotonic(judged: LabelledPredictions) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    known = judged.known
    wanted = [1] if known.shape[1] == 2 else range(known.shape[1])  # noqa: PLR2004
    maps = []
    for number in wanted:
        model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        maps.append(model.fit(known[:, number], (judged.y_true == number).astype(float), judged.weights))
    return Calibration("isotonic", tuple(maps))


def _squared(judged: LabelledPredictions, probabilities: Array) -> Array:
    """Squared error of each row, over every class; shape (n,)."""
    import numpy as np

    joined = judged.y_true[:, None] == np.arange(probabilities.shape[1])[None, :]
    found: Array = ((probabilities - joined) ** 2).sum(axis=1)
    return found
