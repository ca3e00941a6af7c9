"""Metrics as functions of row weights: a resample of the bootstrap is nothing but whole-number weights.

Each class holds what is computed once (losses, sort orders) and is called with weights of many resamples at a
time. `collapse` gives the same function of the weights of blocks of rows, so that resampling blocks costs as
much as there are blocks, not rows. `gradient` says what each unit adds: where units are many, the metric of a
resample is its value on all rows plus the sum of what the drawn units add, up to terms of order 1/n
(von Mises, 1947; Efron and Tibshirani, 1993, chapter 22). Metrics of rankings are in `core.metrics.ranking`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from airflow_mlops.core.arrays import Array


class WeightedMetric(Protocol):
    """A metric of fixed labels and predictions, as a function of weights."""

    def __call__(self, weights: Array) -> Array:
        """Values for weights of shape (resamples, units): shape (resamples,); NaN where it is not defined."""

    def scale(self, weights: Array) -> WeightedMetric:
        """The same metric of units that weigh `weights`, shape (units,), each time they are drawn."""

    def collapse(self, block: Array, blocks: int) -> WeightedMetric:
        """The same metric as a function of block weights; `block` is each unit's block number, shape (units,)."""

    def gradient(self) -> Array | None:
        """Derivative by each unit's weight where all are 1, shape (units,); None where it says too little."""


@dataclass(frozen=True)
class Additive:
    """A function of weighted sums of per-row statistics: losses, and counts of hits and misses."""

    statistics: Array
    """Shape (patterns, s), dense or scipy.sparse; column 0 is the number of rows."""
    finish: Callable[[Array], Array]
    """From sums, shape (resamples, s), to values, shape (resamples,)."""
    pattern: Array | None = None
    """Row of `statistics` that each unit has, shape (units,): counts have few patterns. None: one for each unit."""
    weight: Array | None = None
    """Of each unit, shape (units,), beside patterns only."""

    def __call__(self, weights: Array) -> Array:
        """Values for weights of shape (resamples, units)."""
        import numpy as np

        if self.weight is not None:
            weights = weights * self.weight
        if self.pattern is not None:
            patterns = self.statistics.shape[0]
            weights = np.stack([np.bincount(self.pattern, row, minlength=patterns) for row in weights])
        return self.of_sums(np.asarray((self.statistics.T @ weights.T).T))

    def of_sums(self, sums: Array) -> Array:
        """Values for sums of the statistics, shape (resamples, s)."""
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore"):
            return self.finish(sums)

    def scale(self, weights: Array) -> Additive:
        """Weigh the statistics."""
        if self.pattern is None:
            return replace(self, statistics=self.statistics * weights[:, None])
        return replace(self, weight=weights if self.weight is None else self.weight * weights)

    def rows(self) -> Array:
        """Statistics of each unit, shape (units, s); scipy.sparse where there are patterns."""
        import numpy as np
        from scipy import sparse

        if self.pattern is None:
            return self.statistics
        units = len(self.pattern)
        weight = np.ones(units) if self.weight is None else self.weight
        shape = (units, self.statistics.shape[0])
        return sparse.csr_array((weight, self.pattern, np.arange(units + 1)), shape=shape) @ self.statistics

    def collapse(self, block: Array, blocks: int) -> Additive:
        """Add the statistics up within blocks."""
        import numpy as np
        from scipy import sparse

        if self.pattern is None:
            sums = [np.bincount(block, column, minlength=blocks) for column in self.statistics.T]
            return Additive(np.column_stack(sums), self.finish)
        weight = np.ones(len(block)) if self.weight is None else self.weight
        counted = sparse.csr_array((weight, (block, self.pattern)), shape=(blocks, self.statistics.shape[0]))
        return Additive((counted @ self.statistics).toarray(), self.finish)

    def slope(self) -> Array:
        """Derivative by each sum, shape (s,), from central differences; 0 where it is not defined."""
        import numpy as np

        ones = np.ones(self.statistics.shape[0])
        if self.pattern is not None:
            ones = np.bincount(self.pattern, self.weight, minlength=len(ones)).astype(float)
        sums = np.asarray(self.statistics.T @ ones)
        step = np.maximum(np.abs(sums), np.abs(sums).max()) * 1e-6
        moved = np.diag(step)
        change = self.of_sums(sums + moved) - self.of_sums(sums - moved)
        slope: Array = np.nan_to_num(change / (2 * step), nan=0.0, posinf=0.0, neginf=0.0)
        return slope

    def gradient(self) -> Array:
        """By the chain rule over the sums."""
        import numpy as np

        return np.asarray(self.rows() @ self.slope())


@dataclass(frozen=True)
class Spread:
    """A metric of row weights, called with block weights."""

    inner: WeightedMetric
    block: Array

    def __call__(self, weights: Array) -> Array:
        """Give every row its block's weight."""
        return self.inner(weights[:, self.block])

    @property
    def width(self) -> int:
        """Numbers held for each resample."""
        return len(self.block)

    def scale(self, weights: Array) -> Spread:
        """Weigh the rows of a block alike."""
        return Spread(self.inner.scale(weights[self.block]), self.block)

    def collapse(self, block: Array, blocks: int) -> WeightedMetric:
        """Blocks of blocks."""
        del blocks
        return Spread(self.inner, block[self.block])

    def gradient(self) -> Array | None:
        """A block adds what its rows add."""
        import numpy as np

        found = self.inner.gradient()
        return None if found is None else np.bincount(self.block, found)


@dataclass(frozen=True)
class Mean:
    """Mean of several metrics of the same rows: one-versus-rest over classes."""

    parts: tuple[WeightedMetric, ...]

    def __call__(self, weights: Array) -> Array:
        """Values for weights; NaN when any part is."""
        import numpy as np

        return np.mean([part(weights) for part in self.parts], axis=0)

    @property
    def width(self) -> int:
        """Numbers held for each resample."""
        return max(getattr(part, "width", 0) for part in self.parts)

    def scale(self, weights: Array) -> Mean:
        """Scale every part."""
        return Mean(tuple(part.scale(weights) for part in self.parts))

    def collapse(self, block: Array, blocks: int) -> Mean:
        """Collapse every part."""
        return Mean(tuple(part.collapse(block, blocks) for part in self.parts))

    def gradient(self) -> Array | None:
        """Mean of the parts'; None when any part has none."""
        total: Array = 0.0
        for part in self.parts:
            found = part.gradient()
            if found is None:
                return None
            total = total + found / len(self.parts)
        return total


@dataclass(frozen=True)
class Undefined:
    """A metric that cannot be computed of these predictions: NaN, whatever the weights."""

    reason: str
    """In words that follow `because`."""

    def __call__(self, weights: Array) -> Array:
        """NaN for each resample."""
        import numpy as np

        return np.full(len(weights), np.nan)

    def scale(self, weights: Array) -> Undefined:
        """Still undefined."""
        del weights
        return self

    def collapse(self, block: Array, blocks: int) -> Undefined:
        """Still undefined."""
        del block, blocks
        return self

    def gradient(self) -> None:
        """There is none."""
