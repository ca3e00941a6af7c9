"""Whether a window's column is the same one, only written in another unit: where no days can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_mlops.core.faults.units import UNITS, Unit
from airflow_mlops.core.monitoring.drift.effect_sizes import expected_psi, psi
from airflow_mlops.core.records.profile import ColumnProfile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_BEFORE = 0.25
"""Index from which on a change of unit is looked for: "a large change" (N. Siddiqi, "Credit Risk Scorecards")."""
MOST_AFTER, TIMES_SMALLER = 0.1, 50.0
"""Read in the old unit, the values must have an index of "no change to speak of", and a fiftieth of what it was: where
the two units overlap a lot, the world can do nearly the same, and nearly is not enough."""


def unit_change(before: ColumnProfile, values: NDArray[np.float64]) -> Unit | None:
    """Find the unit in which a window's values are distributed as the reference's were, if one of :data:`UNITS` is it.

    The frozen bins cannot tell by themselves: of a value that became 1,000 times larger they know only that it lies
    beyond the last edge. So rows are needed; a sample will do. They are read in each unit and counted in the bins.

    Parameters
    ----------
    before
        A numeric column of the reference.
    values
        Of the window, shape (rows,); values that are not finite are left out.

    Examples
    --------
    >>> import numpy as np
    >>> celsius = np.random.default_rng(0).normal(12, 5, 2000)
    >>> edges = tuple(np.quantile(celsius, np.arange(1, 20) / 20).tolist())
    >>> profile = ColumnProfile(name="temp", role="numeric", edges=edges, counts=(100,) * 20)
    >>> unit_change(profile, celsius[:500] * 1.8 + 32).words
    'degrees Fahrenheit in place of Celsius (1.8 x + 32)'
    >>> unit_change(profile, celsius[:500] + 4) is None
    True
    """
    import numpy as np

    finite = values[np.isfinite(values)]
    if not len(finite) or not before.edges or not sum(before.counts):
        return None
    index = _index(before, finite)
    if index < LEAST_BEFORE:
        return None
    with np.errstate(over="ignore"):  # what is infinite in a unit lies in the outer bin
        read = [(_index(before, (finite - unit.shift) / unit.factor), number) for number, unit in enumerate(UNITS)]
    best, number = min(read)
    if best >= min(MOST_AFTER, index / TIMES_SMALLER):
        return None
    unit = UNITS[number]
    return None if unit.factor < 0 and _index(before, _moved(before, finite)) < MOST_AFTER else unit


def _moved(before: ColumnProfile, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift and scale values to the quartiles of the reference, the right way round.

    A sign tells nothing of what is symmetric: a mean that walks from one side of zero to the other is its own mirror
    image. Only a shape that no shift and no scale explains was turned round: of two explanations the one that says
    less holds (minimum description length: J. Rissanen, "Modeling by shortest data description", 1978).
    """
    import numpy as np

    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    edges = np.asarray(before.edges)
    shares = np.cumsum(before.counts)[:-1] / sum(before.counts)
    lower, center, upper = np.interp((0.25, 0.5, 0.75), shares, edges)
    scale = (upper - lower) / (high - low) if high > low else 1.0
    moved: NDArray[np.float64] = (values - middle) * scale + center
    return moved


def _index(before: ColumnProfile, values: NDArray[np.float64]) -> float:
    import numpy as np

    places = np.searchsorted(np.asarray(before.edges), values, side="right")
    counts = np.bincount(places, minlength=len(before.counts)).tolist()
    return max(0.0, psi(before.counts, counts) - expected_psi(before.counts, counts))
