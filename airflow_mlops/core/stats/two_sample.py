"""A metric of one model on one sample of rows, with its sampling error; and the difference of two such samples.

The error is the standard deviation over bootstrap resamples of blocks, as `core.stats.bootstrap` makes them for gains
(Efron and Tibshirani, 1993, chapter 6). Two samples of different rows are independent, so that the variance of their
difference is the sum of their variances; the bound uses Student's t with Satterthwaite's degrees of freedom, in which
each sample counts by its blocks (Welch, 1947).

A sample of few blocks says too little about how blocks differ. Of the other sample, which the same model made of
the same kind of rows, we know more: its variance, times its blocks over the blocks here, takes the place. That is
exact where nothing has changed, which is what a test of decay supposes until it is shown wrong.

References
----------
B. Efron, R. J. Tibshirani (1993), An introduction to the bootstrap, chapters 6 and 8.
F. E. Satterthwaite (1946), An approximate distribution of estimates of variance components, Biometrics Bulletin 2.
B. L. Welch (1947), The generalization of "Student's" problem when several different population variances are
involved, Biometrika 34.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import Metric
from airflow_mlops.core.metrics.weighted import Additive, WeightedMetric
from airflow_mlops.core.records.performance import Measured
from airflow_mlops.core.stats.bootstrap import MIN_BLOCKS, bounds, differences


@dataclass(frozen=True, kw_only=True)
class SampledMetric:
    """A metric on a sample of rows."""

    value: float
    rows: int
    units: float
    """Blocks, or rows when they count one by one; NaN where nobody knows how many blocks its rows fall into."""
    error: float = math.nan
    """Standard error; NaN where there are fewer than `MIN_BLOCKS` units, or the metric is not defined."""
    lower: float = math.nan
    upper: float = math.nan
    """One-sided percentile bounds, each at the level that was asked for."""

    @property
    def known(self) -> bool:
        """Whether there is a sampling error."""
        return math.isfinite(self.error)

    @property
    def measured(self) -> Measured:
        """As reports keep it."""
        lower, upper = (bound if math.isfinite(bound) else None for bound in (self.lower, self.upper))
        return Measured(value=self.value, lower=lower, upper=upper, rows=self.rows)

    def like(self, other: SampledMetric) -> SampledMetric:
        """Return this sample with the error that the other one suggests, where it has none of its own."""
        if self.known or not other.known or not self.units:
            return self
        known = math.isfinite(self.units)
        ratio = other.units / self.units if known else other.rows / max(self.rows, 1)  # blocks alike in their rows
        return replace(self, error=other.error * math.sqrt(ratio))


def sampled(
    metric: Metric, judged: LabelledPredictions, block: Array | None, *, confidence: float, resamples: int, seed: int
) -> SampledMetric:
    """Measure a metric on judged rows, with its sampling error.

    Parameters
    ----------
    judged
        n rows; their weights, if any, need not be whole numbers.
    block
        Block number of each row, from 0 without gaps, shape (n,); None: rows count one by one.
    """
    import numpy as np

    rows = len(judged.y_true)
    units = rows if block is None else int(block.max()) + 1 if rows else 0
    weighted = metric.weighted(judged)
    value = float(weighted(np.ones((1, rows)))[0])
    if units < MIN_BLOCKS or not math.isfinite(value):
        return SampledMetric(value=value, rows=rows, units=units)
    if block is not None:
        weighted = weighted.collapse(block, units)
    rng = np.random.default_rng(seed)
    nothing = _nothing(units, weighted)
    drawn = np.concatenate(list(differences(rng, weighted, nothing, units, rows=rows, resamples=resamples)))
    lower, upper = bounds(drawn, units, confidence)
    defined = drawn[np.isfinite(drawn)]
    sure = math.isfinite(lower) and math.isfinite(upper)
    # the bootstrap's variance of a mean is (units - 1) / units of the sample's
    error = float(defined.std(ddof=1)) * math.sqrt(units / (units - 1)) if sure else math.nan
    return SampledMetric(value=value, rows=rows, units=units, error=error, lower=lower, upper=upper)


def no_interval(holdout: SampledMetric) -> str:
    """Say why the holdout rows give no sampling error, with how many blocks they fall into where that is known.

    >>> no_interval(SampledMetric(value=0.9, rows=300, units=4))
    'the holdout rows give no interval: they fall into 4 blocks, and needed are 10'
    >>> no_interval(SampledMetric(value=0.9, rows=300, units=20))
    'the holdout rows give no interval: the metric is not defined in enough of their blocks'
    """
    if not math.isfinite(holdout.units):
        why = f"nobody knows any more how many blocks they fall into, and needed are {MIN_BLOCKS}"
    elif holdout.units < MIN_BLOCKS:
        why = f"they fall into {int(holdout.units):,} blocks, and needed are {MIN_BLOCKS}"
    else:
        why = "the metric is not defined in enough of their blocks"
    return f"the holdout rows give no interval: {why}"


def drop(promised: SampledMetric, realised: SampledMetric, *, greater_is_better: bool, confidence: float) -> Measured:
    """How much worse the second sample is than the first: positive is worse; see the module for its bounds.

    Each bound is one-sided at `confidence`; None where neither sample has an error.

    Examples
    --------
    >>> gate = SampledMetric(value=0.90, rows=1000, units=20, error=0.003)
    >>> now = SampledMetric(value=0.88, rows=1000, units=20, error=0.004)
    >>> found = drop(gate, now, greater_is_better=True, confidence=0.95)
    >>> round(found.value, 3), round(found.lower, 4), round(found.upper, 4)
    (0.02, 0.0116, 0.0284)
    """
    from scipy import stats

    sign = 1.0 if greater_is_better else -1.0
    value = sign * (promised.value - realised.value)
    first, second = promised.like(realised), realised.like(promised)
    if not (first.known and second.known and math.isfinite(value)):
        return Measured(value=value, rows=realised.rows)
    sources = [sample for sample in (promised, realised) if sample.known]
    variances = [sample.error**2 for sample in (first, second)]
    total = sum(variances)
    if len(sources) == 2 and total:  # noqa: PLR2004
        freedom = total**2 / sum(v**2 / (s.units - 1) for v, s in zip(variances, sources, strict=True))
    else:
        freedom = sources[0].units - 1
    reach = float(stats.t.ppf(confidence, freedom)) * math.sqrt(total)
    return Measured(value=value, lower=value - reach, upper=value + reach, rows=realised.rows)


def _nothing(units: int, beside: WeightedMetric) -> WeightedMetric:
    """A metric that is always 0: a single sample is its difference from nothing."""
    import numpy as np

    def finish(sums: Array) -> Array:
        return np.zeros(len(sums))

    if isinstance(beside, Additive) and beside.pattern is not None:
        return Additive(np.ones((1, 1)), finish, np.zeros(units, dtype=int))
    return Additive(np.ones((units, 1)), finish)
