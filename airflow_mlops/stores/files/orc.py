"""One ORC file as a part of a source, read by column, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.files.limits import check_times
from airflow_mlops.stores.files.orc_limits import rows_that_fit
from airflow_mlops.stores.files.part import RowsOnlyPart, duplicated, raise_if_away, unreadable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs


class OrcPart(RowsOnlyPart):
    """An ORC file. Its footer is read at the first use; pyarrow does not tell the statistics in it."""

    def __init__(self, filesystem: pafs.FileSystem, path: str) -> None:
        self._filesystem = filesystem
        self.path = path
        self._schema: pa.Schema | None = None

    @property
    def _known(self) -> pa.Schema:
        if self._schema is None:
            with self._opened() as file:
                schema = file.schema
                names = schema.names
            if len(set(names)) < len(names):
                raise duplicated(self.path, names)
            self._schema = schema
        return self._schema

    @property
    def names(self) -> Sequence[str]:
        """Columns of the file."""
        names: list[str] = self._known.names
        return names

    def types(self, names: Sequence[str]) -> Mapping[str, pa.DataType]:
        """Types as the file has them."""
        return {name: self._known.field(name).type for name in names}

    def batches(
        self,
        window: Window | None,  # noqa: ARG002 -- as every Part
        time: str,  # noqa: ARG002
        columns: Sequence[str],
        chunk_rows: int,
        *,
        encode: Sequence[str] = (),  # noqa: ARG002
    ) -> Iterator[pa.RecordBatch]:
        """Read all rows, as many at a time as fit into memory whatever the file says of itself."""
        import pyarrow.dataset as pads

        wanted = list(dict.fromkeys(columns))
        with self._clear_errors():
            rows = rows_that_fit(self._filesystem, self.path, chunk_rows)
            fragment = pads.OrcFileFormat().make_fragment(self.path, self._filesystem)
            fields = {name: pads.field(name) for name in wanted}
            # One batch after the other, and none ahead: what fits once does not fit sixteen times.
            read = {"batch_size": rows, "batch_readahead": 0, "fragment_readahead": 0, "use_threads": False}
            for batch in fragment.to_batches(columns=fields, **read):
                check_times(batch, self.path)
                yield batch

    def undated(self, time: str) -> int | None:
        """Count rows without an event time."""
        return sum(int(batch.column(0).null_count) for batch in self.batches(None, time, [time], 1 << 20))

    def forget(self) -> None:
        """Let go of the footer."""
        self._schema = None

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        from pyarrow import orc

        with self._clear_errors():
            rows_that_fit(self._filesystem, self.path, 1)
            with self._filesystem.open_input_file(self.path) as stream:
                yield orc.ORCFile(stream)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # names are UTF-8
            raise_if_away(error, self.path)
            raise unreadable(self.path, "not a whole ORC file", "write the file again") from error
