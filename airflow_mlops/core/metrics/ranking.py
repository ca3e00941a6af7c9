"""Metrics that need rows in order, as functions of row weights: ROC AUC, average precision, median.

What a single row adds (`gradient`) is exact for the two rankings: for the AUC it is the row's placement value
(DeLong, DeLong and Clarke-Pearson, 1988), for the median Bahadur's representation (1966) with the density taken
from the order statistics within two standard errors of the middle.

References
----------
R. R. Bahadur (1966), A note on quantiles in large samples, Ann. Math. Stat. 37.
E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson (1988), Comparing the areas under two or more correlated receiver
operating characteristic curves: a nonparametric approach, Biometrics 44.
H. B. Mann, D. R. Whitney (1947), On a test of whether one of two random variables is stochastically larger than
the other, Ann. Math. Stat. 18.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import Self

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.ranking_binned import BINS, BinnedMedian, BinnedPrecision, bins_of, tabulate
from airflow_mlops.core.metrics.weighted import Spread, WeightedMetric

MAX_PAIRED_BLOCKS = 512
"""Up to so many blocks the AUC is kept as a matrix of block pairs; beyond, weights are spread to rows."""
MANY_ROWS = 20_000
"""From so many rows on, an order is summed up in bins where blocks are few, or expanded to first order."""
MIN_LINEAR_CLASS = 500
"""With fewer rows of either class a ranking bends too much under resampling to be described by its gradient."""


class Ordered:
    """What all metrics of an order share: the order, and the rows' own weights in it."""

    order: Array
    base: Array | None = None
    """Weight of each row, in order; None: all 1."""

    def ordered(self, weights: Array) -> Array:
        """Weights of shape (resamples, rows) in order, times the rows' own."""
        sorted_weights = weights[:, self.order]
        return sorted_weights if self.base is None else sorted_weights * self.base

    def scale(self, weights: Array) -> Self:
        """Weigh the rows."""
        again = copy(self)
        again.base = self.ordered(weights[None, :])[0]
        return again

    def collapse(self, block: Array, blocks: int) -> WeightedMetric:
        """Spread block weights to rows: an order does not add up over blocks."""
        del blocks
        return Spread(self, block)  # type: ignore[arg-type]

    @property
    def own(self) -> Array:
        """Weights of the rows, in order."""
        import numpy as np

        return np.ones(len(self.order)) if self.base is None else self.base

    def by_row(self, found: Array) -> Array:
        """Derivatives by weight from the rows in order to the rows as they were given."""
        import numpy as np

        back = np.empty(len(found))
        back[self.order] = found * self.own
        return back


class Ranked(Ordered):
    """Rows sorted by descending score once, ties taken together."""

    def __init__(self, positive: Array, score: Array) -> None:
        import numpy as np

        self.order = np.argsort(-score, kind="stable")
        self.positive = np.asarray(positive, dtype=float)[self.order]
        self.sorted = score[self.order]
        self.starts = np.flatnonzero(np.r_[True, self.sorted[1:] != self.sorted[:-1]])

    def counts(self, weights: Array) -> tuple[Array, Array]:
        """Weight of positives and of negatives for each distinct score, highest first: (resamples, scores)."""
        import numpy as np

        ordered = self.ordered(weights)
        hits = np.add.reduceat(ordered * self.positive, self.starts, axis=1)
        return hits, np.add.reduceat(ordered, self.starts, axis=1) - hits

    def _all(self) -> tuple[Array, Array] | None:
        """Return counts of all rows, shape (scores,) each; None when a class has too few for a gradient."""
        import numpy as np

        own = self.own
        for part in (own[self.positive == 1], own[self.positive == 0]):
            if part.sum() ** 2 < MIN_LINEAR_CLASS * (part**2).sum() or not part.any():  # Kish's effective number
                return None
        hits, misses = self.counts(np.ones((1, len(self.order))))
        return hits[0], misses[0]

    def _by_score(self, of_positives: Array, of_negatives: Array) -> Array:
        """Derivatives for each distinct score to rows."""
        import numpy as np

        lengths = np.diff(np.r_[self.starts, len(self.order)])
        hit = self.positive == 1
        return self.by_row(np.where(hit, np.repeat(of_positives, lengths), np.repeat(of_negatives, lengths)))


