"""How large a part of one class a score decides with certainty, and how large a part its power explains."""

from __future__ import annotations

import math
from collections.abc import Sequence

from airflow_mlops.core.arrays import Array

CERTAIN = 0.98
"""Share of one class from which the rows beyond a value count as decided; held by the lower bound of the share."""
MOST_DECIDED = 0.25
"""A feature that decides so much of a class, and more than twice what its power explains, is a leak."""
_LUCK = 0.01
"""Level of the bounds, over all scores together."""


def auc_of(positive: Array, score: Array) -> float:
    """ROC AUC, whichever way the score points, from the rank sum; NaN where all rows are of one kind."""
    from scipy.stats import rankdata

    hits, rows = int(positive.sum()), len(positive)
    if hits in {0, rows}:
        return math.nan
    auc = (rankdata(score)[positive].sum() - hits * (hits + 1) / 2) / (hits * (rows - hits))
    return float(max(auc, 1 - auc))


def decided(scores: Sequence[tuple[Array, tuple[Array, Array]]], tests: int) -> tuple[float, float]:
    """Largest share of a class that a score decides, and what its power explains of that.

    Parameters
    ----------
    scores
        Each a score of the rows, with whether a row is of the class: (score, (any, target)), as `leakage_features` has.
    tests
        How many scores are looked at in all, for the level of the bounds (Bonferroni).

    Notes
    -----
    Bounds of a share: C. Clopper and E. Pearson, Biometrika 26, 1934.
    """
    most, explained = 0.0, 0.0
    for score, (_, positive) in scores:
        for sign, target in ((1, positive), (-1, positive), (1, ~positive), (-1, ~positive)):
            share = _beyond(sign * score, target, _LUCK / tests) if target.sum() * 2 <= len(target) else 0.0
            if share > most:
                most, explained = share, graded(auc_of(target, sign * score), float(target.mean()))
    return most, explained


def _beyond(score: Array, target: Array, alpha: float) -> float:
    """Share of the target's rows above the lowest value beyond which they are surely `CERTAIN` of all rows."""
    import numpy as np
    from scipy.stats import beta

    total = int(target.sum())
    if not total:
        return 0.0
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits, rows = np.cumsum(target[order])[ends], ends + 1
    wide = (hits >= MOST_DECIDED * total) & (hits >= CERTAIN * rows)
    hits, rows = hits[wide], rows[wide]
    if not len(hits):
        return 0.0
    sure = np.asarray(beta.ppf(alpha, hits, rows - hits + 1) >= CERTAIN)
    return float(hits[sure].max() / total) if sure.any() else 0.0


def graded(auc: float, base: float) -> float:
    """Share of a class that a feature decides whose effect rises evenly, by its power and the share of the class.

    The label is 1 where ``b x + e > c`` with x and e standard normal; b and c follow from `auc` and `base`.

    >>> graded(0.7, 0.25) < 0.01, graded(0.99, 0.25) > 0.6
    (True, True)
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    x = ndtri((np.arange(2000) + 0.5) / 2000)

    def chances(slope: float) -> Array:
        return ndtr(slope * x - ndtri(1 - base) * np.sqrt(1 + slope**2))

    def missed(slope: float) -> float:
        p = chances(slope)
        below = np.cumsum(1 - p) - (1 - p) / 2
        return float((p * below).sum() / (p.sum() * (1 - p).sum())) - auc

    slope = 0.0 if missed(0.0) >= 0 else 50.0 if missed(50.0) <= 0 else float(brentq(missed, 0.0, 50.0, xtol=1e-3))
    p = chances(slope)[::-1]
    sums = np.cumsum(p)
    sure = sums >= CERTAIN * np.arange(1, len(p) + 1)
    return float(sums[sure].max() / sums[-1]) if sure.any() else 0.0
