"""When a series of block means began to lie above what it was, and how sure that is, however often one looks.

Each split of the series into what was and what is gives a two-sample statistic: the later mean less the earlier one,
less what is allowed, over its standard error. The largest of all splits is the generalised likelihood ratio for a rise
at an unknown time, when the level before is not known either (Siegmund and Venkatraman, 1995); the split is the
estimate of when it began. Everything before the split is the reference, so that nothing is frozen that was measured by
luck on few blocks: every sound block that follows makes it surer.

Blocks hang together: the variance of a mean of k blocks is that of a first-order autoregression, whose coefficient is
estimated within the two parts, with its small-sample bias taken off (Kendall, 1954). Tails are heavy: values are
clipped at `REACH` robust standard deviations around the median, so that no single block decides (Huber, 1981).

`LEVEL`, for one statistic, is so small because all splits of a series are looked at, again and again. With nothing
allowed, a year of daily looks at a series without a change calls it in 4 % of cases where blocks are independent, in
11 % where neighbours hang together by 0.4 or 0.7, and in 24 % where they are root mean squares of log-normal errors
(`benchmarks/mean_rise.py`); every allowance makes it rarer.

References
----------
D. Siegmund, E. S. Venkatraman (1995), Using the generalized likelihood ratio statistic for sequential detection of a
change-point, Annals of Statistics 23.
M. G. Kendall (1954), Note on bias in the estimation of autocorrelation, Biometrika 41.
P. J. Huber (1981), Robust statistics, Wiley.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_mlops.core.arrays import Array

LEVEL = 3e-5
"""Chance that one statistic is above its quantile where nothing changed."""
REACH = 3.0
"""Robust standard deviations at which values are clipped."""
FEWEST_BEFORE, FEWEST_AFTER = 3, 3
"""Blocks on either side of a split: fewer would let one day decide. How little so few say, Student's t knows."""
FEWEST_LOSSES = 8
"""Blocks of which a mean is held against nothing."""
MOST_DEPENDENT = 0.9
"""Largest coefficient that is estimated: beyond it a mean of so few blocks says nothing."""


@dataclass(frozen=True, kw_only=True)
class MeanRise:
    """The most telling split of a series."""

    start: int
    """Place of the first block after it."""
    size: float
    """How much the later mean lies above the earlier one, of clipped values."""
    surely: float
    """How much it does at least, at `LEVEL`: more than the allowance where the rise is sure."""
    p: float
    """Of the statistic by Student's t; that of the most telling split, so that `LEVEL` and not 0.05 is small."""
    dependence: float
    """Coefficient of the autoregression of neighbouring blocks."""

    @property
    def sure(self) -> bool:
        """Whether the rise is surely more than the allowance."""
        return self.p <= LEVEL


def find_rise(
    values: Sequence[float],
    reference: int,
    allowance: float,
    *,
    widest: float | None = None,
    after: int = FEWEST_AFTER,
) -> MeanRise | None:
    """Find the split of a series after which it lies surely higher than before by more than is allowed.

    Parameters
    ----------
    values
        Means of blocks in the order of time; n of them, finite.
    reference
        So many of the first are known to be from before any change: splits lie behind them.
    allowance
        How much higher is no matter.
    widest
        Largest rise that must still be told from smaller ones; None: the allowance. Values are clipped beyond it.
    after
        Blocks behind a split at least.

    Returns
    -------
    MeanRise or None
        None where either side would have too few blocks.
    """
    import numpy as np
    from scipy import stats

    count = len(values)
    places = np.arange(max(reference, FEWEST_BEFORE), count - max(after, FEWEST_AFTER) + 1)
    if not len(places):
        return None
    series = _clipped(np.asarray(values, dtype=float), reference, max(allowance, widest or 0.0))
    rise, error, freedom, dependence = _rises(series, places)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(error > 0, (rise - allowance) / error, np.where(rise > allowance, np.inf, -np.inf))
    chance = stats.t.sf(statistic, freedom)
    # Of splits that are beyond what a double can tell apart, the largest statistic is the most telling.
    best = int(np.lexsort((-statistic, chance))[0])
    surely = rise[best] - float(stats.t.isf(LEVEL, freedom[best])) * error[best]
    return MeanRise(
        start=int(places[best]),
        size=float(rise[best]),
        surely=float(surely),
        p=float(chance[best]),
        dependence=float(dependence[best]),
    )


