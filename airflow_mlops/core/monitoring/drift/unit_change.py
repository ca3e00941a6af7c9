"""Units that get mixed up: whether a column is the same one, only written in another unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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


@dataclass(frozen=True)
class Unit:
    """``now = factor * before + shift``."""

    factor: float
    shift: float
    words: str


def _both(factor: float, there: str, back: str) -> tuple[Unit, Unit]:
    return Unit(factor, 0.0, there), Unit(1 / factor, 0.0, back)


UNITS: tuple[Unit, ...] = (
    *(
        unit
        for power, name in ((1, "10"), (2, "100"), (3, "1,000"), (4, "10,000"), (6, "1,000,000"), (9, "1,000,000,000"))
        for unit in _both(10.0**power, f"multiplied by {name}", f"divided by {name}")
    ),
    Unit(1.8, 32.0, "degrees Fahrenheit in place of Celsius (1.8 x + 32)"),
    Unit(1 / 1.8, -32 / 1.8, "degrees Celsius in place of Fahrenheit"),
    Unit(1.0, 273.15, "kelvin in place of degrees Celsius"),
    Unit(1.0, -273.15, "degrees Celsius in place of kelvin"),
    *_both(0.3048, "metres in place of feet", "feet in place of metres"),
    *_both(1.609344, "kilometres in place of miles", "miles in place of kilometres"),
    *_both(1.852, "kilometres in place of nautical miles", "nautical miles in place of kilometres"),
    *_both(2.54, "centimetres in place of inches", "inches in place of centimetres"),
    *_both(0.45359237, "kilograms in place of pounds", "pounds in place of kilograms"),
    *_both(0.44704, "metres per second in place of miles per hour", "miles per hour in place of metres per second"),
    *_both(1852 / 3600, "metres per second in place of knots", "knots in place of metres per second"),
    *_both(3.6, "kilometres per hour in place of metres per second", "metres per second in place of km per hour"),
    *_both(33.8638866667, "hectopascals in place of inches of mercury", "inches of mercury in place of hectopascals"),
    *_both(3.785411784, "litres in place of gallons", "gallons in place of litres"),
    *_both(60.0, "multiplied by 60, as minutes in place of hours", "divided by 60, as hours in place of minutes"),
    *_both(
        3600.0, "multiplied by 3,600, as seconds in place of hours", "divided by 3,600, as hours in place of seconds"
    ),
    *_both(
        86400.0, "multiplied by 86,400, as seconds in place of days", "divided by 86,400, as days in place of seconds"
    ),
    *_both(180 / 3.141592653589793, "degrees in place of radians", "radians in place of degrees"),
    Unit(-1.0, 0.0, "with the opposite sign"),
)
"""Factors near 1 (1.15 miles to the knot's) are left out: the world changes by a tenth, too."""


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
