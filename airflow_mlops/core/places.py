"""What the core asks of the places where rows and files live; `airflow_mlops.stores` has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from airflow_mlops.core.data import Column, Window
from airflow_mlops.core.monitor import Profile

if TYPE_CHECKING:
    import pyarrow as pa


class DataStore(Protocol):
    """Rows with an event time, wherever they live. Every read is bounded to a window and to columns."""

    @property
    def description(self) -> str:
        """The source in words for reports and errors, without secrets."""

    def schema(self) -> tuple[Column, ...]:
        """Columns of the source.

        Raises
        ------
        DataError
            If the source is missing or unreadable; it names the source.
        """

    def query(self, window: Window, time: str, columns: Sequence[str]) -> str:
        """The filter or SQL that `read` would run, for the manifest."""

    def read(
        self, window: Window, time: str, columns: Sequence[str], *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Rows with ``window.start <= time < window.end``, only `columns`, in a stable order, in batches.

        The event-time column comes back as ``timestamp[us, tz=UTC]``. At most about `chunk_rows` rows are
        in memory. An empty window yields no batch (the stage says what that means).

        Raises
        ------
        DataError
            If the source or a column is missing, or the query fails; it names source and window.
        """

    def has_rows(self, window: Window, time: str) -> bool:
        """Whether the window holds any row: cheap, for a sensor."""

    def profile(self, reference: Profile, window: Window, time: str) -> Profile:
        """Count the window's rows in the bins of `reference`; memory does not grow with rows.

        Columns and bins are those of `reference.columns`; `outputs` and `importance` of the result are empty, `schema`
        is that of the source. The counts are those of :func:`~airflow_mlops.core.profile.profile_batches` over
        :meth:`read`, wherever the store has them counted. An empty window gives a profile of no rows.

        Raises
        ------
        DataError
            As :meth:`read`, and if a column is of another type than the reference's; it names the source and window.
        """

    def bounds(self, time: str) -> tuple[datetime, datetime] | None:
        """Earliest and latest event time of the whole source; None if it has none, or that is not to be had.

        For the message of an empty window only: it may read the event time of every row.
        """

    def undated(self, time: str) -> int | None:
        """Rows without an event time, which no window holds; None when that is not cheap to know."""


class Storage(Protocol):
    """A folder of files on a disk or in an object store: where snapshots, predictions and reports live."""

    @property
    def root(self) -> str:
        """URI of the folder."""

    def uri(self, path: str) -> str:
        """URI of a path below the root."""

    def exists(self, path: str) -> bool:
        """Whether a file stands at `path`."""

    def read_text(self, path: str) -> str:
        """Whole text of a file (manifests, reports)."""

    def write_text(self, path: str, text: str) -> str:
        """Write a file whole or not at all, replacing what stood there; return its URI."""

    def write_batches(self, path: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> int:
        """Write batches as one Parquet file, whole or not at all; return the number of rows."""

    def read_batches(
        self, path: str, columns: Sequence[str] | None = None, *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Read a Parquet file in batches."""

    def move(self, path: str, target: str) -> str:
        """Give a written file its final name at once; replaces nothing that has the same name; return the URI."""

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens if there is none."""

    def names(self, folder: str) -> tuple[str, ...]:
        """Names of the files directly in a folder, sorted, also hidden ones; none if there is no such folder."""

    def folders(self, folder: str) -> tuple[str, ...]:
        """Names of the folders directly in a folder, sorted; none if there is no such folder."""
