"""The calibration slope: whether probabilities are too sure of themselves.

References
----------
D. R. Cox (1958), Two further applications of a model for binary regression, Biometrika 45.
E. W. Steyerberg (2009), Clinical prediction models, Springer, chapter 15.
"""

from __future__ import annotations

import math

from airflow_mlops.core.arrays import Array

_LEAST = 1e-12
_SPREAD = 1e-9
"""Log-odds that differ by less are one prediction for all rows, but for rounding: no slope runs through one point."""
_LARGEST = 50.0
"""A slope beyond it is that of outcomes which the probabilities tell apart entirely: there is no maximum."""


def calibration_slope(probability: Array, came: Array) -> tuple[float, float]:
    """Return the calibration slope and its standard error; NaN where the outcomes do not tell.

    The maximum of the likelihood, and the error by the information at the maximum.

    Parameters
    ----------
    probability
        Predicted, shape (n,).
    came
        Whether it came true, shape (n,).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> logit = rng.normal(size=4000)
    >>> came = rng.random(4000) < 1 / (1 + np.exp(-logit))
    >>> slope, error = calibration_slope(1 / (1 + np.exp(-2 * logit)), came)  # twice as sure as it should be
    >>> abs(slope - 0.5) < 3 * error
    True
    """
    import numpy as np
    from scipy import optimize, special

    inside = np.clip(probability, _LEAST, 1 - _LEAST)
    odds = special.logit(inside)
    if np.ptp(odds) <= _SPREAD:
        return math.nan, math.nan
    design = np.column_stack([np.ones(len(inside)), odds])

    def surprise(found: Array) -> float:
        score = design @ found
        return float((np.logaddexp(0.0, score) - came * score).sum())

    def slope_of(found: Array) -> Array:
        gradient: Array = design.T @ (special.expit(design @ found) - came)
        return gradient

    def information(found: Array) -> Array:
        fitted = special.expit(design @ found)
        curvature: Array = design.T @ (design * (fitted * (1 - fitted))[:, None])
        return curvature

    best = optimize.minimize(surprise, np.array([0.0, 1.0]), method="trust-exact", jac=slope_of, hess=information)
    known = information(best.x)
    if not best.success or np.linalg.cond(known) > 1 / np.finfo(float).eps or np.abs(best.x).max() > _LARGEST:
        return math.nan, math.nan
    variance = float(np.linalg.inv(known)[1, 1])
    return (float(best.x[1]), math.sqrt(variance)) if variance > 0 else (math.nan, math.nan)
