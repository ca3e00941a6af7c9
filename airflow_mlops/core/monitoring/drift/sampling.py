"""A bounded, seeded sample of rows on each side of a comparison: for what counts in bins cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.sampling import sample
from airflow_mlops.core.snapshot import open_snapshot_of, raise_altered, snapshot_batches
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 20_000
"""Rows of each side at most."""


class WindowSamples:
    """Rows of the window and of what it is compared with, read when they are first asked for, and once.

    Parameters
    ----------
    window
        Event times of the current rows.
    reference
        Event times of an earlier window; None: the champion's training rows, from its snapshot.
    columns
        Wanted ones, beside the event time; those that a side lacks are left out of it.
    """

    def __init__(  # noqa: PLR0917 - where rows are, and which
        self,
        spec: ModelSpec,
        champion: Champion,
        store: DataStore,
        storage: Storage | None,
        window: Window,
        reference: Window | None,
        columns: Sequence[str],
    ) -> None:
        self._spec, self._champion, self._store, self._storage = spec, champion, store, storage
        self._reference = reference
        self._columns = tuple(dict.fromkeys((*columns, spec.data.time)))
        self.written: dict[str, tuple[pa.Array, pa.Array]] = {}
        """Values of slice columns as text on both sides, kept from one column's search to the next."""
        self.time = spec.data.time
        self.window = window
        self.trouble = ""
        """Why the reference's rows are not to be had, once `before` was asked for and is None."""

    @cached_property
    def now(self) -> pa.Table | None:
        """Rows of the window; None when it has none."""
        return self._of_store(self.window)

    @cached_property
    def before(self) -> pa.Table | None:
        """Rows of the reference; None when it has none, or its snapshot is gone."""
        if self._reference is not None:
            found = self._of_store(self._reference)
            self.trouble = "" if found is not None else f"no rows in {self._reference}"
            return found
        if self._storage is None:
            self.trouble = "no storage was given that holds the champion's snapshot"
            return None
        try:
            found = sample(self._training_rows(self._storage), ROWS, self._spec.training.seed)
        except (DataError, RecordError) as error:
            raise_altered(error)
            self.trouble = "; ".join(problem.found for problem in error.problems)
            return None
        self.trouble = "" if found is not None else "the champion's snapshot holds none of its training rows"
        return found

    def _of_store(self, window: Window) -> pa.Table | None:
        there = {column.name for column in self._store.schema(window, self._spec.data.time)}
        wanted = [name for name in self._columns if name in there]
        if not wanted:
            return None
        return sample(self._store.read(window, self._spec.data.time, wanted), ROWS, self._spec.training.seed)

    def _training_rows(self, storage: Storage) -> Iterator[pa.RecordBatch]:
        candidate, time = self._champion.candidate, self._spec.data.time
        snapshot = open_snapshot_of(candidate, storage)
        there = {column.name for column in snapshot.columns}
        wanted = [name for name in self._columns if name in there]
        for batch in snapshot_batches(snapshot, storage, wanted):
            yield _within(batch, time, candidate.train).select(wanted)


def _within(batch: pa.RecordBatch, time: str, window: Window) -> pa.RecordBatch:
    import pyarrow as pa
    import pyarrow.compute as pc

    times = batch.column(time)
    start, end = (pa.scalar(moment, times.type) for moment in (window.start, window.end))
    return batch.filter(pc.and_(pc.greater_equal(times, start), pc.less(times, end)))
