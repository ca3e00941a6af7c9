"""Days on which a column's values are gone, stand still, or go by other names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_mlops.core.faults.column import LEAST_DAYS, UNLIKELY, Broken, ColumnDay, ColumnDays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOSTLY_MISSING = 0.5
"""Share of missing values from which on a day's column is gone ..."""
NEARLY_NONE = 0.1
"""... where no sound day lacks more than this."""
COMMON = 0.01
"""Share that a category must have on sound days to be missed."""
COMMON_ON_A_DAY = 0.5
"""Share that a value has on some sound day, which may then be that of all rows of another."""
ALIKE = 0.25
"""Shares that differ by less than this of the larger are about the same."""


def missing_faults(column: ColumnDays) -> Broken | None:
    """Find the days on which most values are missing, of a column that nearly always has one.

    A column whose values begin at some day was introduced then: what lies before its first sound day is no fault,
    unless the champion was trained on days that have it.
    """
    import numpy as np

    gone = np.array([day.judged and day.missing >= MOSTLY_MISSING for day in column.days], dtype=bool)
    usual = [*column.anchor, *_unlike(column, gone)]
    beside = _beside(gone)
    others = [column.days[place] for place in np.flatnonzero(~gone & ~beside).tolist()]
    most = max((day.missing for day in (*column.anchor, *others)), default=1.0)  # no sound day: nothing to be unlike
    if not gone.any() or len(usual) < LEAST_DAYS or most > NEARLY_NONE:
        return None
    share = np.mean([column.days[place].missing for place in np.flatnonzero(gone).tolist()])
    words = f"{share:.0%} of {column.name} is missing, where at most {most:.1%} was."
    return _unless_new(column, Broken("missing_spike", words, gone, lambda day: day.missing > most + COMMON))


def constant_faults(column: ColumnDays) -> Broken | None:
    """Find the days on which a column has one value, where no sound day has and chance would not give one.

    The chance that n rows all have the most frequent value, of share p, is ``p ** n``. A column that keeps its value
    for days (a function of the date, the price list of the week) has sound days with one value, and is never found.
    Rows of a day hang together (all flights of an hour have one weather), so that the chance alone says too little: a
    value that half of the rows of some sound day had may be that of all rows of another, and a day with far fewer
    values than usual may have one by the same hour.
    """
    import numpy as np

    sole = np.array([day.judged and day.is_constant for day in column.days], dtype=bool)
    usual = [*column.anchor, *_unlike(column, sole)]
    if not sole.any() or len(usual) < LEAST_DAYS or any(day.is_constant for day in usual if day.there > 1):
        return None
    pooled = sum((day.counts for day in usual), Counter[str]())
    share = pooled.most_common(1)[0][1] / pooled.total() if pooled else 1.0
    many = float(np.median([day.there for day in usual])) / 2
    alone = zip(sole, column.days, strict=True)
    still = np.array([one and day.there >= many and share**day.there < UNLIKELY for one, day in alone])
    if not still.any():
        return None
    values = {next(iter(column.days[place].counts)) for place in np.flatnonzero(still).tolist()}
    most = max(sum(day.counts[value] for value in values) / max(1, day.there) for day in usual)
    if most >= COMMON_ON_A_DAY:
        return None

    def touches(day: ColumnDay) -> bool:
        return sum(day.counts[value] for value in values) > (most + COMMON) * day.there

    words = f"{column.name} has one value only, where it had several on every other day."
    return _unless_new(column, Broken("constant", words, still, touches))


def renamed_faults(column: ColumnDays) -> Broken | None:
    """Find the days on which categories are gone entirely, and values never seen have their shares.

    A new category beside the old ones is none of it, however fast it grows, nor is one that dies out.
    """
    import numpy as np

    base = _usual_names(column)
    if len(base) < LEAST_DAYS:
        return None
    pooled = sum((day.counts for day in base), Counter[str]())
    shares = {name: count / pooled.total() for name, count in pooled.items() if count >= COMMON * pooled.total()}
    found = np.array([_is_renamed(day, shares, pooled) for day in column.days], dtype=bool)
    if not found.any() or not shares:
        return None
    places = np.flatnonzero(found).tolist()
    new = {name for place in places for name in column.days[place].counts if name not in pooled}
    lost = max(sum(share for name, share in shares.items() if not column.days[p].counts[name]) for p in places)
    words = f"Values of {column.name} with {lost:.0%} of the rows are gone, and values never seen have as many."
    return Broken("category_renamed", words, found, lambda day: any(day.counts[name] for name in new))


def _is_renamed(day: ColumnDay, shares: dict[str, float], seen: Counter[str]) -> bool:
    if not day.judged or not day.there:
        return False
    gone = [name for name, share in shares.items() if not day.counts[name] and (1 - share) ** day.there < UNLIKELY]
    lost = sum(shares[name] for name in shares if not day.counts[name])
    came = sorted((count for name, count in day.counts.items() if name not in seen), reverse=True)
    share = sum(came) / day.there
    if not gone or not came or abs(lost - share) > ALIKE * max(lost, share):
        return False
    return sum(came[: len(shares)]) >= (1 - ALIKE) * sum(came)  # many new values are no old ones under new names


def _usual_names(column: ColumnDays) -> list[ColumnDay]:
    """Days with the usual names: those released, or of the champion, or else those that most days are like."""
    import numpy as np

    judged = [(place, day) for place, day in enumerate(column.days) if day.judged and day.there]
    right = [day for place, day in judged if column.right[place]]
    if right:
        return right if len(right) >= LEAST_DAYS else right * LEAST_DAYS
    if len(column.anchor) >= LEAST_DAYS:
        return list(column.anchor)
    pooled = sum((day.counts for _, day in judged), Counter[str]())
    names = [name for name, count in pooled.most_common(100) if count >= COMMON * pooled.total()]
    lacks: Counter[tuple[str, ...]] = Counter()
    signature: dict[int, tuple[str, ...]] = {}
    for place, day in judged:
        often = {name: pooled[name] / pooled.total() for name in names if not day.counts[name]}
        signature[place] = tuple(sorted(name for name, share in often.items() if (1 - share) ** day.there < UNLIKELY))
        lacks[signature[place]] += 1
    usual = max(lacks, key=lambda names: lacks[names], default=())
    known = {place for place in np.flatnonzero(column.known).tolist() if place in signature}
    return [day for place, day in judged if signature[place] == usual and place not in known]


def _unlike(column: ColumnDays, faulty: NDArray[np.bool_]) -> list[ColumnDay]:
    return [day for day, bad in zip(column.days, faulty, strict=True) if not bad and day.judged]


def _beside(faulty: NDArray[np.bool_]) -> NDArray[np.bool_]:
    beside = faulty.copy()
    beside[1:] |= faulty[:-1]
    beside[:-1] |= faulty[1:]
    return beside


def _unless_new(column: ColumnDays, found: Broken) -> Broken | None:
    """Leave out the days before the first sound one, where nothing says that the column was sound before them."""
    import numpy as np

    if column.anchor or column.known.any():
        return found
    faulty = found.faulty.copy()
    sound = [place for place, day in enumerate(column.days) if day.judged and not faulty[place]]
    faulty[: sound[0]] = False
    return Broken(found.cause, found.words, faulty, found.touches) if np.any(faulty) else None


CHECKS: Sequence[Callable[[ColumnDays], Broken | None]] = (missing_faults, constant_faults)
"""Of a column of either role."""
