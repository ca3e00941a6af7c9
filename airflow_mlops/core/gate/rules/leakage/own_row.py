"""Whether a feature holds mean labels that were computed with the very rows that have it: a leaking target encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

LEAST_GROUPS = 30
LUCK = 1e-4
"""Level, over all features together (Bonferroni): the error of the bound below is not controlled so far out, so that
the level is stricter than that of the other checks, and `SHARE` is asked for beside it."""
SHARE = 0.5
"""Largest part of the error that independent rows have."""


@dataclass(frozen=True, kw_only=True)
class OwnRows:
    """How near the mean labels of rows with the same value are to that value."""

    share: float
    """Squared error over what it is at least where the rows were not used; 0: computed from exactly these rows."""
    luck: float
    """Chance of so little where they were not used, over all features."""

    @property
    def used(self) -> bool:
        """Whether the feature was computed with the labels of these rows."""
        return self.share <= SHARE and self.luck <= LUCK


def own_rows(values: pd.Series[Any], label: Array, tests: int) -> OwnRows | None:
    """Compare the mean label of the rows of each value with a straight line through all of these.

    Whoever computes a mean from other rows, earlier ones, is off from the mean of k new rows by their own sampling
    error at least: ``E k (mean - line)^2 >= s^2``, with s^2 the variance within the value's rows. Computed with the
    rows themselves, as n of which they are k, it is off by ``s^2 (1 - k / n)``, and by nothing for k = n (D. Micci-
    Barreca, SIGKDD Explorations 3(1), 2001, warns of it). The sum over G values, over the sum of s^2, is compared with
    chi-squared of G - 2 degrees of freedom over G - 2: the line, weighted least squares, takes two; it is there for
    encodings that were shrunk, scaled or taken of another class.

    Parameters
    ----------
    values
        Numbers, shape (n,); values that one row has say nothing, and are left out.
    label
        Numbers, or whether a row is of a class, shape (n,).
    tests
        So many features and classes are looked at in all.

    Returns
    -------
    OwnRows or None
        None with fewer than `LEAST_GROUPS` values that several rows have, or where the label does not vary within.
    """
    import numpy as np
    import pandas as pd
    from scipy.stats import chi2

    there = values.notna().to_numpy()
    codes, names = pd.factorize(values[there])
    goal = label[there].astype(float)
    counts = np.bincount(codes, minlength=len(names))
    several = counts >= 2  # noqa: PLR2004 - one row has no variance
    if several.sum() < LEAST_GROUPS:
        return None
    means = np.bincount(codes, weights=goal) / counts
    within = np.bincount(codes, weights=(goal - means[codes]) ** 2)[several] / (counts[several] - 1)
    x, means, weight = np.asarray(names, dtype=float)[several], means[several], counts[several]
    if within.sum() <= 0 or np.ptp(x) == 0:
        return None
    root = np.sqrt(weight)
    design = np.column_stack([np.ones(len(x)), (x - x.mean()) / x.std()]) * root[:, None]
    line = design @ np.linalg.lstsq(design, means * root, rcond=None)[0]
    freedom = len(x) - 2
    ratio = float(((means * root - line) ** 2).sum() / within.sum()) * len(x) / freedom
    return OwnRows(share=ratio, luck=min(1.0, tests * float(chi2.cdf(ratio * freedom, freedom))))
