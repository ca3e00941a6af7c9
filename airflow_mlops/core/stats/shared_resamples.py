"""Resamples that all parts of the rows share, so that parts can be compared with each other and with the whole.

How often each block is drawn is one matrix. Every slice and group reads its own blocks from it: additive metrics from
sums over blocks, rankings of many rows by their first-order expansion (`Weighted.gradient`: DeLong's placement values
for the AUC), and only what has none is computed on resampled rows.
"""

from __future__ import annotations

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import Metric
from airflow_mlops.core.metrics.weighted import Additive, Mean, Spread, WeightedMetric
from airflow_mlops.core.stats.bootstrap import CHUNK, MIN_BLOCKS, resample_weights

MAX_UNITS = 500
"""More blocks (or rows) than this are put into as many groups at random before they are resampled."""
MAX_RESAMPLES = 5_000
"""Resamples that a standard error is taken from at most: more change its third digit."""
LEAST_RESAMPLES = 400
"""Of a metric that costs as much as there are rows: its standard error is then known to 4 %."""
FEW_UNITS = 100
"""Up to so many units the AUC is counted by pairs of blocks."""


def units_of(block: Array | None, rows: int, seed: int) -> Array:
    """Number of each row's unit for resampling, from 0, shape (rows,): its block, at most `MAX_UNITS` of them.

    Blocks are resampled as if they were independent of each other, and then so are groups of them that are put
    together at random: a resample of m groups has the variance of one of all blocks, less a part 1/m, and its
    estimate varies by sqrt(2 / m), here 6 %. Each row (or customer) weighs in with its group, so that all slices and
    the whole can be resampled together at a cost of `MAX_UNITS`, not of rows.
    """
    import numpy as np

    units = np.arange(rows) if block is None else np.asarray(block)
    count = int(units.max()) + 1 if rows else 0
    if count <= MAX_UNITS:
        return units
    return np.random.default_rng(seed).permutation(count)[units] % MAX_UNITS


def weights_of(units: Array, resamples: int, seed: int) -> Array:
    """How often each unit is drawn, shape (at most MAX_RESAMPLES, units)."""
    import numpy as np

    count = int(units.max()) + 1 if len(units) else 0
    drawn = resample_weights(np.random.default_rng(seed), count, min(resamples, MAX_RESAMPLES))
    return np.concatenate(list(drawn)) if count else np.zeros((0, 0))


def enough(units: Array) -> bool:
    """Whether these rows lie in blocks enough for an interval."""
    import numpy as np

    return len(np.unique(units)) >= MIN_BLOCKS


def on_units(
    metric: Metric, judged: LabelledPredictions, index: Array, units: Array, weights: Array
) -> tuple[float, Array]:
    """Value of a metric on some rows, and on resamples of the units that they lie in.

    Parameters
    ----------
    judged
        All rows.
    index
        Positions of those that count.
    units
        Unit of each row, shape (n,).
    weights
        How often each unit is drawn, shape (resamples, units).

    Returns
    -------
    tuple of float and numpy.ndarray
        The value, and values for the first resamples: all of them, but for a metric that must be computed on rows at
        least `LEAST_RESAMPLES`.
    """
    import numpy as np

    function = metric.weighted(judged.take(index))
    value = float(function(np.ones((1, len(index))))[0])
    mine, count = units[index], weights.shape[1]
    if not np.isfinite(value):
        return value, np.full(len(weights), np.nan)
    if isinstance(function, Additive):
        return value, function.collapse(mine, count)(weights)
    present, local = np.unique(mine, return_inverse=True)
    drawn = function.collapse(local, len(present)) if len(present) <= FEW_UNITS else None
    if drawn is not None and not _spreads(drawn):
        return value, drawn(weights[:, present])
    slope = function.gradient()
    if slope is not None:
        added = np.bincount(mine, slope, minlength=count)
        return value, value + weights @ added - added.sum()
    drawn = drawn or function.collapse(local, len(present))
    some = weights[: max(LEAST_RESAMPLES, CHUNK // len(index)), present]
    at_once = max(1, CHUNK // max(len(index), len(present)))
    parts = [drawn(some[start : start + at_once]) for start in range(0, len(some), at_once)]
    return value, np.concatenate(parts) if parts else np.empty(0)


def _spreads(function: WeightedMetric) -> bool:
    """Whether weights of units are given to rows again, each time."""
    if isinstance(function, Mean):
        return any(_spreads(part) for part in function.parts)
    return isinstance(function, Spread)
