"""Whether a window differs from the reference by more than days do by themselves.

Rows of one day share their weather, prices and strikes, so that a window of a week has seven draws of what is common
to a day, however many rows it has: a test that counts rows calls every second week drift where a day's mean varies by
half of the rows' standard deviation (J. N. K. Rao and A. J. Scott, "The Analysis of Categorical Data From Complex
Sample Surveys", 1981). So the squared distance of the shares is held against what weeks of the reference have of it:
blocks of days as long as the window.

The distance of a window from the reference is Pearson's, ``T = sum((q - p)**2 / s)``, of shares p, q and both together
s. Where nothing changed it is a sum of two independent parts:

- the rows': ``(bins - 1) (1/N + 1/M)`` times a chi-squared variate over its degrees of freedom, bins - 1;
- the days': what blocks of days of the reference have of T beyond their own rows' part, in proportion to the variance
  of a mean of the window's and the reference's days. Estimated from few blocks, it is an F variate with 1 and f
  degrees of freedom; f is that of the estimate (F. E. Satterthwaite, 1946).

One degree of freedom in the numerator is the worst case: all that days have in common moves the bins in one direction,
as a change of mean does; more directions give a shorter tail with the same mean. The days' part is never taken as
smaller than its standard error where days do not differ at all: without that, a reference whose days happen to be
alike would make the test the one that counts rows.

Overlapping blocks have half as much information again as disjoint ones (M. S. Meketon and B. Schmeiser, "Overlapping
Batch Means: Something for Nothing?", 1984). They are as long as the window, so that a window of a week is held against
weeks and one of two days meets weekends; but no longer than 1.3 times the root of the number of days, beyond which
there are too few to tell (E. Lazarus, D. J. Lewis, J. H. Stock and M. W. Watson, "HAR Inference: Recommendations for
Practice", 2018).

Days that follow each other are alike, and so are blocks, then: their variance about their own mean is too small. How
much follows from the correlation of one day with the next, as in an autoregression of the first order, corrected for
its bias (M. G. Kendall, "Note on Bias in the Estimation of Autocorrelation", 1954). Of 44 days it is known within 0.15:
so each column's is drawn towards the mean of all, the more the less they differ beyond that error (B. Efron and
C. Morris, "Stein's Estimation Rule and Its Competitors - An Empirical Bayes Approach", 1973).

Not seen: what changes more slowly than the reference is long. A year's season is not in 44 days.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_DAYS = 7
"""Fewer days of the reference tell nothing about how days differ: then every row counts by itself."""
BANDWIDTH = 1.3
"""Longest block, in roots of the number of days: Lazarus, Lewis, Stock and Watson (2018)."""
MOST_ALIKE = 0.95
"""Largest correlation of one day with the next that is reckoned with: beyond it, a reference has no blocks at all."""
_POINTS = 200
"""Quantiles of the rows' part that the days' part is averaged over."""
_NOTICEABLE = 2.0
"""Standard errors from which on days are said to differ, so that their correlation can be asked for."""


@dataclass(frozen=True)
class DayTable:
    """One column on both sides, in bins that are none of them rare, and the reference's days."""

    before: NDArray[np.float64]
    """Counts of the reference, shape (bins,)."""
    now: NDArray[np.float64]
    days: NDArray[np.float64]
    """Counts by day, or by span of several days, oldest first; shape (days, bins)."""
    window: float
    """Length of the window, in spans."""
    reference: float
    """Length of what the window is compared with, in spans."""


@dataclass(frozen=True)
class DayTest:
    """What days say of one column."""

    p_value: float
    design_effect: float
    """Variance of T over that of the rows alone, at least 1: L. Kish, "Survey Sampling" (1965), section 8.2."""


def day_tests(tables: Sequence[DayTable | None]) -> list[DayTest | None]:
    """Test columns against their days; None for those without, or with fewer than `LEAST_DAYS`.

    The columns lend each other how alike one day is to the next, and nothing else.

    Examples
    --------
    >>> import numpy as np
    >>> days = np.array([[60.0, 40.0], [40.0, 60.0]] * 22)  # a day's share goes up and down by a tenth
    >>> table = DayTable(days.sum(axis=0), np.array([390.0, 310.0]), days, window=7, reference=44)
    >>> [round(test.p_value, 2) for test in day_tests([table]) if test]  # 55.7 %, and a week has 48.6 to 51.4
    [0.01]
    """
    measured = [None if table is None else _measure(table) for table in tables]
    alike = iter(_shrunk([one for one in measured if one is not None]))
    return [None if one is None else one.test(next(alike)) for one in measured]


@dataclass(frozen=True)
class _Measured:
    """What one column's days have."""

    distance: float
    """T of the window."""
    degrees: int
    """Bins less one."""
    rows: float
    """Mean of T where days do not differ."""
    spread: float
    """Mean of T over blocks of the reference."""
    chance: float
    """The rows' part of it."""
    days: int
    block: int
    window: float
    reference: float
    alike: float | None
    """Correlation of one day with the next; None where days do not differ noticeably."""
    error: float
    """Its standard error from the rows' part alone."""

    def test(self, alike: float) -> DayTest:
        import numpy as np
        from scipy import stats

        ratio, freedom = _moments(self.days, self.block, self.window, self.reference, round(alike, 2))
        error = self.chance * math.sqrt(2 / (freedom * self.degrees))
        days = (max(0.0, self.spread - self.chance) + error) * ratio
        left = np.maximum(0.0, self.distance - self.rows * _quantiles(self.degrees))
        # In days that are all the same, whatever the rows do not explain is too much.
        beyond = stats.f.sf(left / days, 1, freedom) if days else left == 0
        return DayTest(float(beyond.mean()), 1 + days / self.rows)


