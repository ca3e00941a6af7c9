"""Sums over a resample of very many units, without drawing the units.

How often each of n units is drawn is multinomial. Counts of groups of units are multinomial too, so that units with
equal statistics are drawn together, exactly. Units whose statistics are nearly equal are grouped into strata:
given how many draws fall into a stratum, their sum is the stratum's mean times that number, plus a rest that
is normal to a very good approximation (the central limit theorem within the stratum). Its covariance is the one
within strata. By the law of total variance, mean and covariance of the sums over resamples are exactly those of
resampling units. Skewness and heavy tails are carried by the multinomial: units far out stay alone.

Strata are cut along what a unit adds to the value of interest (its influence), because only spread in that
direction matters to first order (Efron and Tibshirani, 1993, chapter 22). That the bootstrap of a mean needs no more
than moments between and within groups is the conditioning of Davison and Hinkley (1997, section 9.5), turned
round: they condition to reduce the error of few resamples, here it saves drawing.

References
----------
A. C. Davison, D. V. Hinkley (1997), Bootstrap methods and their application.
B. Efron, R. J. Tibshirani (1993), An introduction to the bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow_mlops.core.arrays import Array

MAX_STRATA = 512
"""More strata leave less to the normal part, and take longer to draw."""
ALONE = 128
"""Units at either end that are a stratum of their own."""
AT_ONCE = 1_000_000
"""Counts held at a time (8 bytes each)."""


@dataclass(frozen=True)
class Strata:
    """Groups of units, with what is needed to draw sums over resamples of all units."""

    units: int
    sizes: Array
    """Units of each stratum, shape (strata,)."""
    centre: Array
    """Mean of all units, shape (s,); the strata's means are relative to it."""
    means: Array
    """Shape (strata, s)."""
    rest: Array | None
    """A root of the summed covariances within strata, shape (s, s); None: every stratum has equal units."""

    def draw(self, rng: Any, resamples: int) -> Iterator[Array]:
        """Sums over resamples of as many units as there are, with replacement: arrays of shape (some, s)."""
        at_once = max(1, AT_ONCE // len(self.sizes))
        shares = self.sizes / self.sizes.sum()
        for start in range(0, resamples, at_once):
            number = min(at_once, resamples - start)
            counts = rng.multinomial(self.units, shares, size=number).astype(float)
            sums = self.units * self.centre + counts @ self.means
            if self.rest is not None:
                sums += rng.normal(size=sums.shape) @ self.rest.T
            yield sums


def stratify(rows: Array, influence: Array, count: Array | None = None, table: Array | None = None) -> Strata:
    """Group units by their influence.

    Parameters
    ----------
    rows
        Statistics, shape (k, s), dense or scipy.sparse; beside a table, shape (k, t).
    influence
        What a unit of each row adds to the value of interest, shape (k,).
    count
        Units that have each row, shape (k,); None: one.
    table
        The statistics are `rows @ table`, shape (t, s): never multiplied out, as that takes much memory.
    """
    import numpy as np
    from scipy import sparse

    each = np.ones(len(influence)) if count is None else np.asarray(count, dtype=float)
    units = each.sum()
    centre = np.zeros((rows if table is None else table).shape[1])
    if not sparse.issparse(rows):
        centre = np.asarray(rows.T @ each) / units
        rows = rows - centre  # moments about the mean keep their digits
    order = np.argsort(influence, kind="stable")
    starts = _starts(influence[order], each[order])
    groups = sparse.csr_array(
        (each[order], order, np.r_[starts, len(order)]), shape=(len(starts), len(order))
    )  # row by row the units of a stratum
    sizes = np.add.reduceat(each[order], starts)
    sums, moment = groups @ rows, _moment(rows, each)
    if table is not None:
        sums, moment = sums @ table, table.T @ moment @ table
    means = _dense(sums) / sizes[:, None]
    rest = None if len(starts) == len(order) else _root(_dense(moment) - (means.T * sizes) @ means)
    return Strata(round(units), sizes, centre, means, rest)


def _starts(influence: Array, each: Array) -> Array:
    """Where strata begin among sorted rows: single ones at both ends, equal shares of units and influence between."""
    import numpy as np

    rows = len(influence)
    if rows <= MAX_STRATA:
        return np.arange(rows)
    inner = slice(ALONE, rows - ALONE)
    size = np.abs(influence[inner] - np.average(influence, weights=each))
    mass = np.cumsum(each[inner] * (1 + size / (np.average(size, weights=each[inner]) or 1)))
    bins = MAX_STRATA - 2 * ALONE
    number = np.minimum((mass / mass[-1] * bins).astype(int), bins - 1)
    cuts = np.flatnonzero(np.diff(number, prepend=-1))
    return np.r_[np.arange(ALONE), ALONE + cuts, np.arange(rows - ALONE, rows)]


def _moment(rows: Array, each: Array) -> Array:
    """Second moments about 0, summed over units: shape (s, s)."""
    from scipy import sparse

    weights: Array = sparse.diags_array(each)
    return rows.T @ (weights @ rows) if hasattr(rows, "toarray") else (rows.T * each) @ rows


def _dense(found: Array) -> Array:
    return found.toarray() if hasattr(found, "toarray") else found


def _root(covariance: Array) -> Array:
    """A with A A' = covariance; negative eigenvalues are rounding."""
    import numpy as np

    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.clip(values, 0, None))
