"""Confidence-based performance estimation: what a classifier achieves, from its own probabilities, without outcomes.

If probabilities mean what they say, the expected number of hits is their sum, and so is the expectation of every cell
of the confusion matrix and of every weighted sum of rows. Each row is counted once for each class, as if that class
had come, with the calibrated probability of it as its weight; then any metric of weighted rows gives its estimate
(ratios of expectations, as in NannyML, where a metric is a ratio). Probabilities are calibrated on rows whose
outcomes are known: the champion's holdout. What these rows do not tell of the calibration is part of the interval.

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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.pipeline.predict import Predicted

ASSUMPTIONS = (
    "the probability of each class given the features is what it was on the holdout rows (no concept drift)",
    "the rows are of kinds that the holdout rows had (covariates within their support)",
)
LEAST_PROBABILITY = 1e-6
"""Probabilities are taken to be at least this far from 0 and 1: log odds of 14, beyond which nobody is sure."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """How probabilities are put right: of each class (of the second alone, of two) slope and level of its log odds."""

    method: Literal["none", "platt"]
    parameters: Array = ()
    """Slope and intercept of each class, shape (2 k,)."""
    covariance: Array = ()
    """Of these, shape (2 k, 2 k)."""

    def __call__(self, probabilities: Array) -> Array:
        """Calibrated probabilities, shape (n, classes), which add up to 1.

        Of several classes each is calibrated against the rest, and the sum set to 1 again (Zadrozny and Elkan, 2002).
        """
        import numpy as np
        from scipy.special import expit

        if self.method == "none":
            return probabilities
        slope, level = np.reshape(self.parameters, (-1, 2)).T
        if len(slope) == 1:
            second = expit(slope[0] * _log_odds(probabilities[:, 1]) + level[0])
            return np.column_stack([1 - second, second])
        each = expit(slope * _log_odds(probabilities) + level)
        return each / each.sum(axis=1, keepdims=True)

    def nearby(self, place: int, by: float) -> Calibration:
        """Return the calibration with one parameter changed."""
        import numpy as np

        moved = np.array(self.parameters, dtype=float)
        moved[place] += by
        return Calibration(self.method, moved, self.covariance)


def calibrate(judged: LabelledPredictions, block: Array | None) -> Calibration:
    """Fit slope and level of each class's log odds, on rows whose outcomes are known.

    Two parameters, always (J. Platt, "Probabilistic outputs for support vector machines", 1999, of log odds, as D. Cox,
    Biometrika 45, 1958, tests calibration with; M. Kull, T. Silva Filho and P. Flach, AISTATS 2017, for why of these
    and not of probabilities): a model that is too sure of itself has a slope below 1. Platt's targets,
    (N+ + 1) / (N+ + 2) and 1 / (N- + 2), keep it finite where classes are separated, and a normal prior of the slope
    about 1 with deviation 1 where few rows say anything. The covariance is that of blocks (K.-Y. Liang and S. Zeger,
    Biometrika 73, 1986).

    Parameters
    ----------
    judged
        Finite, with probabilities; n rows.
    block
        Block number of each row, shape (n,); None: rows count one by one.
    """
    import numpy as np

    known = judged.known
    wanted = [1] if known.shape[1] == 2 else range(known.shape[1])  # noqa: PLR2004
    rows = len(judged.y_true)
    weights = np.ones(rows) if judged.weights is None else np.asarray(judged.weights, dtype=float)
    fits = [_platt(_log_odds(known[:, one]), (judged.y_true == one).astype(float), weights) for one in wanted]
    units = np.arange(rows) if block is None else np.asarray(block)
    return Calibration("platt", np.concatenate([fit[0] for fit in fits]), _covariance(fits, units))


def _log_odds(probabilities: Array) -> Array:
    import numpy as np
    from scipy.special import logit

    found: Array = logit(np.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    return found


def _platt(odds: Array, joined: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Slope and level, the inverse of the information, and each row's score, shape (n, 2)."""
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import expit

    hits, misses = float(weights @ joined), float(weights @ (1 - joined))
    goal = np.where(joined > 0, (hits + 1) / (hits + 2), 1 / (misses + 2))
    design = np.column_stack([odds, np.ones(len(odds))])

    def loss(at: Array) -> tuple[float, Array]:
        z = design @ at
        slope = design.T @ (weights * (expit(z) - goal))
        slope[0] += at[0] - 1
        return float(weights @ (np.logaddexp(0, z) - goal * z) + (at[0] - 1) ** 2 / 2), slope

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    likely = expit(design @ found)
    information = design.T @ (design * (weights * likely * (1 - likely))[:, None])
    information[0, 0] += 1
    return found, np.linalg.pinv(information), design * (weights * (likely - joined))[:, None]


def _covariance(fits: Sequence[tuple[Array, Array, Array]], units: Array) -> Array:
    """Sandwich of all parameters together; NaN for fewer than two blocks."""
    import numpy as np

    scores = np.concatenate([fit[2] for fit in fits], axis=1)
    count = len(np.unique(units))
    if count < 2:  # noqa: PLR2004
        return np.full((scores.shape[1],) * 2, np.nan)
    places = np.unique(units, return_inverse=True)[1]
    sums = np.column_stack([np.bincount(places, weights=column) for column in scores.T])
    bread = np.zeros((scores.shape[1],) * 2)
    for place, (_, inverse, _) in enumerate(fits):
        bread[2 * place : 2 * place + 2, 2 * place : 2 * place + 2] = inverse
    found: Array = bread @ (sums.T @ sums) @ bread * count / (count - 1)
    return found


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
