"""What a model would have lost less in each block, had it been recalibrated on the blocks before.

A model that says 0.3 where 0.15 is true loses on every row, and yet less than it expects: its own expectation cannot
tell. What tells, in either direction, is a pair: the model beside itself after a straight line was fitted to what it
said (D. Cox, Biometrika 45, 1958: level and slope of the log odds; of numbers, of the prediction), on rows from before.
Both are asked about the same rows, so that what makes a day hard for both cancels. Each block is foretold only from
earlier ones (A. P. Dawid, Statistical theory: the prequential approach, JRSS A 147, 1984), so that a model which is
right saves nothing, and a little less than nothing for the errors of the fit.

The loss is taken to the second order around the model as it is, whose two terms, score and information, are sums over
rows: with them a block needs no rows again, and the fit is one step of Newton's method (exact for squared errors).
"""

from __future__ import annotations

from airflow_mlops.core.arrays import Array

PRIOR_ROWS = 10.0
"""So many rows speak for the model as it is."""
FEWEST = 3
"""Blocks that a fit needs."""


def find_savings(score: Array, information: Array, rows: Array, *, learned: int, late: int) -> Array:
    """Return what each block's mean loss would have been lower by.

    Parameters
    ----------
    score
        Mean of each block's rows: how fast the loss falls as the line's level and slope rise, shape (n, 2).
    information
        Mean of its curvature: the second derivatives of the loss, shape (n, 2, 2).
    rows
        Rows of each block, shape (n,).
    learned
        Blocks that are learned from, at most: the newest ones.
    late
        So many blocks before one are not known yet when it begins.

    Returns
    -------
    Array
        Shape (n,), in units of the loss; 0 where fewer than `FEWEST` blocks are known.
    """
    import numpy as np

    count = len(rows)
    saved = np.zeros(count)
    end = np.maximum(np.arange(count) - late, 0)
    start = np.maximum(end - learned, 0)
    some = np.flatnonzero(end - start >= FEWEST)
    if not len(some):
        return saved

    def total(values: Array) -> Array:
        sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
        found: Array = sums[end[some]] - sums[start[some]]
        return found

    slopes, curves = total(score * rows[:, None]), total(information * rows[:, None, None])
    usual = np.einsum("nii->ni", curves) / total(rows[:, None].astype(float))
    curves[:, (0, 1), (0, 1)] += PRIOR_ROWS * usual
    # What never varied (one class, one prediction) has no line through it, and the shortest answer is taken.
    line = np.einsum("nij,nj->ni", np.linalg.pinv(curves, hermitian=True), slopes)
    own = information[some]
    saved[some] = np.einsum("ni,ni->n", line, score[some]) - 0.5 * np.einsum("ni,nij,nj->n", line, own, line)
    return saved
