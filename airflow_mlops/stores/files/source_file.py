"""One file of a source with what its folders say: its columns are those of the file and of its partition."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import Problem
from airflow_mlops.spec.suggest import composed
from airflow_mlops.stores.event_times import TimeReader
from airflow_mlops.stores.files.folder_names import NamedDates
from airflow_mlops.stores.files.part import FilePart, TimeSpan, duplicated

if TYPE_CHECKING:
    import pyarrow as pa

_SPAN_ROWS = 1 << 18


class SourceFile:
    """A file and its partition.

    Parameters
    ----------
    part
        The file itself.
    partition
        Values of the columns that its folders are; of a column that the file has, too, the file's own count.
    partition_types
        One type for each of them, the same in all files.
    named
        The days that it is named after.
    known_ends
        First and last event time, where a table's log has them.
    """

    def __init__(
        self,
        part: FilePart,
        partition: Mapping[str, Any],
        partition_types: Mapping[str, pa.DataType],
        *,
        named: NamedDates | None = None,
        known_ends: Mapping[str, pa.Array] | None = None,
    ) -> None:
        self.part, self.path = part, part.path
        self.named = named
        self.keep: Collection[str] = ()
        """Columns that are data although they look like leftovers."""
        self._written: dict[str, str] | None = None
        self._partition, self._partition_types = partition, partition_types
        self._known_ends = known_ends or {}
        self._spans: dict[str, TimeSpan] = {}
        self._names: list[str] | None = None

    @property
    def names(self) -> Sequence[str]:
        """Columns of the file, without leftovers, then of its folders."""
        if self._names is None:
            leftovers = self.leftovers()
            own = (name for name in self._own if name not in leftovers)
            self._names = list(dict.fromkeys([*own, *self._partition]))
        return self._names

    def leftovers(self) -> Mapping[str, str]:
        """Columns that are left out, and what they are."""
        found = {composed(name): what for name, what in self.part.leftovers().items()}
        return {name: what for name, what in found.items() if name not in self.keep}

    @property
    def _own(self) -> Mapping[str, str]:
        """The file's own columns: their names with letters composed, and as the file writes them.

        An `é` is one character or two, by the system that wrote the file; people see and type the same.

        Raises
        ------
        DataError
            COLUMN_DUPLICATED, if two of its columns differ in nothing else.
        """
        if self._written is None:
            names = [composed(name) for name in self.part.names]
            if len(set(names)) < len(names):
                raise duplicated(self.path, names)
            self._written = dict(zip(names, self.part.names, strict=True))
        return self._written

    def types(self, names: Sequence[str]) -> Mapping[str, pa.DataType]:
        """Types of some of its columns."""
        own = self._own
        found = self.part.types([own[name] for name in names if name in own])
        return {name: found[own[name]] if name in own else self._partition_types[name] for name in names}

    def is_all_missing(self, name: str) -> bool:
        """Whether a column is known to hold no value."""
        own = self._own
        return self.part.is_all_missing(own[name]) if name in own else self._partition[name] is None

    def doubts(self, names: Sequence[str]) -> Iterator[Problem]:
        """What is odd about columns that were read."""
        return self.part.doubts([self._own.get(name, name) for name in names])

    def batches(
        self, window: Window | None, time: str, columns: Sequence[str], chunk_rows: int, *, encode: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Rows of columns that it has; some may lie outside of the window."""
        import pyarrow as pa

        own = self._own
        mine = [own[name] for name in columns if name in own] or list(self.part.names[:1])
        encoded, span = [own[name] for name in encode if name in own], window if time in own else None
        for batch in self.part.batches(span, own.get(time, time), mine, chunk_rows, encode=encoded):
            rows = batch.num_rows
            values = [batch.column(own[name]) if name in own else self._constant(name, rows) for name in columns]
            yield pa.RecordBatch.from_arrays(values, names=list(columns))

    def undated(self, time: str) -> int | None:
        """Rows without an event time; None when that is not cheap to know."""
        if time in self._own:
            return self.part.undated(self._own[time])
        return 0 if self._partition.get(time) is not None else None

    def span(self, time: str, reader: TimeReader) -> TimeSpan:
        """First and last event time: by statistics or the folder's name, else by a read of that column."""
        if time not in self._spans:
            self._spans[time] = self._span(time, reader)
        return self._spans[time]

    def _span(self, time: str, reader: TimeReader) -> TimeSpan:
        known = self._known_ends.get(time)
        if known is not None:
            return _span_of([reader.convert(known)])
        if time not in self._own:
            return _span_of([reader.convert(self._constant(time, 1))])
        written = self._own[time]
        ends = self.part.ends(written)
        if ends is not None:
            return _span_of([reader.convert(ends)])
        batches = self.part.batches(None, written, [written], _SPAN_ROWS)
        return _span_of(reader.convert(batch.column(0)) for batch in batches)

    def _constant(self, name: str, rows: int) -> pa.Array:
        import pyarrow as pa

        value = self._partition[name]
        type_ = self._partition_types[name]
        return pa.repeat(pa.scalar(value, type_) if not isinstance(value, str) else _read(value, type_), rows)


def _read(value: str, type_: pa.DataType) -> pa.Scalar:
    import pyarrow as pa

    return pa.array([value]).cast(type_)[0]


def _span_of(times: Any) -> TimeSpan:
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[int] = []
    for array in times:
        ends = pc.min_max(array.cast(pa.int64())).as_py()
        found += [end for end in ends.values() if end is not None]
    return TimeSpan(first=min(found, default=None), last=max(found, default=None))
