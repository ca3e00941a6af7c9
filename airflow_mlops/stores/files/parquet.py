"""One Parquet file as a part of a source: only the columns and row groups that a window needs are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.event_times import bounds_in
from airflow_mlops.stores.files.part import duplicated, raise_if_away, unreadable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads
    import pyarrow.fs as pafs

_BUFFER = 1 << 20


class ParquetPart:
    """A Parquet file. Its footer is read at the first use."""

    widens_numbers = False
    """Parquet says its types, so a whole number here and a fraction there is a retyped column."""

    def __init__(self, filesystem: pafs.FileSystem, path: str) -> None:
        self._filesystem = filesystem
        self.path = path

    @cached_property
    def _fragment(self) -> pads.ParquetFileFragment:
        import pyarrow as pa
        import pyarrow.dataset as pads

        try:
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
    def schema(self) -> pa.Schema:
        """Columns and types as the file has them."""
        return self._fragment.physical_schema

    def row_groups(self, window: Window | None, time: str) -> list[int]:
        """Return the row groups that may hold times of the window, by the file's statistics."""
        import pyarrow.dataset as pads

        fragment = self._fragment
        bounds = bounds_in(self.schema.field(time).type, window) if window else None
        if bounds is not None:
            field = pads.field(time)
            chosen = (field >= bounds[0]) & (field < bounds[1])
            fragment = fragment.subset(filter=chosen, schema=self.schema)
        return [group.id for group in fragment.row_groups]

    def batches(
        self, window: Window | None, time: str, columns: Sequence[str], chunk_rows: int, *, encode: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read batches of at most `chunk_rows` rows; some rows may lie outside of the window.

        The dataset scanner of pyarrow decodes a whole row group at a time, so a file that is one row group would be in
        memory at once. `ParquetFile.iter_batches` with a buffered stream holds pages only.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        groups = self.row_groups(window, time)
        if not groups:
            return
        try:
            with (
                self._filesystem.open_input_file(self.path) as file,
                pq.ParquetFile(
                    file, buffer_size=_BUFFER, pre_buffer=False, read_dictionary=list(encode) or None
                ) as parquet,
            ):
                wanted = list(dict.fromkeys(columns))
                rows = parquet.iter_batches(chunk_rows, row_groups=groups, columns=wanted, use_threads=False)
                for batch in rows:
                    yield batch.select(wanted)
        except (pa.ArrowException, OSError) as error:
            raise_if_away(error, self.path)
            raise unreadable(self.path, "a damaged Parquet file", "write the file again") from error

    def undated(self, time: str) -> int | None:
        """Count rows without an event time from the file's statistics; None where it has none."""
        metadata = self._fragment.metadata
        index = [metadata.schema.column(i).path for i in range(metadata.num_columns)].index(time)
        total = 0
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(index).statistics
            if statistics is None or not statistics.has_null_count:
                return None
            total += statistics.null_count
        return total
