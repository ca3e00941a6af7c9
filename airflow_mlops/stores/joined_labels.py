"""Rows of one source, and their labels from another: joined as they were known at an instant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.core.rows.types import kind_of_type
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

_TICK = timedelta(microseconds=1)
_LAST = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class LabelSource:
    """Where labels are, and which of their columns mean what."""

    store: DataStore
    label: str
    key: tuple[str, ...]
    """Columns of the labels that hold the rows' key, in its order."""
    time: str
    """When a label became known."""


class JoinedLabels:
    """A store of rows whose label column comes from another store.

    The label of a row is the newest that became known by the instant that is asked about; a row whose label was not
    known then has none. Only labels that became known since the window began are read: an outcome is not known before
    its event. They are held in memory, key and label, while a window is read.

    Parameters
    ----------
    rows
        The rows; a column of the label's name in it is not read.
    labels
        Their labels.
    key
        The rows' key.
    known_by
        The instant; None: now, all labels that there are.
    """

    def __init__(
        self, rows: DataStore, labels: LabelSource, key: Sequence[str], *, known_by: datetime | None = None
    ) -> None:
        self.rows, self.labels, self.key, self.known_by = rows, labels, tuple(key), known_by
        self._met: tuple[Problem, ...] = ()

    def known_at(self, instant: datetime) -> JoinedLabels:
        """The same rows, with the labels that were known at an instant."""
        return JoinedLabels(self.rows, self.labels, self.key, known_by=instant)

    @property
    def description(self) -> str:
        """Both sources in words."""
        return f"{self.rows.description}, labels of {self.labels.store.description}"

    def schema(self, window: Window | None = None, time: str = "") -> tuple[Column, ...]:
        """Columns of the rows, and the label as its own source has it."""
        theirs = self._label_columns()
        own = tuple(column for column in self.rows.schema(window, time) if column.name != self.labels.label)
        return (*own, Column(name=self.labels.label, type=theirs[self.labels.label]))

    def query(self, window: Window, time: str, columns: Sequence[str]) -> str:
        """Both filters, for the manifest."""
        rows = self.rows.query(window, time, self._own(columns))
        if self.labels.label not in columns:
            return rows
        labels = self.labels
        asked = (*labels.key, labels.time, labels.label)
        return f"{rows}; labels: {labels.store.query(self._label_window(window), labels.time, asked)}"

    def read(
        self, window: Window, time: str, columns: Sequence[str], *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Rows as the first store has them, the label beside them where it is asked for."""
        label = self.labels.label
        if label not in columns:
            yield from self.rows.read(window, time, columns, chunk_rows=chunk_rows)
            return
        known = self._known(window)
        asked = list(dict.fromkeys([*self._own(columns), *self.key]))
        for batch in self.rows.read(window, time, asked, chunk_rows=chunk_rows):
            found = known.of(batch, self.key)
            yield batch.select(self._own(columns)).append_column(label, found).select(list(columns))
        theirs = tuple(replace(issue, where=self.labels.store.description) for issue in self.labels.store.issues())
        self._met = (*self._not_read(window, time), *theirs)

    def issues(self) -> Sequence[Problem]:
        """What was met in the last read of the rows, and of their labels."""
        return (*self.rows.issues(), *self._met)

    def _not_read(self, window: Window, time: str) -> Iterator[Problem]:
        if self.labels.label in {column.name for column in self.rows.schema(window, time)}:
            yield Problem(
                code=ReasonCode.COLUMN_EXTRA,
                field=f"column {self.labels.label}",
                found=f"it is in the rows, too: {self.rows.description}",
                allowed="a label that comes from one source",
                fix="that of data.labels counts; take data.labels out if it is the rows' own that is meant",
            )

    def absent(self) -> Collection[str]:
        """Columns that a part of the rows does not have."""
        return self.rows.absent()

    def has_rows(self, window: Window, time: str) -> bool:
        """Whether the window holds any row."""
        return self.rows.has_rows(window, time)

    def profile(self, reference: Profile, window: Window, time: str) -> Profile:
        """Count a window in the bins of a reference; where the label is among them, the rows are read for it."""
        from airflow_mlops.core.profiles.build import profile_batches

        names = [column.name for column in reference.columns]
        if self.labels.label not in names:
            return self.rows.profile(reference, window, time)
        return profile_batches(reference, self.read(window, time, names), window, schema=self.schema())

    def bounds(self, time: str) -> tuple[datetime, datetime] | None:
        """Earliest and latest event time of the rows."""
        return self.rows.bounds(time)

    def undated(self, time: str, window: Window | None = None) -> int | None:
        """Rows without an event time."""
        return self.rows.undated(time, window)

    def _own(self, columns: Sequence[str]) -> list[str]:
        return [name for name in columns if name != self.labels.label]

    def _label_columns(self) -> dict[str, str]:
        labels = self.labels
        found = {column.name: column.type for column in labels.store.schema()}
        wanted = dict.fromkeys(labels.key, "data.labels.key")
        wanted |= {labels.time: "data.labels.time", labels.label: "data.label"}
        problems = missing_columns(wanted, found, where=labels.store.description)
        problems += self._unlike_keys(found) if not problems else []
        if problems:
            raise DataError(problems, subject=labels.store.description)
        return found

    def _unlike_keys(self, found: dict[str, str]) -> list[Problem]:
        """Keys of different kinds equal nothing, and every row would be without a label."""
        own = {column.name: column.type for column in self.rows.schema()}
        pairs = [
            (one, own.get(one, ""), other, found[other]) for one, other in zip(self.key, self.labels.key, strict=True)
        ]
        return [
            Problem(
                code=ReasonCode.COLUMN_RETYPED,
                field="data.labels.key",
                found=f"{other!r} of type {theirs}, where the rows' {one!r} is {mine}",
                allowed="keys of one kind in both sources",
                fix="cast one of them at its source",
            )
            for one, mine, other, theirs in pairs
            if mine and kind_of_type(mine) != kind_of_type(theirs)
        ]

    def _label_window(self, window: Window) -> Window:
        end = _LAST if self.known_by is None else self.known_by + _TICK
        return Window(start=min(window.start, end - _TICK), end=end)

    def _known(self, window: Window) -> _KnownLabels:
        import pyarrow as pa

        self._label_columns()
        labels = self.labels
        asked = list(dict.fromkeys((*labels.key, labels.time, labels.label)))
        batches = list(labels.store.read(self._label_window(window), labels.time, asked))
        return _KnownLabels(labels, pa.Table.from_batches(batches) if batches else None)


class _KnownLabels:
    """The newest label of each key."""

    def __init__(self, labels: LabelSource, table: pa.Table | None) -> None:
        import pyarrow.compute as pc

        self.labels = labels
        self.values: pa.Array | None = None
        self.places: dict[tuple[Any, ...], int] = {}
        self.contradicted: set[tuple[Any, ...]] = set()
        """Keys with several labels of the newest time, which are not the same."""
        if table is None:
            return
        ordered = table.take(pc.sort_indices(table, sort_keys=[(labels.time, "ascending")]))
        self.values = _plain(ordered[labels.label].combine_chunks())
        columns = [_plain(ordered[name].combine_chunks()).to_pylist() for name in labels.key]
        times, values = ordered[labels.time].to_pylist(), self.values.to_pylist()
        for place, key in enumerate(zip(*columns, strict=True)):
            before = self.places.get(key)
            if before is not None and times[before] == times[place] and values[before] != values[place]:
                self.contradicted.add(key)
            elif before is not None and times[before] < times[place]:
                self.contradicted.discard(key)
            self.places[key] = place  # later ones take the place of earlier ones

    def of(self, batch: pa.RecordBatch, key: Sequence[str]) -> pa.Array:
        """Labels of a batch, null where none is known; shape (rows,)."""
        import pyarrow as pa

        if self.values is None:
            return pa.nulls(batch.num_rows)
        columns = [_plain(batch.column(name)).to_pylist() for name in key]
        keys = list(zip(*columns, strict=True))
        if self.contradicted and (wrong := self.contradicted.intersection(keys)):
            raise self._contradiction(len(wrong))
        places = [self.places.get(each) for each in keys]
        return self.values.take(pa.array(places, pa.int64()))

    def _contradiction(self, rows: int) -> DataError:
        where = self.labels.store.description
        return DataError(
            Problem(
                code=ReasonCode.LABELS_DIRTY,
                field="data.labels.time",
                found=f"{rows} or more rows with several labels that became known at the same '{self.labels.time}'",
                allowed="of one time, one label for each row: the newest counts",
                fix="write when each became known, or leave out those that were corrected",
            ),
            subject=where,
        )


def _plain(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
