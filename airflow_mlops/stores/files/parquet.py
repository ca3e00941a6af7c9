"""One Parquet file as a part of a source: only the columns and row groups that a window needs are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import Problem
from airflow_mlops.stores.event_times import AS_WRITTEN, TimeRules, bounds_in
from airflow_mlops.stores.files.leftovers import RUNNING, RUNNING_NUMBER, left_by_pandas
from airflow_mlops.stores.files.parquet_limits import check_footer, read_bounded
from airflow_mlops.stores.files.part import duplicated, raise_if_away, unreadable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads
    import pyarrow.fs as pafs

_TEXTS = ("string", "large_string", "string_view", "dictionary")


class ParquetPart:
    """A Parquet file. Its footer is read at the first use."""

    def __init__(self, filesystem: pafs.FileSystem, path: str, rules: TimeRules = AS_WRITTEN) -> None:
        self._filesystem = filesystem
        self.path = path
        self._rules = rules
        self._known: pads.ParquetFileFragment | None = None

    @property
    def _fragment(self) -> pads.ParquetFileFragment:
        if self._known is None:
            self._known = self._opened()
        return self._known

    def _opened(self) -> pads.ParquetFileFragment:
        import pyarrow as pa
        import pyarrow.dataset as pads

        try:
            check_footer(self._filesystem, self.path)
            fragment = pads.ParquetFileFormat().make_fragment(self.path, self._filesystem)
            fragment.ensure_complete_metadata()
        except (pa.ArrowException, OSError) as error:
            raise_if_away(error, self.path)
            raise unreadable(self.path, "not a whole Parquet file", "write the file again") from error
        names = fragment.physical_schema.names
        if len(set(names)) < len(names):
            raise duplicated(self.path, names)
        return fragment

    @property
    def names(self) -> Sequence[str]:
        """Columns of the file."""
        names: list[str] = self._fragment.physical_schema.names
        return names

    def types(self, names: Sequence[str]) -> Mapping[str, pa.DataType]:
        """Types as the file has them."""
        schema = self._fragment.physical_schema
        return {name: schema.field(name).type for name in names}

    def leftovers(self) -> Mapping[str, str]:
        """Columns that pandas made of an index, by their names, and by the statistics of running numbers."""
        running = (name for name in self.names if name in RUNNING and self._is_running(name))
        return left_by_pandas(self.names) | dict.fromkeys(running, RUNNING_NUMBER)

    def _is_running(self, name: str) -> bool:
        """Whether a column has whole numbers from 0 to the number of rows, none missing; row group by row group."""
        groups = [self._fragment.metadata.row_group(group) for group in range(self._fragment.metadata.num_row_groups)]
        found = [self._statistics(group, name) for group in range(len(groups))]
        start = 0
        for group, known in zip(groups, found, strict=True):
            if known is None or not known.has_min_max or known.null_count or known.min != start:
                return False
            start += group.num_rows
            if known.max != start - 1:
                return False
        return start > 0

    def doubts(self, names: Sequence[str]) -> Iterator[Problem]:  # noqa: ARG002 - as every FilePart
        """A Parquet file says what its columns are."""
        return iter(())

    def forget(self) -> None:
        """Let go of the footer: that of a wide table with many row groups is large."""
        self._known = None

    def row_groups(self, window: Window | None, time: str) -> list[int]:
        """Return the row groups that may hold times of the window, by the file's statistics."""
        import pyarrow.dataset as pads

        fragment = self._fragment
        schema = fragment.physical_schema
        bounds = bounds_in(schema.field(time).type, window, self._rules) if window and time in schema.names else None
        if bounds is not None:
            field = pads.field(time)
            chosen = (field >= bounds[0]) & (field < bounds[1])
            fragment = fragment.subset(filter=chosen, schema=schema)
        return [group.id for group in fragment.row_groups]

    def batches(
        self, window: Window | None, time: str, columns: Sequence[str], chunk_rows: int, *, encode: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read batches of at most `chunk_rows` rows; some rows may lie outside of the window.

        The dataset scanner of pyarrow decodes a whole row group at a time, so a file that is one row group would be in
        memory at once. `ParquetFile.iter_batches` with a buffered stream holds pages only, and how large those may be
        is checked before.
        """
        import pyarrow as pa

        groups = self.row_groups(window, time)
        if not groups:
            return
        try:
            yield from read_bounded(
                self._filesystem, self.path, groups=groups, columns=columns, chunk_rows=chunk_rows, encode=encode
            )
        except (pa.ArrowException, OSError) as error:
            raise_if_away(error, self.path)
            raise unreadable(self.path, "a damaged Parquet file", "write the file again") from error

    def ends(self, time: str) -> pa.Array | None:
        """First and last event time, if every row group tells and they are no text, which has another order."""
        import pyarrow as pa

        type_ = self._fragment.physical_schema.field(time).type
        if str(type_).startswith(_TEXTS) or not self._fragment.row_groups:
            return None
        found = []
        for group in self._fragment.row_groups:
            known = group.statistics.get(time) if group.statistics else None
            if known is None or known.get("min") is None:
                if not self._has_only_nulls(group.id, time):
                    return None
                continue
            found += [known["min"], known["max"]]
        return pa.array([min(found), max(found)] if found else [], type_)

    def undated(self, time: str) -> int | None:
        """Count rows without an event time from the file's statistics; None where it has none."""
        total = 0
        for group in range(self._fragment.metadata.num_row_groups):
            statistics = self._statistics(group, time)
            if statistics is None or not statistics.has_null_count:
                return None
            total += statistics.null_count
        return total

    def is_all_missing(self, name: str) -> bool:
        """Whether every row group says that it has nothing but nulls in the column."""
        return all(self._has_only_nulls(group, name) for group in range(self._fragment.metadata.num_row_groups))

    def _has_only_nulls(self, group: int, name: str) -> bool:
        statistics = self._statistics(group, name)
        rows = self._fragment.metadata.row_group(group).num_rows
        return bool(statistics is not None and statistics.has_null_count and statistics.null_count == rows)

    def _statistics(self, group: int, name: str) -> Any:
        metadata = self._fragment.metadata
        paths = [metadata.schema.column(place).path for place in range(metadata.num_columns)]
        return metadata.row_group(group).column(paths.index(name)).statistics if name in paths else None
