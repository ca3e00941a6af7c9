"""What sampled rows tell of a column that counts in bins cannot: its own values, and where it drifts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_mlops.core.monitoring.drift.effect_sizes import beyond_chance, counts_of, measure
from airflow_mlops.core.monitoring.drift.sampling import WindowSamples
from airflow_mlops.core.monitoring.drift.significance import significance
from airflow_mlops.core.profiles.counting import ColumnCounter, column_problem, numbers, tally
from airflow_mlops.core.records.profile import ColumnProfile
from airflow_mlops.spec.monitoring import DriftSpec

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SEGMENTS = 20
"""Values of a slice column that are looked at: its most frequent ones."""
LEAST_ROWS = 100
"""Rows of a segment, on each side of the sample, below which nothing is said of it."""
UNLIKELY = 0.001
"""A span without a change of value is a surprise when it has a smaller chance than this."""
_ELSEWHERE = 0.25
"""The rest drifts hardly when its effect is less than this of the segment's."""


@dataclass(frozen=True)
class CauseInRows:
    """The segment that a drift is confined to."""

    name: str
    """`column=value`."""
    share: float
    """Of the window's rows."""
    effect: float


def values_of(table: pa.Table | None, column: str) -> NDArray[np.float64] | None:
    """Values of a numeric column, shape (rows,); None where there are none."""
    return None if table is None or column not in table.column_names else numbers(table.column(column).combine_chunks())


def unseen_counts(table: pa.Table | None, before: ColumnProfile) -> list[int]:
    """How often each value that is not among the reference's categories occurs, largest first."""
    if table is None or before.name not in table.column_names:
        return []
    texts, often, _ = tally(table.column(before.name).combine_chunks())
    known, counts = set(before.categories), dict[str, int]()
    for value, count in zip(texts.to_pylist(), often.tolist(), strict=True):
        if value not in known:
            counts[value] = counts.get(value, 0) + count
    return sorted(counts.values(), reverse=True)


def may_rest(samples: WindowSamples | None, column: str) -> bool:
    """Whether a column may well keep one value for as long as the window, by how often the reference changed it.

    A month keeps its value for weeks, the exchange rate of the day for a day: a window in which such a column has one
    value has lost nothing. How many changes of value there were, from one row to the next in event time, tells how
    likely none is in a span as long as the window. That is the predictive probability of no event of a Poisson process
    of which k were seen in a time T, in another time t, with Jeffreys' prior: ``(T / (T + t)) ** (k + 1/2)`` (A. Gelman
    and others, "Bayesian Data Analysis", section 2.6: negative binomial). So no function of the event time is ever
    found to be constant, whatever it is called.

    Parameters
    ----------
    samples
        Rows of both sides with their event times. Without those of the reference nobody knows, and it may.
    """
    before = None if samples is None else samples.before
    if samples is None or before is None or not {column, samples.time} <= set(before.column_names):
        return True
    changes, span = _changes(before, column, samples.time)
    length = (samples.window.end - samples.window.start).total_seconds()
    return span <= 0 or bool((span / (span + length)) ** (changes + 0.5) >= UNLIKELY)


def _changes(rows: pa.Table, column: str, time: str) -> tuple[int, float]:
    """How often the value changes from one row to the next, and over how many seconds."""
    import pyarrow.compute as pc

    known = rows.select([time, column]).filter(pc.is_valid(rows.column(column))).sort_by(time)
    if known.num_rows < 2:  # noqa: PLR2004 - one row is no span
        return 0, 0.0
    values, times = known.column(column).combine_chunks(), known.column(time)
    if hasattr(values, "dictionary_decode"):
        values = values.dictionary_decode()
    changes = pc.sum(pc.not_equal(values[1:], values[:-1])).as_py() or 0
    return int(changes), float((times[-1].as_py() - times[0].as_py()).total_seconds())


