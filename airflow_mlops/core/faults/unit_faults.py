"""Days on which a numeric column is written in another unit.

Each day is three numbers: location, spread and skewness. What days of a stream do from one to the next tells how far
two of them may lie apart; days that are linked by such steps are one group, so that a slow walk never parts two. A
group is in another unit when a *jump* parts it from the sound days, which no shift and no change of scale within what
days vary by explains, and when it lies among them once it is read in that unit. A unit acts on the three numbers
exactly: ``x -> f x + c`` takes location to ``f m + c``, spread to ``|f| s``, skewness to ``sign(f) k``. So a sign needs
asymmetry: of what is symmetric, a shift explains all. Where all values are positive their logarithms are looked at,
too, in which a factor is a shift: of what spreads over decades, miles are told from kilometres only there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_mlops.core.faults.column import LEAST_DAYS, UNLIKELY, Broken, ColumnDay, ColumnDays
from airflow_mlops.core.faults.days import LEAST
from airflow_mlops.core.faults.units import UNITS, Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TRIM, _TAIL, _TAIL_TRIM = 0.02, 0.05, 0.01
"""Share of the values that is left out at each end: a single outlier says nothing of the unit. The skewness is of the
tails: it takes a twentieth of the values at each end, from a hundredth on. Of 250 values of a gamma distribution with
shape 2 it tells the sign with 14 standard errors; that of fifths with 9, the third moment with 6."""
_FLOORS = (0.2, 0.35, 0.5)
"""Half the standard errors of location (in spreads), logarithm of the spread and skewness of normal values, times the
root of their number: no day is known better than that."""
FITS = 3.5
"""Read in the right unit, days lie within so many standard deviations of the sound days' middle."""
ASYMMETRIC = 3.5
"""So many standard deviations of the skewness tell a sign from a shift."""
MOST_RUNS = 3
"""A fault comes and goes so often within the days that are looked at; a weekend comes more often."""
SMALL = 5.0
"""Factors below this (and above its inverse) are what demand does on a special day, too."""
_FEW_PAIRS = 5
_MOSTLY = 0.5
"""Share of a group's days that were known to be broken, from which on all of it is."""


def unit_faults(column: ColumnDays) -> Broken | None:
    """Find the days in another unit, if there are any.

    Parameters
    ----------
    column
        A numeric column. Its anchor days tell which of two groups is the sound one; without them the larger is, or
        what a person released. Groups that were known to be broken stay so, also when the jump lies too far back.
    """
    return _in_space(column, logarithms=False) or _in_space(column, logarithms=True)


def _in_space(column: ColumnDays, *, logarithms: bool) -> Broken | None:
    import numpy as np

    nodes = _Nodes.of(column, logarithms)
    if nodes is None:
        return None
    groups = nodes.groups()
    if groups is None:
        return _all_known(column, nodes) if nodes.scanned.all() else None  # one group with the champion's days: sound
    labels, spread = groups
    sound = _sound(nodes, labels)
    if sound is None:
        return _all_known(column, nodes)
    if np.count_nonzero(labels == sound) < (1 if nodes.right.any() else LEAST_DAYS):
        return None
    found = [
        (label, unit)
        for label in np.unique(labels[nodes.scanned]).tolist()
        if label not in {sound, _MIXED} and (unit := _relation(nodes, labels == label, labels == sound, spread))
    ]
    if not found:
        return None
    broken = np.isin(labels, [label for label, _ in found])
    return _answer(column, nodes, broken, labels == sound, found[0][1])


