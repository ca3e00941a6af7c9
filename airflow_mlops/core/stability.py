"""The formulas of drift: population stability index, test of homogeneity, adjustment for many columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMOOTHING = 0.5
"""Added to every count: Krichevsky and Trofimov's estimate, "The Performance of Universal Encoding" (1981)."""
LEAST_EXPECTED = 5.0
"""Expected count from which on chi-squared is trusted in any bin: W. G. Cochran, "Some Methods for Strengthening the
Common Chi-Squared Tests" (1954). Bins of about equal size may have less: J. T. Roscoe and J. A. Byars, "An
Investigation of the Restraints with Respect to Sample Size Commonly Imposed on the Use of the Chi-Square Statistic"
(1971)."""


def psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """Population stability index of two count vectors.

    ``sum((q - p) * ln(q / p))`` over the bins that are not empty on both sides (N. Siddiqi, "Credit Risk
    Scorecards", 2006: below 0.1 no change to speak of, above 0.25 a large one; it is the symmetrised
    Kullback-Leibler divergence). The shares are ``(n + 0.5) / (N + 0.5 * bins)``: they add up to one, and an
    empty bin gives a finite value.

    Parameters
    ----------
    reference, current
        Counts of the same bins, shape (bins,), each with at least one row.

    Returns
    -------
    float
        At least 0. With no drift it is about ``(bins - 1) * (1/N + 1/M)`` (B. Yurdakul, "Statistical Properties
        of Population Stability Index", 2018): small windows have large values by chance alone.

    Examples
    --------
    >>> psi([100, 100], [100, 100]), round(psi([500, 500], [300, 700]), 3)
    (0.0, 0.169)
    """
    import numpy as np

    counts = _occupied(reference, current) + SMOOTHING
    p, q = counts / counts.sum(axis=1, keepdims=True)
    return float(np.sum((q - p) * np.log(q / p)))


def homogeneity(reference: Sequence[int], current: Sequence[int]) -> float:
    """P-value of Pearson's chi-squared test that two count vectors come from one distribution.

    Bins that are empty on both sides are dropped. Bins that are rare in the reference are pooled, because a single
    rare value would otherwise look like a miracle in the smaller window: those with an expected count below 5, or
    below half the mean where even that is less than 5. Which bins are rare is asked of the reference only: choosing
    them by the window's own counts picks its gaps, and made 13 % false alarms of 5 % in windows of 100 rows.

    Parameters
    ----------
    reference, current
        Counts of the same bins, shape (bins,), each with at least one row.

    Returns
    -------
    float
        1 when fewer than two bins are left.
    """
    import numpy as np
    from scipy.special import chdtrc

    counts = _pooled(_occupied(reference, current))
    bins = counts.shape[1]
    if bins < 2:  # noqa: PLR2004  (nothing to compare)
        return 1.0
    expected = _expected(counts)
    return float(chdtrc(bins - 1, np.sum((counts - expected) ** 2 / expected)))


def adjust(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number: those below a level have at most that share of false discoveries.

    Y. Benjamini and Y. Hochberg, "Controlling the False Discovery Rate" (1995).

    Examples
    --------
    >>> [round(p, 3) for p in adjust([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.053, 0.053, 0.5]
    """
    import numpy as np

    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[::-1]
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum.accumulate(np.minimum(scaled, 1.0))
    return [float(value) for value in adjusted]


def _occupied(reference: Sequence[int], current: Sequence[int]) -> NDArray[np.float64]:
    import numpy as np

    counts = np.array([reference, current], dtype=np.float64)
    kept: NDArray[np.float64] = counts[:, counts.any(axis=0)]
    return kept


def _expected(counts: NDArray[np.float64]) -> Any:
    return counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()


def _pooled(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the bins that are rare in the reference (row 0); while their pool is rare itself, the next ones too."""
    import numpy as np

    counts = counts[:, np.argsort(counts[0], kind="stable")]
    rows = counts.sum(axis=1)
    least = min(LEAST_EXPECTED, rows.min() / counts.shape[1] / 2)
    rare = int(np.count_nonzero(counts[0] / rows[0] * rows.min() < least))
    if rare == 0:
        return counts
    together = np.cumsum(counts.sum(axis=0)) / rows.sum() * rows.min()
    taken = min(max(rare, int(np.searchsorted(together, least)) + 1), counts.shape[1])
    return np.hstack([counts[:, :taken].sum(axis=1, keepdims=True), counts[:, taken:]])
