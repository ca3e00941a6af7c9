"""Metrics as functions of row weights: a resample of the bootstrap is nothing but whole-number weights.

Each class here holds what is computed once (losses, sort orders) and is called with weights of many resamples
at a time. `collapse` gives the same function of the weights of blocks of rows, so that resampling blocks costs
as much as there are blocks, not rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

Array = Any
"""numpy.ndarray; its import must not be paid for by whoever only names the type."""

MAX_PAIRED_BLOCKS = 512
"""Up to so many blocks the AUC is kept as a matrix of block pairs; beyond, weights are spread to rows."""


class Weighted(Protocol):
    """A metric of fixed labels and predictions, as a function of weights."""

    def __call__(self, weights: Array) -> Array:
        """Values for weights of shape (resamples, units): shape (resamples,); NaN where it is not defined."""

    def collapse(self, block: Array, blocks: int) -> Weighted:
        """The same metric as a function of block weights; `block` is each unit's block number, shape (units,)."""


@dataclass(frozen=True)
class Additive:
    """A function of weighted sums of per-row statistics: losses, and counts of hits and misses."""

    statistics: Array
    """Shape (units, s), dense or scipy.sparse; column 0 is the number of rows."""
    finish: Callable[[Array], Array]
    """From sums, shape (resamples, s), to values, shape (resamples,)."""

    def __call__(self, weights: Array) -> Array:
        """Values for weights of shape (resamples, units)."""
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore"):
            return self.finish(np.asarray((self.statistics.T @ weights.T).T))

    def collapse(self, block: Array, blocks: int) -> Additive:
        """Add the statistics up within blocks."""
        import numpy as np
        from scipy import sparse

        rows = len(block)
        member = sparse.csr_array((np.ones(rows), (block, np.arange(rows))), shape=(blocks, rows))
        sums: Array = member @ self.statistics
        dense = getattr(sums, "toarray", lambda: np.asarray(sums))
        return Additive(dense(), self.finish)


@dataclass(frozen=True)
class Spread:
    """A metric of row weights, called with block weights."""

    inner: Weighted
    block: Array

    def __call__(self, weights: Array) -> Array:
        """Give every row its block's weight."""
        return self.inner(weights[:, self.block])

    def collapse(self, block: Array, blocks: int) -> Weighted:
        """Blocks of blocks."""
        del blocks
        return Spread(self.inner, block[self.block])


class Ranked:
    """What all metrics of a ranking share: rows sorted by descending score once, ties taken together."""

    def __init__(self, positive: Array, score: Array) -> None:
        import numpy as np

        self.order = np.argsort(-score, kind="stable")
        self.positive = np.asarray(positive, dtype=float)[self.order]
        self.sorted = score[self.order]
        self.starts = np.flatnonzero(np.r_[True, self.sorted[1:] != self.sorted[:-1]])

    def counts(self, weights: Array) -> tuple[Array, Array]:
        """Weight of positives and of negatives for each distinct score, highest first: (resamples, scores)."""
        import numpy as np

        ordered = weights[:, self.order]
        hits = np.add.reduceat(ordered * self.positive, self.starts, axis=1)
        return hits, np.add.reduceat(ordered, self.starts, axis=1) - hits

    def collapse(self, block: Array, blocks: int) -> Weighted:
        """Spread block weights to rows: a ranking does not add up over blocks."""
        del blocks
        return Spread(self, block)  # type: ignore[arg-type]


class RocAuc(Ranked):
    """Share of (positive, negative) pairs in the right order, ties counting half (Mann and Whitney, 1947)."""

    def __call__(self, weights: Array) -> Array:
        """Values for row weights."""
        import numpy as np

        hits, misses = self.counts(weights)
        below = misses.sum(axis=1, keepdims=True) - np.cumsum(misses, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (hits * (below + misses / 2)).sum(axis=1) / (hits.sum(axis=1) * misses.sum(axis=1))

    def collapse(self, block: Array, blocks: int) -> Weighted:
        """Count the ordered pairs between every two blocks once: the AUC is then a ratio of quadratic forms."""
        import numpy as np

        if blocks > MAX_PAIRED_BLOCKS:
            return super().collapse(block, blocks)
        ordered = block[self.order]
        hit = self.positive == 1
        scores, homes = self.sorted[hit], ordered[hit]
        wins = np.zeros((blocks, blocks))
        for other in range(blocks):
            against = self.sorted[~hit & (ordered == other)][::-1]  # ascending
            below = np.searchsorted(against, scores, side="left")
            at_most = np.searchsorted(against, scores, side="right")
            wins[:, other] = np.bincount(homes, weights=(below + at_most) / 2, minlength=blocks)
        positives = np.bincount(homes, minlength=blocks)
        return PairedAuc(wins, positives, np.bincount(ordered[~hit], minlength=blocks))


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

    def collapse(self, block: Array, blocks: int) -> Weighted:
        """Blocks of blocks."""
        del blocks
        return Spread(self, block)


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


class Median:
    """Median of per-row values; of two middle ones their mean."""

    def __init__(self, values: Array) -> None:
        import numpy as np

        self.order = np.argsort(values, kind="stable")
        self.values = values[self.order]

    def __call__(self, weights: Array) -> Array:
        """Values for row weights, which are whole numbers."""
        import numpy as np

        summed = np.cumsum(weights[:, self.order], axis=1)
        half = summed[:, -1:] / 2
        last = len(self.values) - 1
        low = np.minimum((summed < half).sum(axis=1), last)
        high = np.minimum((summed <= half).sum(axis=1), last)
        return np.where(half[:, 0] > 0, (self.values[low] + self.values[high]) / 2, np.nan)

    def collapse(self, block: Array, blocks: int) -> Weighted:
        """Spread block weights to rows."""
        del blocks
        return Spread(self, block)


@dataclass(frozen=True)
class Mean:
    """Mean of several metrics of the same rows: one-versus-rest over classes."""

    parts: tuple[Weighted, ...]

    def __call__(self, weights: Array) -> Array:
        """Values for weights; NaN when any part is."""
        import numpy as np

        return np.mean([part(weights) for part in self.parts], axis=0)

    def collapse(self, block: Array, blocks: int) -> Mean:
        """Collapse every part."""
        return Mean(tuple(part.collapse(block, blocks) for part in self.parts))


class Undefined:
    """A metric of predictions that are not finite numbers: NaN, whatever the weights."""

    def __call__(self, weights: Array) -> Array:
        """NaN for each resample."""
        import numpy as np

        return np.full(len(weights), np.nan)

    def collapse(self, block: Array, blocks: int) -> Undefined:
        """Still undefined."""
        del block, blocks
        return self