class RocAuc(Ranked):
    """Share of (positive, negative) pairs in the right order, ties counting half (Mann and Whitney, 1947)."""

    def __call__(self, weights: Array) -> Array:
        """Values for row weights."""
        import numpy as np

        hits, misses = self.counts(weights)
        below = misses.sum(axis=1, keepdims=True) - np.cumsum(misses, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (hits * (below + misses / 2)).sum(axis=1) / (hits.sum(axis=1) * misses.sum(axis=1))

    def gradient(self) -> Array | None:
        """Placement values (DeLong et al., 1988) less the AUC, over the weight of the row's class."""
        import numpy as np

        counted = self._all()
        if counted is None:
            return None
        hits, misses = counted
        positives, negatives = hits.sum(), misses.sum()
        beaten = (negatives - np.cumsum(misses) + misses / 2) / negatives
        beating = (np.cumsum(hits) - hits / 2) / positives
        value = (hits * beaten).sum() / positives
        return self._by_score((beaten - value) / positives, (beating - value) / negatives)

    def collapse(self, block: Array, blocks: int) -> WeightedMetric:
        """Count the ordered pairs between every two blocks once: the AUC is then a ratio of quadratic forms."""
        import numpy as np

        if blocks > MAX_PAIRED_BLOCKS:
            return super().collapse(block, blocks)
        home, own, hit = block[self.order], self.own, self.positive == 1
        # ascending; each row of the commoner class falls between two rows of the rarer one, or beside equal ones
        few_hits = 2 * hit.sum() <= len(hit)
        few = hit if few_hits else ~hit
        slots, walls = self.sorted[few][::-1], int(few.sum())
        others, away, weight = self.sorted[~few][::-1], home[~few][::-1], own[~few][::-1]
        places = [np.searchsorted(slots, others, side=side) for side in ("left", "right")]
        sums = np.zeros((blocks, blocks))
        homes, mass = home[few][::-1], own[few][::-1]
        by_block = np.argsort(away, kind="stable")
        cuts = np.searchsorted(away[by_block], np.arange(blocks + 1))
        for other in range(blocks):
            rows = by_block[cuts[other] : cuts[other + 1]]
            entered = sum(np.bincount(place[rows], weight[rows], minlength=walls + 1) for place in places)
            below = np.cumsum(entered)[:walls] / 2  # weight of `other` below each slot, ties half
            sums[:, other] = np.bincount(homes, below * mass, minlength=blocks)
        totals = [np.bincount(home[part], own[part], minlength=blocks) for part in (hit, ~hit)]
        if not few_hits:  # the negatives were walked along: what lies below them is wrong, the rest is right
            sums = np.outer(totals[0], totals[1]) - sums.T
        return PairedAuc(sums, *totals)


@dataclass(frozen=True)
class PairedAuc:
    """ROC AUC of block weights w: (w' W w) / (w'p w'n), W counting ordered pairs between blocks."""

    wins: Array
    positives: Array
    negatives: Array

    def __call__(self, weights: Array) -> Array:
        """Values for block weights."""
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore"):
            pairs = (weights @ self.positives) * (weights @ self.negatives)
            return ((weights @ self.wins) * weights).sum(axis=1) / pairs

    def scale(self, weights: Array) -> PairedAuc:
        """Weigh the blocks."""
        wins = self.wins * weights[:, None] * weights
        return PairedAuc(wins, self.positives * weights, self.negatives * weights)

    def collapse(self, block: Array, blocks: int) -> WeightedMetric:
        """Blocks of blocks."""
        del blocks
        return Spread(self, block)

    def gradient(self) -> None:
        """Not needed: blocks are few, and their weights cheap."""


class AveragePrecision(Ranked):
    """Precision at each distinct score, weighted by the recall gained there (as scikit-learn defines it)."""

    def __call__(self, weights: Array) -> Array:
        """Values for row weights."""
        import numpy as np

        hits, misses = self.counts(weights)
        taken = np.cumsum(hits + misses, axis=1)
        precision = np.divide(np.cumsum(hits, axis=1), taken, out=np.zeros_like(taken), where=taken > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (hits * precision).sum(axis=1) / hits.sum(axis=1)

    def gradient(self) -> Array | None:
        """A row changes the precision at its own score and at every lower one, and a positive row the recall."""
        import numpy as np

        counted = self._all()
        if counted is None:
            return None
        hits, misses = counted
        found, taken = np.cumsum(hits), np.cumsum(hits + misses)
        part = np.divide(1.0, taken, out=np.zeros_like(taken), where=taken > 0)
        precision, positives = found * part, hits.sum()
        value = (hits * precision).sum() / positives
        fall = np.cumsum((hits * precision * part)[::-1])[::-1]  # of lower precisions, by one row more
        rise = np.cumsum((hits * part)[::-1])[::-1]  # by one hit more
        return self._by_score((precision - value + rise - fall) / positives, -fall / positives)

    def collapse(self, block: Array, blocks: int) -> WeightedMetric:
        """Count each block's rows in bins of the ranking, where rows are many and blocks few."""
        import numpy as np

        if blocks > MAX_PAIRED_BLOCKS or len(self.order) < MANY_ROWS:
            return super().collapse(block, blocks)
        lengths = np.diff(np.r_[self.starts, len(self.order)])
        bins = bins_of(lengths)
        place, home, places = np.repeat(bins, lengths), block[self.order], int(bins[-1]) + 1
        hits, misses = (
            tabulate(home, blocks, place, places, self.own * part) for part in (self.positive, 1 - self.positive)
        )
        binned = BinnedPrecision(hits, misses, np.bincount(bins) == 1)
        missed = self(np.ones((1, len(self.order)))) - binned(np.ones((1, blocks)))
        return replace(binned, shift=float(missed[0]))


class Median(Ordered):
    """Median of per-row values; of two middle ones their mean."""

    def __init__(self, values: Array) -> None:
        import numpy as np

        self.order = np.argsort(values, kind="stable")
        self.values = values[self.order]

    def __call__(self, weights: Array) -> Array:
        """Values for row weights."""
        import numpy as np

        summed = np.cumsum(self.ordered(weights), axis=1)
        half = summed[:, -1:] / 2
        last = len(self.values) - 1
        low = np.minimum((summed < half).sum(axis=1), last)
        high = np.minimum((summed <= half).sum(axis=1), last)
        return np.where(half[:, 0] > 0, (self.values[low] + self.values[high]) / 2, np.nan)

    def gradient(self) -> Array:
        """Bahadur's representation: (1{above} - 1{below}) / 2, over the density of weight at the median."""
        import numpy as np

        own = self.own
        summed = np.cumsum(own)
        half = summed[-1] / 2
        reach = np.sqrt((own**2).sum())  # two standard errors of the weight below the median
        low, high = np.searchsorted(summed, [half - reach, half + reach]).clip(0, len(own) - 1)
        spacing = (self.values[high] - self.values[low]) / (summed[high] - summed[low])
        middle = self(np.ones((1, len(own))))[0]
        return self.by_row(np.sign(self.values - middle) / 2 * spacing)

    def collapse(self, block: Array, blocks: int) -> WeightedMetric:
        """Count each block's rows in bins of the order, where rows are many and blocks few."""
        import numpy as np

        rows = len(self.order)
        if blocks > MAX_PAIRED_BLOCKS or rows < MANY_ROWS:
            return super().collapse(block, blocks)
        place = np.arange(rows) * BINS // rows
        mass = tabulate(block[self.order], blocks, place, BINS, self.own)
        starts = np.searchsorted(place, np.arange(BINS))
        binned = BinnedMedian(mass, np.r_[self.values[starts], self.values[-1]])
        missed = self(np.ones((1, rows))) - binned(np.ones((1, blocks)))
        return replace(binned, shift=float(missed[0]))
