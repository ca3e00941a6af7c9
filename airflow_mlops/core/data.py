"""The first records of the loop: windows, snapshots, and what a store of rows can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Protocol

from airflow_mlops.core.record import Record
from airflow_mlops.spec.problems import Problem

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_mlops.core.monitor import Profile


@dataclass(frozen=True, kw_only=True)
class Window:
    """A half-open span of event time, ``start <= t < end``; both ends carry a time zone."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None or self.start >= self.end:
            raise ValueError(f"a window needs time zones and start before end, not {self.start} .. {self.end}")

    def __str__(self) -> str:
        return f"[{self.start.isoformat()}, {self.end.isoformat()})"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's name and its Arrow type, as text (``int64``, ``string``, ``timestamp[us, tz=UTC]``)."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Snapshot(Record):
    """The immutable rows of one training window: where they are, and what they are.

    Format 2 added `unlabelled` and `unlabelled_nulls`.

    The rows are `data.parquet` below `uri`; this record is `manifest.json` beside it, and is written last.
    """

    FORMAT: ClassVar[int] = 2

    model: str
    fingerprint: str
    """SHA-256 over every row: names, types, values and nulls of all columns, in row order."""
    uri: str
    as_of: datetime
    window: Window
    """Event times that were asked for: only rows whose label is mature at as-of."""
    rows: int
    columns: tuple[Column, ...]
    source: str
    """The source in words, without secrets."""
    source_columns: tuple[Column, ...]
    """Every column of the source, also those not taken: validation tells renamed from missing by them."""
    query: str
    """The filter or SQL that was run."""
    time: str
    key: tuple[str, ...]
    label: str
    extracted_at: datetime
    known_issues: tuple[Problem, ...] = ()
    """Quality issues that were met and how they were treated, such as rows without a label left out."""
    unlabelled: int = 0
    """Mature rows that had no label, and were left out."""
    unlabelled_nulls: Mapping[str, int] | None = None
    """Missing values among those, by column: a column that is missing with the label is known only with it. None: not
    counted (format 1)."""

    @property
    def data_uri(self) -> str:
        """URI of the Parquet file."""
        return f"{self.uri}/data.parquet"


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