def location(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return location, spread and skewness of sorted values: means of what is left when the ends are trimmed.

    Location is the trimmed mean. Spread is the mean of the upper fifth less that of the lower one, skewness how much
    nearer the middle fifth is to the lower tail than to the upper, over their distance (as in R. V. Hogg, "Adaptive
    Robust Procedures", 1974). All three are equivariant: a shift or a scale changes nothing else.

    >>> import numpy as np
    >>> x = np.sort(np.random.default_rng(0).gamma(2, 1, 1000))
    >>> m, s, k = location(x)
    >>> [round(float(v), 6) for v in np.subtract(location(np.sort(32 - 1.8 * x)), (32 - 1.8 * m, 1.8 * s, -k))]
    [0.0, 0.0, 0.0]
    """
    inner = _inner(values, _TRIM)
    lower, upper = _ends_of(inner, 0.2)
    tails = _inner(values, _TAIL_TRIM)
    low, high = _ends_of(tails, _TAIL)
    start = (len(tails) - len(tails) // 5) // 2
    middle = float(tails[start : len(tails) - start].mean())
    skewness = (high + low - 2 * middle) / (high - low) if high > low else 0.0
    return float(inner.mean()), upper - lower, skewness


def _inner(values: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    cut = int(len(values) * share)
    return values[cut : len(values) - cut]


def _ends_of(values: NDArray[np.float64], share: float) -> tuple[float, float]:
    """Means of the lowest and the highest values."""
    part = max(1, int(len(values) * share))
    return float(values[:part].mean()), float(values[-part:].mean())


_MIXED = -1
"""Label of a day between two groups: a fault began or ended on it."""


@dataclass(frozen=True, eq=False)
class _Nodes:
    """Days that can be compared, those of the anchor first."""

    place: NDArray[np.int64]
    """Of each among the column's days; -1: of the anchor, shape (nodes,)."""
    points: NDArray[np.float64]
    """Location, spread and skewness, shape (nodes, 3)."""
    values: NDArray[np.int64]
    """How many values each has, shape (nodes,)."""
    counts: NDArray[np.float64]
    """Logarithm of how many rows each day had, shape (nodes,)."""
    known: NDArray[np.bool_]
    right: NDArray[np.bool_]
    logarithms: bool
    """Whether the points are those of the logarithms."""

    @classmethod
    def of(cls, column: ColumnDays, logarithms: bool) -> _Nodes | None:
        import numpy as np

        ranked = [*((-1, day) for day in column.anchor), *enumerate(column.days)]
        enough = [(place, day) for place, day in ranked if len(day.known) >= LEAST]
        if logarithms and any(day.known[0] <= 0 for _, day in enough):
            return None
        usable = [(place, day, location(np.log(day.known) if logarithms else day.known)) for place, day in enough]
        usable = [one for one in usable if one[2][1] > 0 and np.isfinite(one[2]).all()]
        if len(usable) <= LEAST_DAYS or usable[-1][0] < 0:
            return None
        place = np.array([one[0] for one in usable])
        scanned = place >= 0
        return cls(
            place=place,
            points=np.array([one[2] for one in usable]),
            values=np.array([len(one[1].known) for one in usable]),
            counts=np.log([one[1].day.count for one in usable]),
            known=scanned & column.known[place],
            right=scanned & column.right[place],
            logarithms=logarithms,
        )

    @property
    def scanned(self) -> NDArray[np.bool_]:
        return self.place >= 0

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """Pairs of days next to each other, shape (pairs, 2); none from the anchor to the days."""
        import numpy as np

        first = np.arange(len(self.place) - 1)
        pairs: NDArray[np.int64] = np.stack([first, first + 1], axis=1)[self.scanned[:-1] == self.scanned[1:]]
        return pairs

    def groups(self) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Number of each day's group, and how large a step is, shape (3,); None when there is one group only.

        How far days may lie apart is learnt twice: from the median step, which a jump does not move, and then from all
        steps within the groups that gives (their root mean square, with Student's quantile for their number).
        """
        import numpy as np

        size = self.distances(self.points, self.points)
        steps = size[self.steps[:, 0], self.steps[:, 1]]
        if not len(steps):
            return None
        floors = self._floors()
        spread = np.maximum(1.4826 * np.median(steps, axis=0), floors)
        labels = self._linked(size, spread, 0.37 * len(steps), 1e-3)  # the efficiency of the median deviation
        if labels is None:
            return None
        inside = labels[self.steps[:, 0]] == labels[self.steps[:, 1]]
        if np.count_nonzero(inside) < _FEW_PAIRS:
            return None
        spread = np.maximum(np.sqrt((steps[inside] ** 2).mean(axis=0)), floors)
        labels = self._linked(size, spread, float(np.count_nonzero(inside)), UNLIKELY)
        return None if labels is None else (labels, spread)

    def _floors(self) -> NDArray[np.float64]:
        import numpy as np

        return np.array(_FLOORS) * math.sqrt(2 / float(np.median(self.values)))

    def distances(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        """Differences of location (in the larger spread), logarithm of the spread, and skewness, shape (n, m, 3)."""
        import numpy as np

        a, b = one[:, None, :], other[None, :, :]
        return np.stack(
            [
                np.abs(a[..., 0] - b[..., 0]) / np.maximum(a[..., 1], b[..., 1]),
                np.abs(np.log(a[..., 1] / b[..., 1])),
                np.abs(a[..., 2] - b[..., 2]),
            ],
            axis=-1,
        )

    def _linked(
        self, size: NDArray[np.float64], spread: NDArray[np.float64], freedom: float, chance: float
    ) -> NDArray[np.int64] | None:
        """Groups of days that are linked by ordinary steps (single linkage); None when all are one."""
        import numpy as np
        from scipy.sparse.csgraph import connected_components
        from scipy.special import stdtrit

        most = float(stdtrit(freedom, 1 - chance / 2))
        near = (size / spread).max(axis=-1) <= most
        if near.all():
            return None
        # A day that lies between two that are far apart may be a mixture of them, and must not link them.
        between = np.zeros(len(near), dtype=bool)
        between[1:-1] = ~near[np.arange(len(near) - 2), np.arange(2, len(near))]
        kept = np.flatnonzero(~between)
        labels = np.full(len(near), _MIXED - 1)
        count, labels[kept] = connected_components(near[np.ix_(kept, kept)], directed=False)
        for node in np.flatnonzero(between).tolist():
            met = np.unique(labels[near[node] & (labels >= 0)])
            if not len(met):
                labels[node], count = count, count + 1
            else:
                labels[node] = met[0] if len(met) == 1 else _MIXED
        return None if len(np.unique(labels[labels >= 0])) == 1 else labels


def _sound(nodes: _Nodes, labels: NDArray[np.int64]) -> int | None:
    """The group that others are held against: what was released, then what the champion knows, then the largest."""
    import numpy as np

    found: list[int] = np.unique(labels[nodes.scanned & (labels >= 0)]).tolist()
    if nodes.right.any():
        return max(found, key=lambda label: int(np.count_nonzero(nodes.right & (labels == label))), default=None)
    scanned = [label for label in found if np.mean(nodes.known[nodes.scanned & (labels == label)]) < _MOSTLY]
    if not scanned:
        return None

    def most(of: NDArray[np.bool_]) -> int:
        return max(scanned, key=lambda label: int(np.count_nonzero(of & (labels == label))))

    anchored = nodes.place < 0
    if np.isin(labels[anchored], scanned).any():
        return most(anchored)
    if anchored.any():
        middle = np.median(nodes.points[anchored], axis=0)[None]
        far = nodes.distances(nodes.points, middle)[:, 0, :2].sum(axis=1)
        return min(scanned, key=lambda label: float(np.median(far[labels == label])))
    return most(nodes.scanned & ~nodes.known)


def _relation(
    nodes: _Nodes, group: NDArray[np.bool_], sound: NDArray[np.bool_], spread: NDArray[np.float64]
) -> Unit | None:
    """The unit in which a group's days lie among the sound ones."""
    import numpy as np

    starts = np.flatnonzero(group & ~np.r_[False, group[:-1]])
    if (group & ~nodes.scanned).any() or len(starts) > MOST_RUNS:
        return None
    theirs, ours = nodes.points[group], nodes.points[sound]
    middle = np.median(ours, axis=0)[None]
    within = np.sqrt((nodes.distances(ours, middle) ** 2).mean(axis=(0, 1)))
    within = np.maximum(within, spread / math.sqrt(2))
    crowded = _strange_counts(nodes, group, sound)
    candidates = []
    for unit in UNITS:
        if crowded and unit.shift == 0 and 1 / SMALL < abs(unit.factor) < SMALL:
            continue
        if nodes.logarithms and (unit.shift or unit.factor < 0):
            continue
        factor, shift = (1.0, math.log(unit.factor)) if nodes.logarithms else (unit.factor, unit.shift)
        sign = math.copysign(1.0, factor)
        read = np.array([[1 / factor, 1 / abs(factor), sign]]) * (theirs - np.array([[shift, 0.0, 0.0]]))
        off = float((nodes.distances(np.median(read, axis=0)[None], middle)[0, 0] / within).max())
        if off > FITS or (sign < 0 and _is_symmetric(theirs, ours, float(spread[2]))):
            continue
        candidates.append((off, unit))
    return min(candidates, key=lambda one: one[0])[1] if candidates else None


def _is_symmetric(theirs: NDArray[np.float64], ours: NDArray[np.float64], spread: float) -> bool:
    """Whether the skewness of the two groups tells no sign: it stays as it is under every shift and scale."""
    import numpy as np

    apart = abs(float(np.median(theirs[:, 2]) - np.median(ours[:, 2])))
    return apart < ASYMMETRIC * spread * math.sqrt((1 / len(theirs) + 1 / len(ours)) / 2)


def _strange_counts(nodes: _Nodes, group: NDArray[np.bool_], sound: NDArray[np.bool_]) -> bool:
    """Whether the group's days have other numbers of rows, too: then it is the world that did something."""
    import numpy as np

    scanned = sound & nodes.scanned
    steps = np.abs(np.diff(nodes.counts[scanned]))
    if len(steps) < _FEW_PAIRS:
        return False
    spread = max(float(np.sqrt((steps**2).mean())), 1e-9)
    apart = np.abs(nodes.counts[group][:, None] - nodes.counts[scanned][None]).min(axis=1)
    return bool(np.median(apart) > FITS * spread)


def _all_known(column: ColumnDays, nodes: _Nodes) -> Broken | None:
    """A fault whose beginning lies too far back to be seen: no day is sound, and most were known to be broken."""
    import numpy as np

    scanned = nodes.scanned
    if nodes.right.any() or np.mean(nodes.known[scanned]) < _MOSTLY:
        return None
    return _answer(column, nodes, scanned, ~scanned, None)


def _answer(
    column: ColumnDays, nodes: _Nodes, broken: NDArray[np.bool_], sound: NDArray[np.bool_], unit: Unit | None
) -> Broken:
    import numpy as np

    faulty = np.zeros(len(column.days), dtype=bool)
    faulty[nodes.place[broken & nodes.scanned]] = True
    how = unit.words if unit is not None else "still in the unit that was found to be another one"
    return Broken(
        cause="unit_change",
        words=f"{column.name} looks as before, but {how}.",
        faulty=faulty,
        touches=_toucher(column, faulty, [column.days[place] for place in nodes.place[sound & nodes.scanned].tolist()]),
    )


def _toucher(column: ColumnDays, faulty: NDArray[np.bool_], sound: Sequence[ColumnDay]) -> _Touches:
    """Rows that lie where the broken days' rows lie, and never those of sound days further off."""
    import numpy as np

    beside = {*(np.flatnonzero(faulty) - 1).tolist(), *(np.flatnonzero(faulty) + 1).tolist()}
    near = {id(column.days[place]) for place in beside if 0 <= place < len(column.days)}
    inner = [*(day for day in sound if id(day) not in near), *column.anchor]
    theirs = [column.days[place] for place in np.flatnonzero(faulty).tolist()]
    return _Touches(tuple(_ends(inner)), tuple(_ends(theirs)))


def _ends(days: Sequence[ColumnDay]) -> Iterator[float]:
    known = [day.known for day in days if len(day.known)]
    yield min((float(values[0]) for values in known), default=-math.inf)
    yield max((float(values[-1]) for values in known), default=math.inf)


@dataclass(frozen=True)
class _Touches:
    sound: tuple[float, ...]
    """Smallest and largest value of the sound days."""
    broken: tuple[float, ...]

    def __call__(self, day: ColumnDay) -> bool:
        x = day.known
        inside = (x >= self.broken[0]) & (x <= self.broken[1])
        outside = (x < self.sound[0]) | (x > self.sound[1])
        return int((inside & outside).sum()) >= max(3, math.ceil(len(x) / 100))
