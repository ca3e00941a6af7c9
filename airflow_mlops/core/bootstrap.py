"""Paired bootstrap of the gain of one model over another on identical rows.

Both models are judged on the same resample each time, so that what is hard about the rows cancels out
(Efron and Tibshirani, 1993, chapter 8). Rows of one day share weather, strikes and prices: resampling them one
by one pretends to more evidence than there is. Whole blocks of time are resampled instead: the non-overlapping
block bootstrap (Carlstein, 1986; Davison and Hinkley, 1997, section 8.2.3). Overlapping blocks (Künsch, 1989)
and blocks of random length (Politis and Romano, 1994) were rejected: a calendar day is the natural unit here,
and cutting across midnight would tie together halves of two days.

References
----------
E. Carlstein (1986), The use of subseries values for estimating the variance of a general statistic, Ann. Stat. 14.
A. C. Davison, D. V. Hinkley (1997), Bootstrap methods and their application.
B. Efron, R. J. Tibshirani (1993), An introduction to the bootstrap, chapters 8 and 13.
T. C. Hesterberg (2015), What teachers should know about the bootstrap, Am. Stat. 69, section 5.3.
H. R. Künsch (1989), The jackknife and the bootstrap for general stationary observations, Ann. Stat. 17.
D. N. Politis, J. P. Romano (1994), The stationary bootstrap, J. Am. Stat. Assoc. 89.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.metrics import Judged, Metric
from airflow_mlops.core.weighted import Array

if TYPE_CHECKING:
    import pandas as pd

MIN_BLOCKS = 10
"""Fewer blocks say too little about how blocks differ: no interval is made of them."""
CHUNK = 1_000_000
"""Weights held at a time (8 bytes each, in about four arrays): memory grows with neither rows nor resamples."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How much better one model is than another: positive is better, whatever the metric's direction."""

    value: float
    """On all rows, in units of the metric."""
    lower: float
    upper: float
    """One-sided bounds, each at the level that was asked for; NaN when there are too few blocks."""
    rows: int
    units: int
    """Blocks, or rows when they were resampled one by one."""

    @property
    def conclusive(self) -> bool:
        """Whether there were enough units for an interval."""
        return self.units >= MIN_BLOCKS


def gain(
    metric: Metric,
    candidate: Judged,
    other: Judged,
    block: Array | None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Gain:
    """Estimate the gain of a candidate over another model, with bounds.

    Parameters
    ----------
    metric
        What is compared.
    candidate, other
        Both models on the same rows, in the same order; n rows.
    block
        Block number of each row from `time_blocks`, shape (n,); None resamples row by row.
    confidence
        Level of each one-sided bound: with 0.95 the gain lies below `lower` in about 5 % of such samples.
    resamples
        Number of resamples.
    seed
        Of the resampling: the same inputs give the same bounds.

    Returns
    -------
    Gain

    Notes
    -----
    Percentile bounds at Hesterberg's expanded level ``Phi(-sqrt(m / (m - 1)) t[confidence, m - 1])`` for m
    units, because the plain percentile interval is too short when units are few. A resample in which the metric
    is not defined (no positive row, ...) counts against both bounds: as minus infinity for the lower one and plus
    infinity for the upper one.
    """
    import numpy as np

    sign = 1.0 if metric.greater_is_better else -1.0
    value = sign * (metric(candidate) - metric(other))
    units = len(candidate.truth) if block is None else int(block.max()) + 1 if len(block) else 0
    if units < MIN_BLOCKS or not math.isfinite(value):
        return Gain(value=value, lower=math.nan, upper=math.nan, rows=len(candidate.truth), units=units)
    first, second = metric.weighted(candidate), metric.weighted(other)
    if block is not None:
        first, second = first.collapse(block, units), second.collapse(block, units)
    rng = np.random.default_rng(seed)
    width = len(candidate.truth)  # a collapsed ranking spreads its weights over the rows again
    draws = [sign * (first(w) - second(w)) for w in resample_weights(rng, units, resamples, width)]
    lower, upper = bounds(np.concatenate(draws), units, confidence)
    return Gain(value=value, lower=lower, upper=upper, rows=len(candidate.truth), units=units)


def resample_weights(rng: Any, units: int, resamples: int, width: int | None = None) -> Iterator[Array]:
    """How often each unit is drawn, in resamples of as many units with replacement.

    Yields arrays of shape (some resamples, units), as many as `CHUNK` allows for `width` numbers a resample.
    Exact draws, no Poisson or normal approximation: one pass over the units for each resample.
    """
    import numpy as np

    at_once = max(1, CHUNK // max(units, width or 0))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = rng.integers(units, size=(rows, units))
        drawn += np.arange(rows)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(float)


def bounds(draws: Array, units: int, confidence: float) -> tuple[float, float]:
    """One-sided percentile bounds at the expanded level; infinite when too many draws are not defined."""
    import numpy as np
    from scipy import stats

    level = stats.norm.cdf(-math.sqrt(units / (units - 1)) * stats.t.ppf(confidence, units - 1))
    undefined = ~np.isfinite(draws)
    low = np.quantile(np.where(undefined, -np.inf, draws), level, method="lower")
    high = np.quantile(np.where(undefined, np.inf, draws), 1 - level, method="higher")
    return float(low), float(high)


def time_blocks(times: pd.Series[Any], length: timedelta | None) -> Array | None:
    """Number the blocks of time that rows fall into, from 0 without gaps; None when there is no block length.

    Blocks are cut from the Unix epoch on, so that blocks of a day are days of UTC, whichever rows are there.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.Series(pd.to_datetime(["2024-01-03T23:00Z", "2024-01-01T01:00Z", "2024-01-03T02:00Z"]))
    >>> time_blocks(times, timedelta(days=1)).tolist()
    [1, 0, 1]
    """
    import numpy as np
    import pandas as pd

    if length is None:
        return None
    steps = (times - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(length)
    return np.unique(steps.to_numpy(), return_inverse=True)[1]
