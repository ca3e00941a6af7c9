"""Rows in Parquet or CSV files: one file, or all files of a folder, on a disk or in an object store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.profiles.build import profile_batches
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.core.rows.columns import missing_columns, one_of
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.event_times import TimeReader, inside, utc_microseconds
from airflow_mlops.stores.files.csv import CsvPart
from airflow_mlops.stores.files.location import list_files, locate
from airflow_mlops.stores.files.parquet import ParquetPart
from airflow_mlops.stores.files.part import FilePart, raise_if_away, unify
from airflow_mlops.stores.files.read_ahead import ahead

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_mlops.core.records.profile import Profile

Format = Literal["parquet", "csv"]
ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".csv.bz2": "csv",
    ".csv.zst": "csv",
}

_CELLS, _LEAST_ROWS, _MOST_ROWS = 1 << 21, 1 << 13, 1 << 16
"""Of a batch that is counted."""


class FileStore:
    r"""A :class:`~airflow_mlops.core.ports.DataStore` over files; rows are in the order of paths, then of the file.

    Parquet is read by column and, where its statistics allow, by row group; CSV, which has no index, from end to end.
    Nothing is opened before the first read. What was learned of the files (names, types) is kept for the object's life.

    Parameters
    ----------
    path
        A file or folder: a local path, or an object-store URI that Airflow's ObjectStoragePath takes.
    format
        ``parquet`` or ``csv``; by the endings when None. In a folder, files of other endings are left out.
    conn_id
        Airflow connection of the object store.
    encoding, delimiter
        Of CSV files.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.csv").write_text("t,x\n2013-03-01T05:00:00Z,1\n")
    ...     [(column.name, column.type) for column in FileStore(folder).schema()]
    [('t', 'timestamp[us, tz=UTC]'), ('x', 'int64')]
    """

    def __init__(
        self,
        path: str,
        *,
        format: Format | None = None,  # noqa: A002 -- as the specification calls it
        conn_id: str | None = None,
        encoding: str = "utf-8",
        delimiter: str = ",",
    ) -> None:
        self._path = path
        self._format = format
        self._conn_id = conn_id
        self._encoding = encoding
        self._delimiter = delimiter

    @property
    def description(self) -> str:
        """The source in words."""
        return f"files {self._path}"

    def schema(self) -> tuple[Column, ...]:
        """Columns of all files together.

        Raises
        ------
        DataError
            If there is no file, one cannot be read, or a column has different types in two of them.
        """
        return tuple(Column(name=name, type=str(type_)) for name, type_ in self._types.items())

    def query(self, window: Window, time: str, columns: Sequence[str]) -> str:
        """The filter that `read` applies, for the manifest."""
        return (
            f"columns {', '.join(columns)} of {len(self._parts)} files below {self._path} "
            f"where {window.start.isoformat()} <= {time} < {window.end.isoformat()}"
        )

    def read(
        self, window: Window, time: str, columns: Sequence[str], *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Rows of the window, in batches of at most `chunk_rows`.

        Raises
        ------
        DataError
            If the source or a column is missing, a file is damaged, or the event time is no time; it names the source
            and the window.
        """
        return self._told(self._read(window, time, columns, chunk_rows), f"{self.description}, window {window}")

    def profile(self, reference: Profile, window: Window, time: str) -> Profile:
        """Count the window's rows in the bins of `reference`, in one pass over the columns and row groups needed.

        Raises
        ------
        DataError
            As :meth:`read`, and if a column is of another type than the reference's.
        """
        names = list(dict.fromkeys(column.name for column in reference.columns))
        # Batches large enough for whole-vector work, small enough for the memory of wide tables.
        chunk_rows = min(max(_CELLS // (len(names) + 1), _LEAST_ROWS), _MOST_ROWS)
        texts = [column.name for column in reference.columns if column.role == "categorical"]
        batches = self._read(window, time, names, chunk_rows, encode=texts)
        with self._telling(f"{self.description}, window {window}"), ahead(batches) as following:
            return profile_batches(reference, following, window, schema=self.schema())

    def has_rows(self, window: Window, time: str) -> bool:
        """Whether the window holds any row; reads the event time only."""
        return next(self.read(window, time, [time]), None) is not None

    def bounds(self, time: str) -> tuple[datetime, datetime] | None:
        """Earliest and latest event time of the source; None if it has none. Reads the event time of all rows."""
        import pyarrow.compute as pc

        ends: list[datetime] = []
        for batch in self._told(self._read(None, time, [time], 1 << 18), self.description):
            found = pc.min_max(batch.column(0)).as_py()
            ends += [moment for moment in found.values() if moment is not None]
        return (min(ends), max(ends)) if ends else None

    def read_all(
        self, columns: Sequence[str], *, time: str | None = None, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Every row, also those without an event time: for validating a source that has no window.

        Raises
        ------
        DataError
            As :meth:`read`.
        """
        batches = self._read(None, time, columns, chunk_rows) if time else self._whole(columns, chunk_rows)
        return self._told(batches, self.description)

    def undated(self, time: str) -> int | None:
        """Rows without an event time, which no window holds; None where the files do not tell."""
        counts = [part.undated(time) for part in self._parts]
        return None if None in counts else sum(count for count in counts if count is not None)

    @cached_property
    def _parts(self) -> list[FilePart]:
        location = locate(self._path, conn_id=self._conn_id)
        try:
            paths = list_files(location)
        except OSError as error:
            raise_if_away(error, self._path)
            raise self._refuse("a place that cannot be listed", "check the path and its permissions") from error
        if not paths:
            raise self._refuse("no file", "check the path; a folder must hold files", ReasonCode.SOURCE_MISSING)
        formats = {path: self._format_of(path) for path in paths}
        if self._format and len(paths) == 1:
            formats = {paths[0]: self._format}
        chosen = {path: kind for path, kind in formats.items() if kind and self._format in (None, kind)}
        if not chosen:
            raise self._refuse(
                f"{len(paths)} files, none with a known ending", "rename the files, or state data.source.format"
            )
        if len(set(chosen.values())) > 1:
            raise self._refuse("Parquet and CSV files together", "state data.source.format")
        arrow = location.arrow
        return [
            ParquetPart(arrow, path)
            if kind == "parquet"
            else CsvPart(arrow, path, encoding=self._encoding, delimiter=self._delimiter)
            for path, kind in chosen.items()
        ]

    @staticmethod
    def _format_of(path: str) -> Format | None:
        return next((kind for ending, kind in ENDINGS.items() if path.lower().endswith(ending)), None)

    @cached_property
    def _types(self) -> dict[str, pa.DataType]:
        return unify(self._parts)

    def _read(
        self, window: Window | None, time: str, columns: Sequence[str], chunk_rows: int, *, encode: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read rows; texts of the columns of `encode` may come as dictionaries."""
        import pyarrow as pa
        import pyarrow.types as t

        self._require({time: "data.time", **{name: f"column {name}" for name in columns if name != time}})
        types = {name: utc_microseconds() if name == time else self._types[name] for name in dict.fromkeys(columns)}
        encoded = {name for name in encode if name != time and t.is_string(types[name])}
        reader = TimeReader(time, "")
        for part in self._parts:
            for batch in part.batches(window, time, [*types, time], chunk_rows, encode=sorted(encoded)):
                times = reader.convert(batch.column(time))
                values = [
                    times if name == time else _cast(batch.column(name), type_, decode=name not in encoded)
                    for name, type_ in types.items()
                ]
                rows = pa.RecordBatch.from_arrays(values, names=list(types))
                if window is not None:
                    chosen = inside(times, window)
                    # Most batches lie in the window as a whole: they are not copied.
                    rows = rows if chosen.true_count == len(chosen) else rows.filter(chosen)
                if rows.num_rows:
                    yield rows

    def _whole(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        self._require({name: f"column {name}" for name in columns})
        types = {name: self._types[name] for name in dict.fromkeys(columns)}
        for part in self._parts:
            for batch in part.batches(None, "", list(types), chunk_rows):
                values = [_cast(batch.column(name), type_) for name, type_ in types.items()]
                yield pa.RecordBatch.from_arrays(values, schema=pa.schema(list(types.items())))

    def _require(self, wanted: dict[str, str]) -> None:
        problems = missing_columns(wanted, self._types)
        for part in self._parts:
            names = part.schema.names
            here = {name: field for name, field in wanted.items() if name in self._types}
            problems += missing_columns(here, names, where=part.path)
        if problems:
            raise DataError(problems)

    def _told(self, batches: Iterator[pa.RecordBatch], subject: str) -> Iterator[pa.RecordBatch]:
        with self._telling(subject):
            yield from batches

    @staticmethod
    @contextmanager
    def _telling(subject: str) -> Iterator[None]:
        """Name the source and the window in front of whatever goes wrong."""
        try:
            yield
        except DataError as error:
            raise DataError(error.problems, subject=subject) from error

    def _refuse(self, found: str, fix: str, code: ReasonCode = ReasonCode.SOURCE_UNREADABLE) -> DataError:
        return DataError(
            Problem(
                code=code,
                field="data.source.path",
                found=f"{found} at {self._path}",
                allowed=f"a file, or a folder of files, with an ending that is {one_of(ENDINGS)}",
                fix=fix,
            )
        )


def _cast(array: pa.Array, type_: pa.DataType, *, decode: bool = True) -> pa.Array:
    import pyarrow.types as t

    if not decode and t.is_dictionary(array.type):
        return array
    # Joined types hold every value; only whole numbers above 2**53 in a column of fractions are rounded, as anywhere.
    return array if array.type == type_ else array.cast(type_, safe=False)
