"""The formulas of drift: population stability index, test of homogeneity, adjustment for many columns."""

from __future__ import annotations

import math
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
LEAST_EXACT = 1.0
"""The same for exact p-values, which need no pooling: it only keeps the rarest bins from adding nothing but noise."""
LEAST_IN_TAIL, TAIL, SURE = 100.0, 0.01, 1e-9
"""The same for p-values this small, which many columns ask for: of a Poisson count with mean 10, chi-squared gives one
chance in 40,000 where there is one in 4,000. Below the last number it does not matter any more."""

FIRST, MOST, ENOUGH, DOUBTED = 1000, 100_000, 20, 0.2
"""Tables drawn at first and at most for an exact p-value; those at least as extreme that settle it; the largest
p-value that is worth the drawing."""
_DRAWABLE = 1_000_000_000
"""Rows that NumPy can draw from without replacement."""


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
    return _chi_squared(_pooled(_occupied(reference, current)))


def significance(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], level: float, floors: Sequence[float] = ()
) -> list[float]:
    """P-values of :func:`homogeneity` for many columns, adjusted for their number, and exact where rows are few.

    In a window of 50 rows chi-squared finds one in a million ten times too often, and with 500 columns that is asked
    for; and pooling hides a category that is new. So a p-value that may matter and rests on an expected count below 5
    (or, far out in the tail, below 100) is taken from random tables with the same margins instead (the exact
    conditional test: A. Agresti, "A Survey of Exact Inference for Contingency Tables", 1992), with as many as it takes
    to see 20 that are as extreme (J. Besag and P. Clifford, "Sequential Monte Carlo p-values", 1991), or enough for
    the smallest p-value that the adjustment asks for (Y. Benjamini and Y. Hochberg, "Controlling the False Discovery
    Rate", 1995). Extreme is what has a large likelihood ratio: Pearson's
    statistic would be all about the rarest bin. The draws are seeded: the same counts always give the same p-values.

    Parameters
    ----------
    pairs
        Counts of reference and window for each column.
    level
        What the adjusted p-values will be held against.
    floors
        Another p-value of each column, that of its days: the larger of the two is adjusted. Both are valid where
        nothing changed, so their maximum is; it is exact where rows are what chance is of, and days where they are.

    Examples
    --------
    >>> [round(p, 3) for p in significance([([900, 100, 0], [40, 5, 5]), ([500, 500], [24, 26])], 0.05)]
    [0.002, 0.783]
    """
    import numpy as np
    from scipy.stats import false_discovery_control

    if not pairs:
        return []
    counts = [_occupied(*pair) for pair in pairs]
    p = np.array([_chi_squared(_pooled(table)) for table in counts])
    tables = [_pooled(table, least=LEAST_EXACT) for table in counts]
    most = min(MOST, max(FIRST, math.ceil(4 * len(pairs) / level)))
    least = np.array(floors) if floors else np.zeros(len(p))
    p = np.maximum(p, least)
    doubtful = {i: 0 for i, table in enumerate(tables) if least[i] < level and _is_doubtful(table, float(p[i]))}
    rng, drawn, more = np.random.default_rng(0), 0, FIRST
    while doubtful and more:
        doubtful = {i: found + _as_extreme(tables[i], more, rng) for i, found in doubtful.items()}
        for i, found in doubtful.items():
            p[i] = max(least[i], (found + 1) / (drawn + more + 1))
        drawn, more = drawn + more, min(3 * (drawn + more), most - drawn - more)
        # Only what would be found with an unlucky draw is settled: else every look were another chance.
        unlucky = p.copy()
        for i, found in doubtful.items():
            unlucky[i] = max(least[i], min(1.0, (found + 1 + 2 * math.sqrt(found + 1)) / drawn))
        settled = false_discovery_control(unlucky)
        doubtful = {i: found for i, found in doubtful.items() if found < ENOUGH and settled[i] >= level}
    return [float(value) for value in false_discovery_control(p)]