def segment_of(
    samples: WindowSamples, before: ColumnProfile, slices: Sequence[str], drift: DriftSpec
) -> CauseInRows | None:
    """Find the segment that a column's drift is confined to: in drift itself, while the rest hardly is.

    Parameters
    ----------
    samples
        Rows of both sides with the slice columns.
    before
        Frozen bins of the column.
    slices
        Columns whose values are segments; the column itself is not asked.
    drift
        The bounds; p-values are adjusted for the number of segments.

    Returns
    -------
    CauseInRows or None
        The one with the largest effect.
    """
    if samples.now is None or samples.before is None:
        return None
    candidates = [
        candidate
        for name in slices
        if name != before.name
        for candidate in _segments(samples, samples.before, samples.now, before, name)
    ]
    p_values = significance([(counts_of(c.inside[0]), counts_of(c.inside[1])) for c in candidates], drift.level)
    found = []
    for candidate, p in zip(candidates, p_values, strict=True):
        inside, rest = (_effect(side, drift) for side in (candidate.inside, candidate.rest))
        if p < drift.level and inside >= drift.min_effect and rest < min(drift.min_effect, _ELSEWHERE * inside):
            found.append(CauseInRows(candidate.name, candidate.share, inside))
    return max(found, key=lambda one: one.effect, default=None)


@dataclass(frozen=True)
class _Segment:
    name: str
    share: float
    inside: tuple[ColumnProfile, ColumnProfile]
    rest: tuple[ColumnProfile, ColumnProfile]


def _segments(
    samples: WindowSamples, before: pa.Table, now: pa.Table, column: ColumnProfile, by: str
) -> Iterator[_Segment]:
    """Counts of the column inside and outside each frequent value of a slice column."""
    if not all({by, column.name} <= set(table.column_names) for table in (before, now)):
        return
    texts, often, _ = tally(now.column(by).combine_chunks())
    ranked = sorted(zip(often.tolist(), texts.to_pylist(), strict=True), reverse=True)[:SEGMENTS]
    if by not in samples.written:
        samples.written[by] = (_written(before.column(by)), _written(now.column(by)))
    written = samples.written[by]
    for count, value in ranked:
        parts = [_split(table, column, texts_of, value) for table, texts_of in zip((before, now), written, strict=True)]
        if any(part is None or min(_rows(part[0]), _rows(part[1])) < LEAST_ROWS for part in parts):
            continue
        (in_before, out_before), (in_now, out_now) = (part for part in parts if part is not None)
        yield _Segment(f"{by}={value}", count / now.num_rows, (in_before, in_now), (out_before, out_now))


def _split(
    table: pa.Table, column: ColumnProfile, values: pa.Array, value: str
) -> tuple[ColumnProfile, ColumnProfile] | None:
    import pyarrow.compute as pc

    inside = pc.fill_null(pc.equal(values, value), False)
    parts = [_counted(table.column(column.name).filter(mask), column) for mask in (inside, pc.invert(inside))]
    first, second = parts
    return None if first is None or second is None else (first, second)


def _counted(array: pa.ChunkedArray, column: ColumnProfile) -> ColumnProfile | None:
    plain = array.combine_chunks()
    if column_problem(column, plain) is not None:
        return None
    counter = ColumnCounter(column)
    counter.add(plain)
    return counter.result()


def _written(array: pa.ChunkedArray) -> pa.Array:
    """The values as text, in the way that they are counted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = array.combine_chunks()
    if pa.types.is_dictionary(plain.type):
        plain = plain.dictionary_decode()
    codes = plain.dictionary_encode()
    texts = [tally(pa.array([value], codes.dictionary.type))[0].to_pylist() for value in codes.dictionary.to_pylist()]
    return pc.take(pa.array([text[0] if text else None for text in texts], pa.string()), codes.indices)


def _effect(sides: tuple[ColumnProfile, ColumnProfile], drift: DriftSpec) -> float:
    return beyond_chance(drift.effect, measure(*sides), *sides)


def _rows(column: ColumnProfile) -> int:
    return sum(counts_of(column))
