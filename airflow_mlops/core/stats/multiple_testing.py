"""Many comparisons at once: what may be said of the worst of them.

References
----------
A. C. Davison, D. V. Hinkley (1997), Bootstrap methods and their application, section 4.4.
B. Efron, R. J. Tibshirani (1993), An introduction to the bootstrap, chapters 6 and 12.
T. C. Hesterberg (2015), What teachers should know about the bootstrap, Am. Stat. 69, section 5.3.
S. Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6.
J. P. Romano, M. Wolf (2005), Stepwise multiple testing as formalized data snooping, Econometrica 73.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.records.evidence import Interval

UNDEFINED = 0.05
"""Largest share of resamples in which a metric may be undefined, for a standard error to be taken from the others."""


def holm(p: Sequence[float]) -> list[float]:
    """Correct p-values for their number: Holm's step-down (1979), in the order given.

    Rejecting those below alpha rejects any true hypothesis with probability alpha at most, however the tests depend
    on each other: slices of two columns share rows, and all share days.

    >>> [round(value, 3) for value in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    import numpy as np

    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in corrected]


def exceeds(value: float, bound: float, draws: Array, units: float) -> float:
    """One-sided p-value of `the true value is at most bound`; NaN when more than 5 % of the draws are undefined.

    The t test with the bootstrap's standard error and m - 1 degrees of freedom for m units (Efron and Tibshirani,
    chapters 6 and 12). Counting resamples below the bound was rejected: with 2,000 of them no p-value is below
    1/2001, and after the correction for 100 slices nothing could ever be shown.

    Parameters
    ----------
    value
        The observed one.
    bound
        Largest value that is allowed.
    draws
        Values on resamples, shape (resamples,).
    units
        Units that were resampled, at least 2; the effective number, where they are of unequal size.

    Examples
    --------
    >>> import numpy as np
    >>> round(exceeds(1.645, 0.0, np.random.default_rng(0).normal(size=5000), 10_000), 2)
    0.05
    """
    import numpy as np
    from scipy import stats

    defined = draws[np.isfinite(draws)]
    if len(defined) < (1 - UNDEFINED) * len(draws) or len(defined) < 2:  # noqa: PLR2004 - no spread of one
        return math.nan
    over = value - bound
    if abs(over) <= 1e-12 * max(1.0, abs(value)):  # a difference of rounding is none
        return 1.0
    error = float(defined.std(ddof=1)) * math.sqrt(units / (units - 1))
    if error == 0:
        return 0.0 if over > 0 else 1.0
    return float(stats.t.sf(over / error, units - 1))


def effective(units: Array, weights: Array | None = None) -> float:
    """Units of equal size that say as much as these: (sum n)^2 / sum n^2 (L. Kish, Survey Sampling, 1965).

    Parameters
    ----------
    units
        Number of each row's unit, shape (n,).
    weights
        Of the rows, shape (n,).

    Examples
    --------
    >>> import numpy as np
    >>> effective(np.array([0, 1, 2, 2])), effective(np.array([0, 1, 2, 3]))
    (2.6666666666666665, 4.0)
    """
    import numpy as np

    sizes = np.bincount(units, weights=weights)
    return float(sizes.sum() ** 2 / (sizes.astype(float) ** 2).sum())


def largest_difference(values: Array, draws: Array, units: float, confidence: float) -> Interval:
    """Interval of the largest difference between any two groups, over several measures.

    The largest minus the smallest of noisy numbers is above that of the true ones, and more so the more groups there
    are and the fewer rows they have; the percentile interval of a bootstrap has this bias twice. So every pair of
    groups gets its own interval, all of them holding at once: their half-width is q standard errors, q the quantile of
    the largest standardised deviation of any pair over the resamples (Romano and Wolf, 2005). The largest of the lower
    bounds is a lower bound of the largest difference, and the largest of the upper ones an upper bound, each wrong
    with probability `1 - confidence` at most. Between groups that do not differ it reaches down to 0.

    Parameters
    ----------
    values
        Observed, shape (measures, groups).
    draws
        On resamples that all groups share, shape (resamples, measures, groups). A resample in which one is not
        defined counts as infinitely far away.
    units
        Resampled units, at least 2; q becomes the quantile of t with m - 1 degrees of freedom at the level where it is
        one of the normal distribution, for errors that are known from few units only (after Hesterberg, 2015).
    confidence
        Level of each bound.

    Returns
    -------
    Interval
        Bounds are NaN when too many draws are undefined.
    """
    import numpy as np
    from scipy import stats

    centred = draws - values
    defined = np.isfinite(centred).all(axis=(1, 2))
    value = float(np.max(values.max(axis=1) - values.min(axis=1)))
    kept = centred[defined]
    if len(kept) < 2 or len(kept) <= confidence * len(draws) or not math.isfinite(value):  # noqa: PLR2004
        return Interval(value=value, lower=math.nan, upper=math.nan)
    level = confidence * len(draws) / len(kept)  # those that are not defined lie beyond every quantile
    errors = _pair_errors(kept)
    q = float(np.quantile(_largest_deviation(kept, errors), level, method="higher"))
    q = stats.t.isf(stats.norm.sf(q), units - 1) * math.sqrt(units / (units - 1))
    apart = np.abs(values[:, :, None] - values[:, None, :])
    lower = float((apart - q * errors).max())
    return Interval(value=value, lower=max(0.0, lower), upper=float((apart + q * errors).max()))


def _pair_errors(centred: Array) -> Array:
    """Standard errors of every difference of two groups, shape (measures, groups, groups)."""
    import numpy as np

    deviations = centred - centred.mean(axis=0)
    products = np.einsum("rfi,rfj->fij", deviations, deviations, optimize=True) / (len(centred) - 1)
    own = np.einsum("fii->fi", products)
    squared = own[:, :, None] + own[:, None, :] - 2 * products
    floor = 1e-12 * own.max(initial=0.0)  # rounding of a difference that never varies
    return np.sqrt(np.where(squared > floor, squared, 0.0))


def _largest_deviation(centred: Array, errors: Array) -> Array:
    """Largest standardised deviation of any ordered pair, for each resample, shape (resamples,)."""
    import numpy as np

    largest = np.zeros(len(centred))
    for measure in range(centred.shape[1]):
        for group in range(centred.shape[2] - 1):
            others = centred[:, measure, group + 1 :]
            error = errors[measure, group, group + 1 :]
            deviation = np.abs(centred[:, measure, group, None] - others)
            standard = np.divide(deviation, error, out=np.zeros_like(deviation), where=error > 0)
            np.maximum(largest, standard.max(axis=1), out=largest)
    return largest