def _measure(table: DayTable) -> _Measured | None:
    import numpy as np

    # Days without a row, as Sundays may be, are none: a week of the window has as few as one of the reference.
    counted = table.days[table.days.any(axis=1)]
    bins, days, totals = len(table.before), len(counted), counted.sum(axis=1)
    if bins < 2 or days < LEAST_DAYS:  # noqa: PLR2004  (nothing to compare)
        return None
    window, reference = (length * days / len(table.days) for length in (table.window, table.reference))
    rows = table.before.sum(), table.now.sum()
    p, q = table.before / rows[0], table.now / rows[1]
    scale = 1 / np.sqrt((table.before + table.now) / sum(rows))
    own = counted.sum(axis=0) / totals.sum()
    variance = float((scale**2 * own * (1 - own)).sum())
    block = max(1, round(min(window, BANDWIDTH * math.sqrt(days), days / 2)))

    summed = np.vstack([np.zeros(bins), np.cumsum(counted, axis=0)])
    counts = summed[block:] - summed[:-block]
    weights = counts.sum(axis=1)
    apart = scale * (counts / weights[:, None] - own)
    daily = scale * (counted / totals[:, None] - own)
    noise = variance * float(np.mean(1 / totals))
    between = float((daily**2).sum(axis=1).mean()) - noise
    error = noise / math.sqrt(days * (bins - 1))
    alike = float((daily[1:] * daily[:-1]).sum(axis=1).mean()) / between if between > _NOTICEABLE * error else None
    return _Measured(
        distance=float((scale**2 * (q - p) ** 2).sum()),
        degrees=bins - 1,
        rows=(bins - 1) * (1 / rows[0] + 1 / rows[1]),
        spread=float((weights * (apart**2).sum(axis=1)).sum() / weights.sum()),
        chance=variance * len(weights) / float(weights.sum()) * (1 - block / days),
        days=days,
        block=block,
        window=window,
        reference=reference,
        alike=None if alike is None else min(MOST_ALIKE, max(0.0, (alike * days + 1) / (days - 3))),
        error=error / between if alike is not None else math.inf,
    )


def _shrunk(columns: Sequence[_Measured]) -> list[float]:
    """Correlation of one day with the next, drawn towards the columns' mean; 0 for days that do not differ.

    The variance of one column's own is ``(1 - r**2) / days`` (Bartlett, 1946), and what the rows' part adds.
    """
    import numpy as np

    known = [(number, one, one.alike) for number, one in enumerate(columns) if one.alike is not None]
    found = [0.0] * len(columns)
    if not known:
        return found
    own = np.array([alike for _, _, alike in known])
    mean = float(own.mean())
    errors = np.array([(1 - mean**2) / one.days + one.error**2 for _, one, _ in known])
    differ = max(0.0, float(own.var(ddof=1) - errors.mean())) if len(known) > 1 else math.inf
    for (number, _, alike), error in zip(known, errors, strict=True):
        found[number] = mean + (alike - mean) * (differ / (differ + error) if math.isfinite(differ) else 1.0)
    return found


@lru_cache(maxsize=1024)
def _moments(days: int, block: int, window: float, reference: float, alike: float) -> tuple[float, float]:
    """Variance of window less reference over the mean square of the reference's blocks, and its degrees of freedom.

    Both are of means of an autoregression: the mean square is a quadratic form x'Ax of the days x with correlations R,
    so that its mean is ``tr(AR)`` and its variance ``2 tr(ARAR)``. A window in the middle of a day has the day's own
    part whole.
    """
    import numpy as np

    means = np.zeros((days - block + 1, days))
    for start in range(len(means)):
        means[start, start : start + block] = 1 / block
    means -= 1 / days
    form = means.T @ means / len(means) @ _correlations(days, alike)
    mean = float(np.trace(form))
    other, compared = (float(_correlations(max(1, round(length)), alike).mean()) for length in (window, reference))
    return (other + compared) / mean, mean**2 / float(np.sum(form * form.T))


def _correlations(days: int, alike: float) -> NDArray[np.float64]:
    import numpy as np

    steps = np.arange(days)
    found: NDArray[np.float64] = np.power(alike, np.abs(steps[:, None] - steps).astype(np.float64))
    return found


@lru_cache(maxsize=256)
def _quantiles(degrees: int) -> NDArray[np.float64]:
    """A chi-squared variate over its degrees of freedom, at equally likely points."""
    import numpy as np
    from scipy import stats

    found: NDArray[np.float64] = stats.chi2.ppf((np.arange(_POINTS) + 0.5) / _POINTS, degrees) / degrees
    return found
