"""One column through the days: what each check is asked with, and what it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from airflow_mlops.core.faults.days import LEAST, DayRows
from airflow_mlops.core.profiles.counting import numbers, tally
from airflow_mlops.core.records.fault import FaultCause
from airflow_mlops.core.rows.types import kind_of_type

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Role = Literal["numeric", "categorical"]
LEAST_DAYS = 7
"""Sound days (or batches of days) that a verdict rests on at least: a week."""
UNLIKELY = 1e-6
"""Chance below which a difference is no chance: some ten columns are looked at in a hundred ways, every day."""


@dataclass(frozen=True, eq=False)
class ColumnDay:
    """One column in the sample of one day."""

    day: DayRows
    name: str
    role: Role

    @cached_property
    def known(self) -> NDArray[np.float64]:
        """Finite values of a numeric column, ascending, shape (known,)."""
        import numpy as np

        values = numbers(self.day.rows.column(self.name))
        return np.sort(values[np.isfinite(values)])

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value occurs, as text."""
        import numpy as np

        found: Counter[str] = Counter()
        if self.role == "numeric":
            values, often = np.unique(self.known, return_counts=True)
            found.update({repr(value): int(count) for value, count in zip(values.tolist(), often, strict=True)})
            return found
        texts, counts, _ = tally(self.day.rows.column(self.name))
        for text, count in zip(texts.to_pylist(), counts.tolist(), strict=True):
            found[text] += count
        return Counter({text: count for text, count in found.items() if count})

    @property
    def rows(self) -> int:
        """Rows of the sample."""
        return int(self.day.rows.num_rows)

    @cached_property
    def there(self) -> int:
        """Rows with a value."""
        return len(self.known) if self.role == "numeric" else sum(self.counts.values())

    @property
    def is_constant(self) -> bool:
        """Whether it has one value only."""
        if self.role == "numeric":
            return self.there > 0 and bool(self.known[0] == self.known[-1])
        return len(self.counts) == 1

    @property
    def missing(self) -> float:
        """Share of the rows without a value."""
        return 1 - self.there / max(1, self.rows)

    @property
    def judged(self) -> bool:
        """Whether the day has the rows that a verdict needs."""
        return self.rows >= LEAST


@dataclass(frozen=True, eq=False)
class ColumnDays:
    """One column through the days, and what is known of them beforehand."""

    name: str
    role: Role
    days: tuple[ColumnDay, ...]
    """In order of time; the last one is the newest."""
    anchor: tuple[ColumnDay, ...]
    """Days that are sound for certain: the champion was trained on them. Of a time before, or of none in particular."""
    known: NDArray[np.bool_]
    """Days that were found broken before, by what was known then, shape (days,)."""
    right: NDArray[np.bool_]
    """Days of which a person said that they are right, and that what differs before them is not, shape (days,)."""


@dataclass(frozen=True, eq=False)
class Broken:
    """The days on which a column is broken."""

    cause: FaultCause
    words: str
    faulty: NDArray[np.bool_]
    """Shape (days,)."""
    touches: Callable[[ColumnDay], bool]
    """Whether some rows of a day beside them are broken, too: faults do not keep to midnight."""


def column_day(day: DayRows, name: str, role: Role) -> ColumnDay | None:
    """Return a column of a day; None where it is not there, or of a type that its role cannot have."""
    if name not in day.rows.column_names:
        return None
    kind = kind_of_type(day.rows.schema.field(name).type)
    if role == "numeric" and kind not in {"number", "boolean", "empty"}:
        return None
    return ColumnDay(day, name, role) if kind != "other" else None