def _chi_squared(counts: NDArray[np.float64]) -> float:
    import numpy as np
    from scipy.special import chdtrc

    bins = counts.shape[1]
    if bins < 2:  # noqa: PLR2004  (nothing to compare)
        return 1.0
    expected = _expected(counts)
    return float(chdtrc(bins - 1, np.sum((counts - expected) ** 2 / expected)))


def _is_doubtful(counts: NDArray[np.float64], p: float) -> bool:
    """Whether an exact p-value may say something else than chi-squared does: rare bins, and a chance to matter."""
    if counts.shape[1] < 2:  # noqa: PLR2004  (nothing to compare)
        return False
    expected = float(_expected(counts).min())
    if expected < LEAST_EXPECTED:
        return min(p, _chi_squared(counts)) < DOUBTED
    return expected < LEAST_IN_TAIL and SURE < p < TAIL


def _as_extreme(counts: NDArray[np.float64], draws: int, rng: np.random.Generator) -> int:
    """How many of so many random tables with the same margins have a likelihood ratio at least as large."""
    import numpy as np
    from scipy.special import xlog1py, xlogy

    totals, rows = counts.sum(axis=0), int(counts[1].sum())
    if totals.sum() < _DRAWABLE:
        tables = rng.multivariate_hypergeometric(totals.astype(np.int64), rows, size=draws, method="marginals")
    else:
        tables = rng.multinomial(rows, totals / totals.sum(), size=draws)
    both = np.vstack([counts[1], tables])  # with fixed margins, one row says everything
    rest = np.maximum(totals - both, 0)
    here, there = _expected(counts)[[1, 0]]
    # Held against what is expected, so that what a thousand rows say is not lost in the digits of a billion others.
    ratios = (xlogy(both, both / here) + xlog1py(rest, (here - both) / there)).sum(axis=1)
    return int(np.count_nonzero(ratios[1:] >= ratios[0] - 1e-9 * max(1.0, abs(ratios[0]))))


def frequent_bins(
    reference: Sequence[int], current: Sequence[int], days: Sequence[Sequence[int]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Counts of both sides, and the reference's by day, in the bins that :func:`homogeneity` compares."""
    import numpy as np

    counts = np.array([reference, current, *days], dtype=np.float64)
    pooled = _pooled(counts[:, counts[:2].any(axis=0)])
    return pooled[0], pooled[1], pooled[2:]


def _occupied(reference: Sequence[int], current: Sequence[int]) -> NDArray[np.float64]:
    import numpy as np

    counts = np.array([reference, current], dtype=np.float64)
    kept: NDArray[np.float64] = counts[:, counts.any(axis=0)]
    return kept


def _expected(counts: NDArray[np.float64]) -> Any:
    return counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()


def _pooled(counts: NDArray[np.float64], *, least: float = LEAST_EXPECTED) -> NDArray[np.float64]:
    """Add up the bins that are rare in the reference (row 0); for chi-squared, the next ones until the pool is not.

    Rows after the window's (row 1) are added up in the same way.
    """
    import numpy as np

    counts = counts[:, np.argsort(counts[0], kind="stable")]
    rows = counts[:2].sum(axis=1)
    bound = min(least, rows.min() / counts.shape[1] / 2)
    rare = int(np.count_nonzero(counts[0] / rows[0] * rows.min() < bound))
    if rare == 0:
        return counts
    if least < LEAST_EXPECTED:
        return np.hstack([counts[:, :rare].sum(axis=1, keepdims=True), counts[:, rare:]])
    together = np.cumsum(counts[:2].sum(axis=0)) / rows.sum() * rows.min()
    taken = min(max(rare, int(np.searchsorted(together, bound)) + 1), counts.shape[1])
    return np.hstack([counts[:, :taken].sum(axis=1, keepdims=True), counts[:, taken:]])
