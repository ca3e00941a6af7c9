"""Rows in files: one file, all files of a folder, or a Delta table, on a disk or in an object store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.profiles.build import profile_batches
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.spec.data import FileSource
from airflow_mlops.spec.problems import Problem
from airflow_mlops.stores.event_times import AS_WRITTEN, TimeReader, TimeRules, inside, utc_microseconds
from airflow_mlops.stores.files.choose import Chosen, choose
from airflow_mlops.stores.files.formats import FileOpener
from airflow_mlops.stores.files.location import list_files, locate
from airflow_mlops.stores.files.part import raise_if_away
from airflow_mlops.stores.files.read_ahead import ahead
from airflow_mlops.stores.files.read_issues import ReadIssues
from airflow_mlops.stores.files.source_file import SourceFile
from airflow_mlops.stores.files.unify import Unified, cast, unify

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_mlops.core.records.profile import Profile

_MOST_CELLS = 1 << 22
"""Of a batch that is read: of hundreds of columns, fewer rows are in memory at once."""
_CELLS, _LEAST_ROWS, _MOST_ROWS = 1 << 21, 1 << 13, 1 << 16
"""Of a batch that is counted."""


class FileStore:
    r"""A :class:`~airflow_mlops.core.ports.DataStore` over files; rows are in the order of paths, then of the file.

    Only files that may hold rows of the window are read (:mod:`~airflow_mlops.stores.files.choose` says how they are
    told), and only they must have the columns; where one of them lacks a column that others have, it is null. Parquet
    is read by column and, where its statistics allow, by row group; CSV and JSON lines, which have no index, from end
    to end. Nothing is opened before the first read. What was learned of the files (names, types) is kept for the
    object's life.

    Parameters
    ----------
    path
        A file or folder: a local path, or an object-store URI that Airflow's ObjectStoragePath takes.
    text
        Columns that stay the texts that they are where types are guessed: the key.
    keep
        Columns that are data although they look like the leftover index of a pandas frame.
    how
        The other fields of :class:`~airflow_mlops.spec.data.FileSource`.

    Raises
    ------
    SpecError
        If an option is unknown or wrong.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.csv").write_text("t,x\n2013-03-01T05:00:00Z,1\n")
    ...     [(column.name, column.type) for column in FileStore(folder).schema()]
    [('t', 'timestamp[us, tz=UTC]'), ('x', 'int64')]
    """

    def __init__(self, path: str, *, text: Collection[str] = (), keep: Collection[str] = (), **how: Any) -> None:
        self._path = path
        self._how = FileSource(path=path, **how)
        self._rules = TimeRules.of(self._how)
        self._text, self._keep = frozenset(text), frozenset(keep)
        self._chosen_for: dict[tuple[Window, str], Chosen] = {}
        self._unified_of: dict[tuple[tuple[str, ...], tuple[str, ...]], Unified] = {}
        self._met = ReadIssues()

    @property
    def description(self) -> str:
        """The source in words."""
        return f"files {self._path}"

    def schema(self, window: Window | None = None, time: str = "") -> tuple[Column, ...]:
        """Columns of the files that may hold rows of a window together; of all files without one.

        Where no file does, they are those of the last file.

        Raises
        ------
        DataError
            If there is no file, or one cannot be read.
        """
        files = self._files if window is None else self._chosen(window, time).files or self._files[-1:]
        unified = self._unified(files, _names(files))
        return tuple(Column(name=name, type=str(type_)) for name, type_ in unified.types.items())

    def query(self, window: Window, time: str, columns: Sequence[str]) -> str:
        """The filter that `read` applies, for the manifest."""
        chosen = self._chosen(window, time)
        table = "" if self._version is None else f", version {self._version} of the Delta table,"
        closed = "; files named after other days were not opened" if chosen.by_name else ""
        return (
            f"columns {', '.join(columns)} of {len(chosen.files)} files below {self._path}{table} "
            f"where {window.start.isoformat()} <= {time} < {window.end.isoformat()}{closed}"
        )

    def issues(self) -> tuple[Problem, ...]:
        """What was met in the last read of a window, and how it was treated."""
        return self._met.problems()

    def absent(self) -> Collection[str]:
        """Columns that some files of the last read do not have."""
        return self._met.absent

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
            return profile_batches(reference, following, window, schema=self.schema(window, time))

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

    def undated(self, time: str, window: Window | None = None) -> int | None:
        """Rows without an event time, which no window holds; None where the files do not tell.

        Parameters
        ----------
        window
            Only in files that may hold rows of it.
        """
        files = self._files if window is None else self._chosen(window, time).files
        counts = [file.undated(time) for file in files]
        return None if None in counts else sum(count for count in counts if count is not None)

    @cached_property
    def _listed(self) -> tuple[list[SourceFile], int | None]:
        location = locate(self._path, conn_id=self._how.conn_id)
        opener = FileOpener(self._how, self._text)
        try:
            listing = list_files(location)
        except OSError as error:
            raise_if_away(error, self._path)
            raise opener.refuse("a place that cannot be listed", "check the path and its permissions") from error
        files, version = opener.files(location, listing)
        for file in files:
            file.keep = self._keep
        return files, version

    @property
    def _files(self) -> list[SourceFile]:
        return self._listed[0]

    @property
    def _version(self) -> int | None:
        return self._listed[1]

    def _chosen(self, window: Window, time: str) -> Chosen:
        if (window, time) not in self._chosen_for:
            self._chosen_for[window, time] = choose(self._files, window, time, lambda: self._reader(time))
        return self._chosen_for[window, time]

    def _reader(self, time: str) -> TimeReader:
        return TimeReader(time, "", self._rules)

    def _unified(self, files: Sequence[SourceFile], names: Sequence[str]) -> Unified:
        asked = (tuple(file.path for file in files), tuple(names))
        if asked not in self._unified_of:
            self._unified_of[asked] = unify(files, names, self._how.types)
        return self._unified_of[asked]

    def _read(
        self, window: Window | None, time: str, columns: Sequence[str], chunk_rows: int, *, encode: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read rows; texts of the columns of `encode` may come as dictionaries."""
        import pyarrow.types as t

        files = self._files if window is None else self._chosen(window, time).files
        if not files:
            missing = missing_columns({name: f"column {name}" for name in columns}, _names(self._files[-1:]))
            if missing:
                raise DataError(missing)
            return
        wanted = list(dict.fromkeys(columns))
        chunk_rows = min(chunk_rows, max(1, _MOST_CELLS // (len(wanted) + 1)))
        types = self._types_of(files, wanted, time)
        encoded = {name for name in encode if name != time and t.is_string(types[name]) and name not in self._how.types}
        reader, met = self._reader(time), ReadIssues()
        for file in files:
            met.begin(file, [name for name in wanted if name != time])
            there = [name for name in types if name in file.names]
            asked = list(dict.fromkeys([*there, time]))
            for batch in file.batches(window, time, asked, chunk_rows, encode=sorted(encoded)):
                times = reader.convert(batch.column(time))
                rows = self._record(batch, types, file, {time: times}, encoded)
                chosen = None if window is None else inside(times, window)
                # Most batches lie in the window as a whole: they are not copied.
                if chosen is not None and chosen.true_count < len(chosen):
                    rows = rows.filter(chosen)
                met.count(rows.num_rows, reader, chosen)
                if rows.num_rows:
                    yield rows
        met.end(files, wanted)
        self._met = met

    def _types_of(self, files: Sequence[SourceFile], wanted: Sequence[str], time: str) -> Mapping[str, pa.DataType]:
        """Types of the columns that are wanted, the event time among them where it is.

        Raises
        ------
        DataError
            If no file has a column, or its types do not go together.
        """
        names = _names(files)
        problems = missing_columns(
            {time: "data.time", **{name: f"column {name}" for name in wanted if name != time}}, names
        )
        if problems:
            raise DataError(problems)
        others = [name for name in names if name in set(wanted) - {time}]
        unified = self._unified(files, others)
        clash = [*unified.conflicts.values(), *self._clash_of_times(files, time)]
        if clash:
            raise DataError(clash)
        return {name: utc_microseconds() if name == time else unified.types[name] for name in wanted}

    def _clash_of_times(self, files: Sequence[SourceFile], time: str) -> Sequence[Problem]:
        """Event times with a zone in one file and without in another, where nothing says which zone that is."""
        if len(files) < 2 or self._rules != AS_WRITTEN:  # noqa: PLR2004 - one file has one type
            return ()
        return tuple(self._unified(files, [time]).conflicts.values())

    def _whole(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.RecordBatch]:
        names = _names(self._files)
        problems = missing_columns({name: f"column {name}" for name in columns}, names)
        unified = self._unified(self._files, [name for name in names if name in set(columns)])
        problems += unified.conflicts.values()
        if problems:
            raise DataError(problems)
        types = {name: unified.types[name] for name in dict.fromkeys(columns)}
        for file in self._files:
            there = [name for name in types if name in file.names]
            for batch in file.batches(None, "", there or list(file.names[:1]), chunk_rows):
                yield self._record(batch, types, file, {}, set())

    def _record(
        self,
        batch: pa.RecordBatch,
        types: Mapping[str, pa.DataType],
        file: SourceFile,
        ready: Mapping[str, pa.Array],
        encoded: Collection[str],
    ) -> pa.RecordBatch:
        """Return rows of a file in the types of the source, with nulls in columns that the file does not have."""
        import pyarrow as pa
        import pyarrow.types as t

        there = set(batch.schema.names)
        values = []
        for name, type_ in types.items():
            if name in ready:
                values.append(ready[name])
            elif name not in there or name not in file.names:
                values.append(pa.nulls(batch.num_rows, type_))
            elif name in encoded and t.is_dictionary(batch.column(name).type):
                values.append(batch.column(name))
            elif self._how.types.get(name) == "time":
                values.append(TimeReader(name, file.path, self._rules).convert(batch.column(name)))
            else:
                values.append(cast(batch.column(name), type_, name, file.path))
        return pa.RecordBatch.from_arrays(values, names=list(types))

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


def _names(files: Sequence[SourceFile]) -> list[str]:
    return list(dict.fromkeys(name for file in files for name in file.names))
