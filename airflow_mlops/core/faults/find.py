"""Which days of a stream are broken, column by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_mlops.core.faults.column import Broken, ColumnDay, ColumnDays, Role, column_day
from airflow_mlops.core.faults.days import DayRows, batch_length, in_batches
from airflow_mlops.core.faults.unit_faults import unit_faults
from airflow_mlops.core.faults.value_faults import CHECKS, renamed_faults
from airflow_mlops.core.records.fault import FaultySpan, ReleasedSpan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def find_faults(
    days: Sequence[DayRows],
    roles: Mapping[str, Role],
    *,
    anchor: Sequence[DayRows] = (),
    known: Sequence[FaultySpan] = (),
    released: Sequence[ReleasedSpan] = (),
) -> tuple[FaultySpan, ...]:
    """Compare days with days, and return the spans in which a column is unmistakably broken.

    Four faults are looked for: another unit, a column that is gone, one that stands still, and categories under other
    names. Where days have too few rows, several are taken together. What is not unmistakable is none: drift, growth, a
    season, a special day and a new category are the world's.

    Parameters
    ----------
    days
        A sample of each day's rows, in order of time.
    roles
        The columns that are looked at, and what they are.
    anchor
        Days that are sound for certain, such as those that the champion was trained on.
    known
        What was found in earlier looks: a fault whose beginning is not among `days` goes on.
    released
        What a person said is right. Within a span with an end nothing is found; one without an end is a change that is
        to stay, and what differs from it *before* it is found.

    Returns
    -------
    tuple of FaultySpan
        In order of time; a day before or after the broken ones is in the span when some of its rows are broken, too.
    """
    length = batch_length(days)
    batches = in_batches(days, length)
    lasting = [span.start for span in released if span.end is None]
    base = in_batches([day for day in anchor if not lasting or day.start >= max(lasting)], length)
    found: list[FaultySpan] = []
    for name, role in roles.items():
        column = _column(name, role, batches, base, known, released)
        if column is None:
            continue
        checks = [*CHECKS, unit_faults if role == "numeric" else renamed_faults]
        faults = (broken for check in checks if (broken := check(column)) is not None)
        found += [span for broken in faults for span in _spans(column, broken, released)]
    return tuple(sorted(found, key=lambda span: (span.start, span.column, span.cause)))


def _column(  # noqa: PLR0917 - which column, and what `find_faults` was given
    name: str,
    role: Role,
    days: Sequence[DayRows],
    anchor: Sequence[DayRows],
    known: Sequence[FaultySpan],
    released: Sequence[ReleasedSpan],
) -> ColumnDays | None:
    import numpy as np

    mine = [column_day(day, name, role) for day in days]
    there = [day for day in mine if day is not None]
    if not there or len(there) < len(mine):
        return None
    before = [found for day in anchor if (found := column_day(day, name, role)) is not None and found.judged]
    theirs = [span for span in known if span.column == name]
    lasting = [span for span in released if span.end is None]
    return ColumnDays(
        name=name,
        role=role,
        days=tuple(there),
        anchor=tuple(before),
        known=np.array([any(s.start < d.end and d.start < s.end for s in theirs) for d in days], dtype=bool),
        right=np.array([any(span.covers(d.start, d.end) for span in lasting) for d in days], dtype=bool),
    )


def _spans(column: ColumnDays, broken: Broken, released: Sequence[ReleasedSpan]) -> Iterator[FaultySpan]:
    """Runs of broken days, with those beside them that are touched or too small to be judged."""
    faulty = _with_touched(column.days, broken)
    for place, day in enumerate(column.days):
        faulty[place] &= not any(span.covers(day.day.start, day.day.end) for span in released)
    begins = min((span.start for span in released if span.end is None), default=None)
    run: list[ColumnDay] = []
    for place, day in enumerate(column.days):
        if faulty[place]:
            run.append(day)
        if run and (not faulty[place] or place == len(column.days) - 1):
            start, end = run[0].day.start, run[-1].day.end
            before = begins is not None and end <= begins
            yield FaultySpan(
                start=start,
                end=end,
                column=column.name,
                cause=broken.cause,
                words=broken.words if not before else f"{broken.words} It was so before what was released.",
                rows=sum(one.day.count for one in run),
                before_release=before,
            )
            run = []


def _with_touched(days: Sequence[ColumnDay], broken: Broken) -> NDArray[np.bool_]:
    faulty = broken.faulty.copy()
    for place in broken.faulty.nonzero()[0].tolist():
        for step in (-1, 1):
            beside = place + step
            while 0 <= beside < len(days) and not faulty[beside]:
                if days[beside].judged and not broken.touches(days[beside]):
                    break
                faulty[beside] = True
                if days[beside].judged:
                    break
                beside += step
    return faulty
