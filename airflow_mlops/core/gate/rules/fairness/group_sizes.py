"""How many rows a group needs for a bound on differences to be decided.

Of G groups that a fair model treats alike, each with n rows, the estimates differ all the same: the largest less the
smallest is the studentized range of G independent estimates, times the standard deviation s of one row, over the root
of n (Tukey, 1953; Harter, 1960). So the difference of a fair model stays within the bound b with a probability of
`confidence` where

    n = s^2 (q / b)^2,    q = the quantile of the studentized range of G groups at `confidence`;

of a rate p that all have in common, s^2 = p (1 - p). For two groups q is the square root of 2 times the normal
quantile, and n the textbook's 2 p (1 - p) (z / b)^2 (Fleiss, Levin and Paik, 2003, chapter 4). A true positive rate
counts the rows where it is true, and with several rates each is asked at its share of the error (Bonferroni).

With fewer rows a fair model would look unfair too often; with so many, what stands above the bound is something. Rows
count as equal ones (Kish, 1965) where they have weights. Days that shift all groups alike cancel out in a difference;
days that shift one group only make its rows worth less than is supposed here, and the interval is wider then.

References
----------
J. L. Fleiss, B. Levin, M. C. Paik (2003), Statistical methods for rates and proportions, 3rd edition.
H. L. Harter (1960), Tables of range and studentized range, Ann. Math. Stat. 31.
L. Kish (1965), Survey sampling, section 11.7.
J. W. Tukey (1953), The problem of multiple comparisons.
"""

from __future__ import annotations

import math
from functools import lru_cache

from airflow_mlops.core.arrays import Array

FEWEST = 20
"""Rows of a group below which nothing is said of it, as the least that `gate.fairness.min_rows` may be."""


def rows_to_decide(spread: float, bound: float, groups: int, confidence: float) -> int:
    """Return how many rows each group needs, so that a fair model stays within the bound.

    Parameters
    ----------
    spread
        Variance of one row's contribution: p (1 - p) of a rate.
    bound
        Largest difference that is allowed.
    groups
        How many are compared, at least 2.
    confidence
        Probability that the largest difference of a fair model is within the bound.

    Examples
    --------
    >>> rows_to_decide(0.25, 0.1, 2, 0.95), rows_to_decide(0.05 * 0.95, 0.1, 2, 0.95)
    (193, 37)
    >>> rows_to_decide(0.25, 0.1, 5, 0.95)
    373
    """
    return max(1, math.ceil(spread * (_range_quantile(groups, round(confidence, 9)) / bound) ** 2))


@lru_cache(maxsize=1024)
def _range_quantile(groups: int, confidence: float) -> float:
    from scipy import stats

    return float(stats.studentized_range.ppf(confidence, groups, math.inf))


def large_enough(counts: Array, spread: Array, bound: float, confidence: float) -> tuple[Array, Array]:
    """Tell which groups have rows enough for a bound, and how many they need.

    Parameters
    ----------
    counts
        Rows that each number is of, shape (parts, groups).
    spread
        Variance of one row, by part, shape (parts,).
    bound, confidence
        As of :func:`rows_to_decide`; the confidence is that of all parts together.

    Returns
    -------
    tuple of numpy.ndarray
        Which groups are compared, shape (groups,): as many as have the rows that so many groups need. And the rows that
        each part needs, shape (parts,).
    """
    import numpy as np

    level = 1 - (1 - confidence) / len(spread)

    def asked(groups: int) -> tuple[Array, Array]:
        needed = np.array([rows_to_decide(float(each), bound, groups, level) for each in spread])
        return (counts >= needed[:, None]).all(axis=0), needed

    # More groups need more rows each, so that fewer have them: the largest number that has what it needs itself.
    low, high = 2, max(2, counts.shape[1])
    while low < high:
        middle = (low + high + 1) // 2
        if asked(middle)[0].sum() >= middle:
            low = middle
        else:
            high = middle - 1
    return asked(low)
