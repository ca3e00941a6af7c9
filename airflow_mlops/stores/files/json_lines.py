"""One file of JSON lines as a part of a source, read in blocks of whole lines; types are decided on all of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.files.compression import open_text
from airflow_mlops.stores.files.json_limits import check_fields, check_line, pieces
from airflow_mlops.stores.files.part import RowsOnlyPart, duplicated, raise_if_away, unreadable
from airflow_mlops.stores.files.unify import join

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs

_BLOCK = 1 << 23
_CHANGED = re.compile(r"Column\(/?(.*?)\) changed from (\w+) to (\w+)")
_TWICE = re.compile(r"Column\(/?(.*?)\) was specified twice")


class JsonPart(RowsOnlyPart):
    """A file with one JSON object a line; an object without a field has a null there.

    Texts are what they are. A column whose texts are all times in ISO 8601 is a column of times; objects and lists stay
    what they are, and are no features.

    Parameters
    ----------
    text
        Columns whose texts are never times.
    """

    def __init__(self, filesystem: pafs.FileSystem, path: str, text: Collection[str] = frozenset()) -> None:
        self._filesystem = filesystem
        self.path = path
        self._text = frozenset(text)
        self._seen: dict[str, pa.DataType] | None = None

    @property
    def _types(self) -> dict[str, pa.DataType]:
        """Types of all columns, from one pass over all rows."""
        if self._seen is None:
            self._seen = self._looked_through()
        return self._seen

    def _looked_through(self) -> dict[str, pa.DataType]:
        import pyarrow as pa
        import pyarrow.types as t

        known: dict[str, pa.DataType] = {}
        times: dict[str, bool] = {}
        for block in self._blocks(0):
            found = self._parsed(block, {})
            for field in found.schema:
                ours, name = field.type, field.name
                if t.is_string(ours) or t.is_timestamp(ours):
                    # Of all texts of a block that are times, pyarrow makes times; a text in another block is none.
                    times[name] = times.get(name, True) and (t.is_timestamp(ours) or _are_times(found.column(name)))
                    ours = pa.string()
                joined = join(known.get(name, pa.null()), ours)
                if joined is None:
                    raise _changed(name, self.path, str(known[name]), str(ours))
                known[name] = joined
            check_fields(len(known), self.path)
        is_time = {name for name, always in times.items() if always and name not in self._text}
        return {n: pa.timestamp("us", tz="UTC") if n in is_time and t.is_string(k) else k for n, k in known.items()}

    @property
    def names(self) -> Sequence[str]:
        """Fields of any object, in the order in which they come."""
        return list(self._types)

    def types(self, names: Sequence[str]) -> Mapping[str, pa.DataType]:
        """Types over all rows."""
        return {name: self._types[name] for name in names}

    def batches(
        self,
        window: Window | None,  # noqa: ARG002 -- as every Part
        time: str,
        columns: Sequence[str],
        chunk_rows: int,
        *,
        encode: Sequence[str] = (),  # noqa: ARG002
    ) -> Iterator[pa.RecordBatch]:
        """Read all rows (such a file has no index), an event time of text as text: how it is written says its zone."""
        import pyarrow as pa
        import pyarrow.types as t

        from airflow_mlops.stores.event_times import TimeReader

        types = {name: self._types[name] for name in dict.fromkeys(columns)}
        times = {name for name, type_ in types.items() if t.is_timestamp(type_)}
        read_as = {name: pa.string() if name in times else type_ for name, type_ in types.items()}
        readers = {name: TimeReader(name, self.path) for name in times if name != time}
        for block in self._blocks(len(read_as)):
            table = self._parsed(block, read_as)
            for batch in table.select(list(types)).combine_chunks().to_batches(max_chunksize=chunk_rows):
                values = [
                    readers[name].convert(batch.column(name)) if name in readers else batch.column(name)
                    for name in types
                ]
                yield pa.RecordBatch.from_arrays(values, names=list(types))

    def undated(self, time: str) -> int | None:
        """Count rows without an event time."""
        return sum(int(batch.column(0).null_count) for batch in self.batches(None, time, [time], _BLOCK))

    def _blocks(self, columns: int) -> Iterator[bytes]:
        """Whole lines, some megabytes at a time, and fewer where they would be too many values of so many columns."""
        for block in self._lines():
            yield from pieces(block, columns, self.path)

    def _lines(self) -> Iterator[bytes]:
        import pyarrow as pa

        rest = b""
        first = True
        try:
            with open_text(self._filesystem, self.path) as stream:
                while data := stream.read(_BLOCK):
                    if first:
                        data, first = data.removeprefix(b"\xef\xbb\xbf"), False
                        self._require_lines(data)
                    whole, newline, after = data.rpartition(b"\n")
                    if newline:
                        yield rest + whole + newline
                        rest = after
                    else:
                        rest += after
                        check_line(len(rest), self.path)
        except (pa.ArrowException, OSError) as error:
            raise_if_away(error, self.path)
            raise unreadable(self.path, "a damaged file of JSON lines", "write the file again") from error
        if rest.strip():
            yield rest + b"\n"

    def _require_lines(self, data: bytes) -> None:
        if data.lstrip()[:1] == b"[":
            fix = "write one object a line: frame.to_json(path, orient='records', lines=True)"
            raise unreadable(self.path, "a JSON array, not JSON lines", fix)

    def _parsed(self, block: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
        """Read a block, all columns when no types are given."""
        import pyarrow as pa
        import pyarrow.json as pj

        options = pj.ParseOptions(newlines_in_values=False)
        if types:
            options = pj.ParseOptions(
                explicit_schema=pa.schema(list(types.items())), unexpected_field_behavior="ignore"
            )
        with self._clear_errors():
            return pj.read_json(
                pa.BufferReader(block), pj.ReadOptions(use_threads=False, block_size=len(block) + 1), options
            )

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except pa.ArrowException as error:
            changed, twice = _CHANGED.search(str(error)), _TWICE.search(str(error))
            if twice:
                raise duplicated(self.path, [twice[1], twice[1]]) from error
            if changed and changed[1]:
                raise _changed(changed[1], self.path, changed[2], changed[3]) from error
            fix = "write one JSON object a line, in UTF-8"
            raise unreadable(self.path, "no readable JSON lines", fix) from error


def _are_times(column: pa.ChunkedArray) -> bool:
    """Whether all texts are times: pyarrow makes times only of those in whole seconds."""
    from airflow_mlops.stores.event_times import TimeReader

    try:
        return all(TimeReader("", "").convert(chunk) is not None for chunk in column.chunks)
    except DataError:
        return False


def _changed(name: str, path: str, before: str, after: str) -> DataError:
    return DataError(
        Problem(
            code=ReasonCode.COLUMN_RETYPED,
            field=f"column {name}",
            found=f"values of type {before} and of type {after} in {path}",
            allowed="values of one type",
            fix="write the column as numbers, or as texts, in every line",
        )
    )
