"""A bounded sample of the rows of each day: what days are compared by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

ROWS = 500
"""Rows of a day that are kept at most: the centre of so many is known to a twentieth of their spread."""
LEAST = 50
"""Rows that a batch of days must have to be judged. Of fewer, half a year gives a month without a rare value."""
DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, eq=False)
class DayRows:
    """A whole day (UTC), or several where a day has too few rows."""

    start: datetime
    end: datetime
    count: int
    """All rows of the span."""
    rows: pa.Table
    """A uniform sample of them."""


@dataclass
class DaySampler:
    """Keeps a uniform sample of each day's rows, in one pass over batches in any order, in bounded memory.

    Each row gets a random number, and of each day those with the smallest are kept (bottom-k sampling; E. Cohen and
    H. Kaplan, "Summarizing Data Using Bottom-k Sketches", 2007), so that the same rows give the same sample however
    they are cut into batches.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from datetime import UTC, datetime
    >>> times = pa.array([datetime(2024, 1, 1 + i // 1000, tzinfo=UTC) for i in range(2000)], pa.timestamp("us", "UTC"))
    >>> sampler = DaySampler(time="t", columns=("x",), seed=0)
    >>> sampler.add(pa.record_batch({"t": times, "x": list(range(2000))}))
    >>> [(day.start.day, day.count, day.rows.num_rows) for day in sampler.days()]
    [(1, 1000, 500), (2, 1000, 500)]
    """

    time: str
    columns: Sequence[str]
    seed: int
    _held: dict[int, list[pa.Table]] = field(default_factory=dict, init=False)
    _drawn: dict[int, NDArray[np.float64]] = field(default_factory=dict, init=False)
    _counts: dict[int, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        import numpy as np

        self._rng = np.random.default_rng(self.seed)

    def passing(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Sample what passes by."""
        for batch in batches:
            self.add(batch)
            yield batch

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch with the event time and, where it has them, the columns."""
        import numpy as np
        import pyarrow as pa

        times = batch.column(self.time).cast(pa.timestamp("us", "UTC"))
        days = times.cast(pa.int64()).to_numpy(zero_copy_only=False) // (86400 * 10**6)
        drawn = self._rng.random(batch.num_rows)
        there = [name for name in self.columns if name in batch.schema.names]
        for day in np.unique(days).tolist():
            mine = np.flatnonzero(days == day)
            self._counts[day] = self._counts.get(day, 0) + len(mine)
            known = self._drawn.get(day, np.empty(0))
            if len(known) >= ROWS:
                mine = mine[drawn[mine] < np.partition(known, ROWS - 1)[ROWS - 1]]
            elif len(mine) > ROWS:
                mine = mine[np.argpartition(drawn[mine], ROWS - 1)[:ROWS]]
            if len(mine):
                mine = np.sort(mine)
                self._keep(day, pa.Table.from_batches([batch.select(there)]).take(pa.array(mine)), drawn[mine])

    def _keep(self, day: int, rows: pa.Table, drawn: NDArray[np.float64]) -> None:
        import numpy as np
        import pyarrow as pa

        held = [*self._held.get(day, []), rows]
        numbers = np.concatenate([self._drawn.get(day, np.empty(0)), drawn])
        if len(numbers) > 2 * ROWS:
            kept = np.sort(np.argpartition(numbers, ROWS - 1)[:ROWS])
            held, numbers = [pa.concat_tables(held).take(pa.array(kept))], numbers[kept]
        self._held[day], self._drawn[day] = held, numbers

    def days(self) -> tuple[DayRows, ...]:
        """Return the days that have rows, in order."""
        import numpy as np
        import pyarrow as pa

        found = []
        for day in sorted(self._held):
            rows, numbers = pa.concat_tables(self._held[day]), self._drawn[day]
            if len(numbers) > ROWS:
                rows = rows.take(pa.array(np.sort(np.argpartition(numbers, ROWS - 1)[:ROWS])))
            start = _EPOCH + day * DAY
            found.append(DayRows(start=start, end=start + DAY, count=self._counts[day], rows=rows))
        return tuple(found)


def sample_days(
    batches: Iterable[pa.RecordBatch], time: str, columns: Sequence[str], *, seed: int
) -> tuple[DayRows, ...]:
    """Return a sample of each day's rows of a stream of batches; see :class:`DaySampler`."""
    sampler = DaySampler(time=time, columns=columns, seed=seed)
    for batch in batches:
        sampler.add(batch)
    return sampler.days()


def in_batches(days: Sequence[DayRows], length: int) -> tuple[DayRows, ...]:
    """Put `length` days each together, counted from 1970, so that the same days always are one batch."""
    import pyarrow as pa

    grouped: dict[int, list[DayRows]] = {}
    for day in days:
        grouped.setdefault((day.start - _EPOCH) // DAY // length, []).append(day)
    return tuple(
        DayRows(
            start=part[0].start,
            end=part[-1].end,
            count=sum(day.count for day in part),
            rows=pa.concat_tables([day.rows for day in part]),
        )
        for part in grouped.values()
    )


def batch_length(days: Sequence[DayRows]) -> int:
    """Return how many days have the rows that a verdict needs, by the stream's rate: half of its days have as many.

    >>> import pyarrow as pa
    >>> one = DayRows(start=_EPOCH, end=_EPOCH + DAY, count=24, rows=pa.table({}))
    >>> batch_length([one] * 9)
    3
    """
    counts = sorted(day.count for day in days)
    usual = counts[len(counts) // 2] if counts else LEAST
    return max(1, -(-LEAST // max(1, usual)))
