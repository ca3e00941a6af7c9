"""Effect sizes: how far a window's counts are from the reference's, and what of it is beyond chance.

All are of counts in frozen bins. Missing and non-finite values are two more bins, so that a change of their share is
part of the effect; only the Wasserstein distance is of the finite values alone, for nothing else has a position.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_mlops.core.monitoring.drift.significance import SMOOTHING, _occupied
from airflow_mlops.core.records.profile import ColumnProfile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class EffectSize:
    """One effect size, as `monitoring.drift.effect` names it and as a field of `ColumnDrift` keeps it.

    `min_effect` bounds what :func:`beyond_chance` leaves of whichever is chosen.
    """

    name: str
    words: str
    """How a reason calls it."""
    of: Callable[[ColumnProfile, ColumnProfile], float | None]
    """From reference and window to what was observed, chance included; None where it cannot be had."""
    beyond_chance: Callable[[float, ColumnProfile, ColumnProfile], float]
    """The observed value without what two samples of one distribution would show, at least 0."""
    roles: frozenset[str] = frozenset({"numeric", "categorical"})
    """Kinds of column that it can be measured of; total variation, which is defined for all, stands in for others."""


def counts_of(column: ColumnProfile) -> list[int]:
    """Counts with missing and non-finite values as two more bins."""
    return [*column.counts, column.missing, column.non_finite]


def measure(before: ColumnProfile, now: ColumnProfile) -> dict[str, float | None]:
    """All effect sizes of one column by name; both sides were counted in the same bins, and have a row.

    Returns
    -------
    dict
        None for those that are not of the column's kind, or cannot be had of its values.

    Examples
    --------
    >>> before = ColumnProfile(name="x", role="numeric", edges=(0.0,), counts=(500, 500))
    >>> found = measure(before, ColumnProfile(name="x", role="numeric", edges=(0.0,), counts=(300, 700)))
    >>> round(found["psi"], 3), round(found["total_variation"], 3), round(found["wasserstein"], 3)
    (0.169, 0.2, 0.4)
    """
    return {
        effect.name: effect.of(before, now) if before.role in effect.roles else None for effect in EFFECT_SIZES.values()
    }


def taken(name: str, found: Mapping[str, float | None]) -> tuple[EffectSize, float]:
    """Return the effect size that stands for `name`, and its observed value: total variation where there is none.

    Raises
    ------
    KeyError
        If no effect size has this name.
    """
    value = found[name]
    if value is not None:
        return EFFECT_SIZES[name], value
    total = found["total_variation"]
    if total is None:
        raise KeyError("total_variation")
    return EFFECT_SIZES["total_variation"], total


def jensen_shannon(reference: Sequence[int], current: Sequence[int]) -> float:
    """Jensen-Shannon distance, 0 to 1: the square root of the divergence with logarithms of base 2.

    J. Lin, "Divergence Measures Based on the Shannon Entropy" (1991); that its root is a metric: D. M. Endres and
    J. E. Schindelin, "A New Metric for Probability Distributions" (2003).

    >>> jensen_shannon([10, 0], [0, 10]), jensen_shannon([5, 5], [10, 10])
    (1.0, 0.0)
    """
    import numpy as np
    from scipy.spatial.distance import jensenshannon

    with np.errstate(invalid="ignore"):  # of all but equal shares the divergence may round to less than none
        distance = float(jensenshannon(reference, current, base=2))
    return 0.0 if math.isnan(distance) else min(distance, 1.0)


def total_variation(reference: Sequence[int], current: Sequence[int]) -> float:
    """Half the sum of absolute differences of the shares, 0 to 1: the share of rows that would have to move.

    >>> total_variation([50, 50], [25, 75])
    0.25
    """
    import numpy as np

    p, q = _shares(reference, current)
    return float(np.abs(p - q).sum() / 2)


def cramers_v(reference: Sequence[int], current: Sequence[int]) -> float:
    """Cramer's V of the two-row table, both rows weighted alike, 0 to 1.

    H. Cramer, "Mathematical Methods of Statistics" (1946), section 21.9: ``sqrt(chi2 / n)`` of a table with two rows.
    With the rows' own numbers it would shrink as the reference grows: a bound would mean something else for each
    model and window. With half of the weight on each side it is ``sqrt(sum((p - q)**2 / (p + q)) / 2)``.

    >>> cramers_v([50, 50, 0], [0, 0, 9]), cramers_v([1, 3], [10, 30])
    (1.0, 0.0)
    """
    import numpy as np

    p, q = _shares(reference, current)
    both = p + q
    kept = both > 0
    return math.sqrt(float(np.sum((p - q)[kept] ** 2 / both[kept])) / 2)


def wasserstein(edges: Sequence[float], reference: Sequence[int], current: Sequence[int]) -> float | None:
    """First Wasserstein distance of the binned values, in standard deviations of the binned reference.

    The area between the two distribution functions (S. S. Vallender, "Calculation of the Wasserstein Distance Between
    Probability Distributions on the Line", 1974), each bin's values standing at :func:`positions`.

    Returns
    -------
    float or None
        None when either side has no finite value, or the reference has a single one.

    Examples
    --------
    >>> round(wasserstein([0.0, 1.0], [10, 10, 10], [0, 10, 20]), 3)
    0.816
    """
    import numpy as np

    p, q = _filled(reference), _filled(current)
    if p is None or q is None or not len(edges):
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # edges near the largest number: there is no spread then
        at = positions(edges)
        spread = math.sqrt(float(p @ (at - p @ at) ** 2))
    if spread == 0 or not math.isfinite(spread):
        return None
    return float(np.abs(np.cumsum(p - q)[:-1]) @ np.diff(at)) / spread


def positions(edges: Sequence[float]) -> NDArray[np.float64]:
    """Where the values of each bin stand, shape (edges + 1,).

    The middle of a bin between two edges. The outer bins are open: their values stand as far beyond the outer edge as
    the nearest inner bin is wide, which for the twentieths of a normal distribution is the mean of the tail within
    0.06 standard deviations. Only the frozen edges are asked: however far out a value lies, it counts as one row of
    the outer bin. Bins that hold one value only have no width; where no inner bin has any, it is 1.

    >>> positions([0.0, 2.0, 3.0]).tolist(), positions([5.0]).tolist()
    ([-2.0, 1.0, 2.5, 4.0], [4.5, 5.5])
    """
    import numpy as np

    inner = np.asarray(edges, dtype=np.float64)
    if len(inner) == 1:
        return np.array([inner[0] - 0.5, inner[0] + 0.5])
    widths = np.diff(inner)
    wide = widths[widths > np.maximum(4 * np.spacing(np.abs(inner[:-1])), np.finfo(np.float64).tiny)]
    left, right = (wide[0], wide[-1]) if len(wide) else (1.0, 1.0)
    return np.concatenate([[inner[0] - left], inner[:-1] + widths / 2, [inner[-1] + right]])


def beyond_chance(name: str, found: Mapping[str, float | None], before: ColumnProfile, now: ColumnProfile) -> float:
    """The effect size by name without what two samples of one distribution would show, at least 0.

    Parameters
    ----------
    name
        `wasserstein` sees finite values only: beside it, the total variation of present, missing and non-finite
        values counts, and the larger of the two is returned. Where there is none, it is the total variation.
    found
        What :func:`measure` observed.

    Notes
    -----
    Of B occupied bins with N and M rows, ``chance = (B - 1) * (1/N + 1/M)`` is what the index has without any drift
    (B. Yurdakul, "Statistical Properties of Population Stability Index", 2018). The squared Jensen-Shannon distance has
    1 / (8 ln 2) of it and the square of Cramer's V a quarter: for small differences, every smooth divergence is the
    same one but for a factor (I. Csiszar and P. Shields, "Information Theory and Statistics: A Tutorial", 2004,
    theorem 4.1). It is taken off. Total variation and Wasserstein distance are sums of absolute values; of normal noise
    these have the mean ``sqrt(2 / pi)`` times its standard deviation, and noise and effect add up in squares.
    """
    effect, value = taken(name, found)
    return effect.beyond_chance(value, before, now)


def expected_psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """What the index is by chance alone (Yurdakul, 2018): ``(bins - 1) * (1/N + 1/M)``, of bins that are not empty.

    >>> round(expected_psi([500, 500, 0], [25, 75, 0]), 3)
    0.011
    """
    bins = sum(1 for a, b in zip(reference, current, strict=True) if a or b)
    return max(0, bins - 1) * (1 / sum(reference) + 1 / sum(current))


def _of_counts(distance: Callable[[Sequence[int], Sequence[int]], float]) -> Callable[..., float]:
    def of(before: ColumnProfile, now: ColumnProfile) -> float:
        return distance(counts_of(before), counts_of(now))

    return of


def _root_beyond(share: float) -> Callable[[float, ColumnProfile, ColumnProfile], float]:
    """Take off what chance gives of a distance whose square has this share of the index's."""

    def beyond(value: float, before: ColumnProfile, now: ColumnProfile) -> float:
        chance = share * expected_psi(counts_of(before), counts_of(now))
        return math.sqrt(max(0.0, value**2 - chance))

    return beyond


def _beyond_psi(value: float, before: ColumnProfile, now: ColumnProfile) -> float:
    return max(0.0, value - expected_psi(counts_of(before), counts_of(now)))


def _beyond_total_variation(value: float, before: ColumnProfile, now: ColumnProfile) -> float:
    return _variation_beyond(value, counts_of(before), counts_of(now))


def _variation_beyond(value: float, reference: Sequence[int], current: Sequence[int]) -> float:
    import numpy as np

    shares, noise = _pooled(reference, current)
    chance = float(np.sqrt(2 / math.pi * shares * (1 - shares) * noise).sum()) / 2
    return math.sqrt(max(0.0, value**2 - chance**2))


def _of_finite(before: ColumnProfile, now: ColumnProfile) -> float | None:
    return wasserstein(before.edges, before.counts, now.counts)


def _beyond_wasserstein(value: float, before: ColumnProfile, now: ColumnProfile) -> float:
    kinds = [(sum(column.counts), column.missing, column.non_finite) for column in (before, now)]
    return max(_moved_beyond(value, before, now), _variation_beyond(total_variation(*kinds), *kinds))


def _moved_beyond(value: float, before: ColumnProfile, now: ColumnProfile) -> float:
    import numpy as np

    shares, noise = _pooled(before.counts, now.counts)
    at, p = positions(before.edges), np.asarray(before.counts) / sum(before.counts)
    spread = math.sqrt(float(p @ (at - p @ at) ** 2))
    below = np.clip(np.cumsum(shares)[:-1], 0.0, 1.0)
    chance = float(np.sqrt(2 / math.pi * below * (1 - below) * noise) @ np.diff(at)) / spread
    return math.sqrt(max(0.0, value**2 - chance**2))


def _pooled(reference: Sequence[int], current: Sequence[int]) -> tuple[NDArray[np.float64], float]:
    """Shares of both sides together, and 1/N + 1/M."""
    import numpy as np

    both = np.asarray(reference, dtype=np.float64) + np.asarray(current, dtype=np.float64)
    return both / both.sum(), 1 / sum(reference) + 1 / sum(current)


def _shares(reference: Sequence[int], current: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    p, q = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    return p / p.sum(), q / q.sum()


def _filled(counts: Sequence[int]) -> NDArray[np.float64] | None:
    import numpy as np

    found = np.asarray(counts, dtype=np.float64)
    return found / found.sum() if found.sum() else None


def psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """Population stability index of two count vectors.

    ``sum((q - p) * ln(q / p))`` over the bins that are not empty on both sides (N. Siddiqi, "Credit Risk
    Scorecards", 2006: below 0.1 no change to speak of, above 0.25 a large one; it is the symmetrised
    Kullback-Leibler divergence). The shares are ``(n + 0.5) / (N + 0.5 * bins)``: they add up to one, and an
    empty bin gives a finite value.

    Parameters
    ----------
    reference, current
        Counts of the same bins, shape (bins,), each with at least one row.

    Returns
    -------
    float
        At least 0. With no drift it is about ``(bins - 1) * (1/N + 1/M)`` (B. Yurdakul, "Statistical Properties
        of Population Stability Index", 2018): small windows have large values by chance alone.

    Examples
    --------
    >>> psi([100, 100], [100, 100]), round(psi([500, 500], [300, 700]), 3)
    (0.0, 0.169)
    """
    import numpy as np

    counts = _occupied(reference, current) + SMOOTHING
    p, q = counts / counts.sum(axis=1, keepdims=True)
    return float(np.sum((q - p) * np.log(q / p)))


EFFECT_SIZES: Mapping[str, EffectSize] = {
    effect.name: effect
    for effect in (
        EffectSize(name="psi", words="PSI", of=_of_counts(psi), beyond_chance=_beyond_psi),
        EffectSize(
            name="jensen_shannon",
            words="Jensen-Shannon distance",
            of=_of_counts(jensen_shannon),
            beyond_chance=_root_beyond(1 / (8 * math.log(2))),
        ),
        EffectSize(
            name="total_variation",
            words="total variation",
            of=_of_counts(total_variation),
            beyond_chance=_beyond_total_variation,
        ),
        EffectSize(
            name="wasserstein",
            words="Wasserstein distance",
            of=_of_finite,
            beyond_chance=_beyond_wasserstein,
            roles=frozenset({"numeric"}),
        ),
        EffectSize(name="cramers_v", words="Cramer's V", of=_of_counts(cramers_v), beyond_chance=_root_beyond(1 / 4)),
    )
}
"""Every effect size that :data:`airflow_mlops.spec.monitoring.EFFECTS` offers: measured of each column, and one of them
bounded. A new one is an entry here, its name there, and a field of `ColumnDrift` that is None in older reports."""
