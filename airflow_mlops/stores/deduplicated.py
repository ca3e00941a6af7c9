"""Rows of one key that came several times: an at-least-once delivery, overlapping exports, a log of changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.profiles.build import profile_batches
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.core.rows.keys import row_numbers
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa


class DeduplicatedStore:
    """A :class:`~airflow_mlops.core.ports.DataStore` in which rows count once, as `data.duplicates` says.

    Every stage that reads by the key sees the same rows. What tells rows apart is held as a number of 64 bits each.

    Parameters
    ----------
    store
        The rows as they are.
    key
        Columns that identify a row.
    rule
        ``drop_exact``: of rows that are the same in the key, the event time and every column that is read, the first
        stays; others of one key both stay, and validation refuses them. ``keep_last``: of the rows of a key in a
        window, the one with the newest event time stays, of several the one that stands last.
    """

    def __init__(self, store: DataStore, key: Sequence[str], rule: Literal["drop_exact", "keep_last"]) -> None:
        self._store, self._key, self._rule = store, tuple(key), rule
        self._dropped = 0

    @property
    def description(self) -> str:
        """The source in words."""
        return self._store.description

    def schema(self, window: Window | None = None, time: str = "") -> tuple[Column, ...]:
        """Columns of the source."""
        return self._store.schema(window, time)

    def query(self, window: Window, time: str, columns: Sequence[str]) -> str:
        """The filter or SQL that `read` runs, and the rule."""
        return f"{self._store.query(window, time, columns)} -- duplicates: {self._rule}"

    def issues(self) -> Sequence[Problem]:
        """What was met in the last read, and how many rows were dropped."""
        return (*self._store.issues(), *self._told())

    def absent(self) -> Collection[str]:
        """Columns that a part of what was read last does not have."""
        return self._store.absent()

    def has_rows(self, window: Window, time: str) -> bool:
        """Whether the window holds any row."""
        return self._store.has_rows(window, time)

    def bounds(self, time: str) -> tuple[datetime, datetime] | None:
        """Earliest and latest event time of the whole source."""
        return self._store.bounds(time)

    def undated(self, time: str, window: Window | None = None) -> int | None:
        """Rows without an event time."""
        return self._store.undated(time, window)

    def profile(self, reference: Profile, window: Window, time: str) -> Profile:
        """Count the rows that :meth:`read` gives: a database would count the others, too."""
        names = list(dict.fromkeys(column.name for column in reference.columns))
        return profile_batches(
            reference, self.read(window, time, names), window, schema=self._store.schema(window, time)
        )

    def read(
        self, window: Window, time: str, columns: Sequence[str], *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Rows of the window, each once.

        Raises
        ------
        DataError
            As the store's own, and if the key is missing.
        """
        wanted = list(dict.fromkeys(columns))
        if not set(wanted) - {time}:  # whether there are rows, and when: the key says nothing of that
            yield from self._store.read(window, time, wanted, chunk_rows=chunk_rows)
            return
        absent = missing_columns(
            dict.fromkeys(self._key, "data.key"), [column.name for column in self._store.schema(window, time)]
        )
        if absent:
            raise DataError(absent, subject=f"{self.description}, window {window}")
        every = list(dict.fromkeys([*wanted, *self._key, time]))
        last = self._last_rows(window, time, chunk_rows) if self._rule == "keep_last" else None
        seen: set[int] = set()
        self._dropped = begin = 0
        for batch in self._store.read(window, time, every, chunk_rows=chunk_rows):
            kept = _first_of(row_numbers(batch), seen) if last is None else last[begin : begin + batch.num_rows]
            begin += batch.num_rows
            rows = _filtered(batch, kept)
            self._dropped += batch.num_rows - rows.num_rows
            if rows.num_rows:
                yield rows.select(wanted)

    def _last_rows(self, window: Window, time: str, chunk_rows: int) -> Array:
        """Return which rows are the last of their key, shape (rows,): by event time, then by place."""
        import numpy as np
        import pyarrow as pa

        keys: list[Array] = [np.empty(0, dtype="uint64")]
        times: list[Array] = [np.empty(0, dtype="int64")]
        asked = list(dict.fromkeys([*self._key, time]))
        for batch in self._store.read(window, time, asked, chunk_rows=chunk_rows):
            keys.append(row_numbers(batch.select(list(self._key))))
            times.append(batch.column(time).cast(pa.int64()).to_numpy(zero_copy_only=False))
        key, at = np.concatenate(keys), np.concatenate(times)
        order = np.lexsort((np.arange(len(key)), at, key))
        is_last = np.ones(len(key), dtype=bool)
        is_last[:-1] = key[order][1:] != key[order][:-1]
        kept = np.empty(len(key), dtype=bool)
        kept[order] = is_last
        return kept

    def _told(self) -> Sequence[Problem]:
        if not self._dropped:
            return ()
        exact = self._rule == "drop_exact"
        what = "that are the same as another in every column" if exact else "of which a newer one of the same key came"
        return (
            Problem(
                code=ReasonCode.KEY_DUPLICATED,
                field="data.key",
                found=f"{self._dropped} rows {what}",
                allowed=f"each {', '.join(self._key)} once",
                fix=f"they are left out, by data.duplicates: {self._rule}",
            ),
        )


def _first_of(numbers: Array, seen: set[int]) -> Array:
    """Return which rows come for the first time, shape (rows,), and remember them."""
    import numpy as np

    kept = np.zeros(len(numbers), dtype=bool)
    _, first = np.unique(numbers, return_index=True)
    for place in first.tolist():
        number = int(numbers[place])
        kept[place] = number not in seen
        seen.add(number)
    return kept


def _filtered(batch: pa.RecordBatch, kept: Array) -> pa.RecordBatch:
    import pyarrow as pa

    return batch if bool(kept.all()) else batch.filter(pa.array(kept))