def chance_of_no_rise(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Chance of a later mean as high against the earlier one if nothing had changed; one look, at a known split.

    Student's t with the variance of blocks that hang together, as in :func:`find_rise`, of which it is the one split.

    Parameters
    ----------
    before, after
        Means of blocks in the order of time, positive is worse; finite.

    Returns
    -------
    float or None
        None where either side has too few blocks.
    """
    import numpy as np
    from scipy import stats

    if len(before) < FEWEST_BEFORE or len(after) < FEWEST_AFTER:
        return None
    series = _clipped(np.asarray([*before, *after], dtype=float), len(before), 0.0)
    (rise,), (error,), (freedom,), _ = _rises(series, np.array([len(before)]))
    if not error:
        return 0.0 if rise > 0 else 1.0
    return float(stats.t.sf(rise / error, freedom))


def widening(before: Sequence[float], after: Sequence[float], count: int, *, confidence: float, wanted: float) -> float:
    """Return how much wider an interval of neighbouring blocks must be than one that takes them as independent.

    The standard deviation of a mean of `count` blocks of a first-order autoregression over that of independent ones, by
    a variance that neighbours make look smaller than it is, and by Student's quantile of the independent blocks that
    they are worth; as in :func:`find_rise`.

    Parameters
    ----------
    before, after
        Means of blocks in the order of time, from which the dependence is estimated around two means; finite.
    count
        Blocks of the interval.
    confidence
        Of its one-sided bound.
    wanted
        The confidence that the wider one is to have; not less.

    Returns
    -------
    float
        At least 1. Of too few blocks no dependence is estimated.
    """
    import numpy as np
    from scipy import stats

    if count < 2:  # noqa: PLR2004 - for a variance
        return 1.0
    independent, deviations = np.asarray(float(count)), 1.0
    if len(before) >= FEWEST_BEFORE and len(after) >= FEWEST_AFTER:
        independent, deviations = _dependent_mean(before, after, count)
    freedom = min(float(independent), count) - 1
    quantiles = stats.t.ppf(wanted, freedom) / stats.t.ppf(confidence, count - 1)
    return max(1.0, float(deviations * quantiles))


def _dependent_mean(before: Sequence[float], after: Sequence[float], count: int) -> tuple[Array, float]:
    """How many independent blocks so many neighbours are worth, and the deviation of their mean over what it seems."""
    import numpy as np

    series = _clipped(np.asarray([*before, *after], dtype=float), len(before), 0.0)
    (dependence,) = _rises(series, np.array([len(before)]))[3]
    scale, independent = _spread(np.asarray(count - 1.0), np.asarray(dependence), count, parts=1)
    return independent, float(np.sqrt(scale * _inflation(dependence, float(count))))


def chance_of_no_loss(losses: Sequence[float]) -> float | None:
    """Chance of a mean as high as that of these blocks, if it were at most 0: Student's t, blocks as in `find_rise`.

    Parameters
    ----------
    losses
        Of blocks in the order of time, positive is worse; finite.

    Returns
    -------
    float or None
        None of fewer than `FEWEST_LOSSES` blocks.
    """
    import numpy as np
    from scipy import stats

    count = len(losses)
    if count < FEWEST_LOSSES:
        return None
    series = _clipped(np.asarray(losses, dtype=float), count, 0.0)
    centred = series - series.mean()
    squares = float((centred**2).sum())
    if not squares:
        return 0.0 if series.mean() > 0 else 1.0
    dependence = _dependence(np.asarray((centred[:-1] * centred[1:]).sum() / squares), count, parts=1)
    scale, independent = _spread(np.asarray(squares), dependence, count, parts=1)
    error = np.sqrt(scale * _inflation(dependence, float(count)) / count)
    return float(stats.t.sf(series.mean() / error, independent - 1))


def _rises(series: Array, places: Array) -> tuple[Array, Array, Array, Array]:
    """Later mean less the earlier one, its standard error and degrees of freedom, and the dependence of neighbours.

    Each has the shape of `places`.
    """
    import numpy as np

    count = len(series)
    before, after = places.astype(float), (count - places).astype(float)
    low, high, squares, dependence = _two_parts(series, places)
    scale, independent = _spread(squares, dependence, count, parts=2)
    error = np.sqrt(scale * (_inflation(dependence, after) / after + _inflation(dependence, before) / before))
    return high - low, error, independent - 2, dependence


def _clipped(series: Array, reference: int, beyond: float) -> Array:
    """Values within `REACH` robust standard deviations of the median, and as much above it as must be told apart.

    The spread is that of both parts: a rise must not make the values after it look like outliers of those before.
    """
    import numpy as np

    middle = float(np.median(series[:reference])) if reference else float(np.median(series))
    spread = 1.4826 * max(_deviation(series[:reference]), _deviation(series[reference:]))
    if not spread:
        return series
    clipped: Array = np.clip(series, middle - REACH * spread, middle + REACH * spread + 2 * beyond)
    return clipped


def _deviation(values: Array) -> float:
    import numpy as np

    return float(np.median(np.abs(values - np.median(values)))) if len(values) else 0.0


def _two_parts(series: Array, places: Array) -> tuple[Array, Array, Array, Array]:
    """Mean before and after each place, squares around both, and the dependence of neighbours; shape of `places`."""
    import numpy as np

    count = len(series)
    sums, products = np.cumsum(series), np.cumsum(series[:-1] * series[1:])
    before, after = places, count - places
    low, high = sums[places - 1] / before, (sums[-1] - sums[places - 1]) / after
    squares = np.maximum((series**2).sum() - before * low**2 - after * high**2, 0.0)
    ends = low * (2 * sums[places - 1] - series[0] - series[places - 1])
    first = products[places - 2] - ends + (before - 1) * low**2
    ends = high * (2 * (sums[-1] - sums[places - 1]) - series[places] - series[-1])
    second = products[-1] - products[places - 1] - ends + (after - 1) * high**2
    with np.errstate(divide="ignore", invalid="ignore"):
        raw = np.nan_to_num((first + second) / squares, nan=0.0, posinf=0.0, neginf=0.0)
    return low, high, squares, _dependence(raw, count, parts=2)


def _dependence(raw: Array, count: int, *, parts: int) -> Array:
    """Coefficient of neighbours around so many means, with its small-sample bias taken off."""
    import numpy as np

    found = raw * count / (count - parts)
    bounded: Array = np.clip(found + (1 + 3 * found) / count, 0.0, MOST_DEPENDENT)
    return bounded


def _spread(squares: Array, dependence: Array, count: int, *, parts: int) -> tuple[Array, Array]:
    """Variance of a block, by squares around so many means; and how many independent blocks they are worth."""
    import numpy as np

    biased = np.maximum(1 - (_inflation(dependence, float(count)) - 1) / (count - 1), 0.2)
    independent: Array = np.maximum(count * (1 - dependence**2) / (1 + dependence**2), 4.0)
    return squares / (count - parts) / biased, independent


def _inflation(dependence: Array, count: Array | float) -> Array:
    """Variance of a mean of so many neighbours of an autoregression, over that of independent ones."""
    found: Array = (1 + dependence) / (1 - dependence) - 2 * dependence * (1 - dependence**count) / (
        count * (1 - dependence) ** 2
    )
    return found
