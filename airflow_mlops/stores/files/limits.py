"""Memory stays bounded whatever a Parquet file says about itself.

A file of a few kilobytes may ask for any amount: a page says how large it is once it is unpacked, a dictionary's one
long text may be meant by every row, a text may be written as "as the one before", a row may hold a list of billions.
So before a row group is read, the headers of its pages are (Apache Parquet, *parquet.thrift*: PageHeader in Thrift's
compact protocol), and a text column is read as its dictionary and unpacked only when what it comes to is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.rows.memory import in_words, memory_bytes
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq

_BUFFER, _LEAST_BUFFER, _BUFFERS = 1 << 20, 1 << 16, 1 << 26
"""Bytes that are read ahead of one column, and of all together: each of hundreds of columns has a buffer of its own."""
SHARE = 8
"""Part of the memory, one in so many, that a batch may take: rows are copied on their way to a frame."""
_LARGEST_FOOTER = 64 << 20
_MOST_PAGES = 1_000_000
_HEADERS = (1 << 10, 1 << 14, 1 << 20)
"""Bytes that are read for a page's header, until it fits: it may carry the page's least and greatest text."""
_DELTA_BYTE_ARRAY = 7
"""The encoding in which a text says how much of it is the one before."""


def read_bounded(
    filesystem: pafs.FileSystem,
    path: str,
    *,
    groups: Sequence[int],
    columns: Sequence[str],
    chunk_rows: int,
    encode: Sequence[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Read row groups of a Parquet file in batches, and refuse before reading what would not fit into memory.

    Parameters
    ----------
    groups, columns
        What is read.
    chunk_rows
        Rows of a batch, at most.
    encode
        Text columns that stay dictionaries.

    Raises
    ------
    DataError
        Naming file and column: if a page, the texts of a batch, or the values of a row do not fit, or a date or time
        lies outside of the years 1 to 9999.
    """
    import pyarrow.parquet as pq

    limit, wanted = memory_bytes() // SHARE, list(dict.fromkeys(columns))
    buffer = min(_BUFFER, max(_LEAST_BUFFER, _BUFFERS // max(1, len(wanted))))
    with filesystem.open_input_file(path) as file:
        with pq.ParquetFile(file, buffer_size=buffer, pre_buffer=False) as asked:
            few = dict(_rows_that_fit(asked, file, path, columns=columns, groups=groups, limit=limit))
            # pyarrow reads no dictionaries of texts that are written as the one before: of these, few rows at a time.
            texts = [name for name in _text_columns(asked, columns) if name not in few]
            rows = min([chunk_rows, *few.values()])
        file.seek(0)
        with pq.ParquetFile(file, buffer_size=buffer, pre_buffer=False, read_dictionary=texts or None) as parquet:
            for batch in parquet.iter_batches(rows, row_groups=list(groups), columns=wanted, use_threads=False):
                yield from _unpacked(batch.select(wanted), path, frozenset(encode), limit)


def check_footer(filesystem: pafs.FileSystem, path: str) -> None:
    """Refuse a file whose footer, which is read whole, is longer than any table's description.

    Raises
    ------
    DataError
        Naming the file.
    """
    with filesystem.open_input_file(path) as file:
        size = file.size()
        end = file.read_at(8, max(size - 8, 0))
    length = int.from_bytes(end[:4], "little")
    # A file that does not end in the mark, or is shorter than its footer, is no Parquet file: that is said elsewhere.
    if end[4:] == b"PAR1" and _LARGEST_FOOTER < length < size:
        raise refused(path, "", f"a footer of {in_words(length)}", f"at most {in_words(_LARGEST_FOOTER)}")


def _text_columns(parquet: pq.ParquetFile, columns: Sequence[str]) -> list[str]:
    import pyarrow.types as t

    kinds = (t.is_string, t.is_large_string, t.is_binary, t.is_large_binary)
    schema = parquet.schema_arrow
    return [name for name in columns if name in schema.names and any(kind(schema.field(name).type) for kind in kinds)]


def _rows_that_fit(
    parquet: pq.ParquetFile, file: Any, path: str, *, groups: Sequence[int], columns: Sequence[str], limit: int
) -> Iterator[tuple[str, int]]:
    """Check the pages of every column that is read; yield those of which only few rows are known to fit, and how many.

    Raises
    ------
    DataError
        If a page, or a column's lists, do not fit.
    """
    metadata, wanted = parquet.metadata, frozenset(columns)
    for group in groups:
        described = metadata.row_group(group)
        together = 0
        for index in range(described.num_columns):
            chunk = described.column(index)
            name = str(chunk.path_in_schema).partition(".")[0]
            if name not in wanted or not described.num_rows:  # a part without rows may have no page at all
                continue
            pages = _pages(file, chunk, path, name)
            largest = max((page.size for page in pages), default=0)
            together += largest
            if together > limit:
                found = f"a page that says it is {in_words(largest)} when it is unpacked"
                raise refused(path, name, found, f"pages of all columns below {in_words(limit)} together")
            if metadata.schema.column(index).max_repetition_level:
                _check_lists(pages, chunk, path, name, limit)
            if any(page.encoding == _DELTA_BYTE_ARRAY for page in pages):
                yield name, max(1, limit // max(largest, 1))


def _check_lists(pages: Sequence[_Page], chunk: Any, path: str, name: str, limit: int) -> None:
    """A row of lists is read whole, and so may be as large as the column says that it has values."""
    values = max(int(chunk.num_values), sum(page.values for page in pages))
    if values * 8 > limit:
        raise refused(path, name, f"lists of {values:,} values", f"at most {limit // 8:,} in a row group")


@dataclass(frozen=True)
class _Page:
    """What a page says about itself."""

    size: int
    """Bytes when it is unpacked."""
    packed: int
    values: int
    encoding: int


def _pages(file: Any, chunk: Any, path: str, name: str) -> list[_Page]:
    """Read the headers of a column's pages."""
    start = int(chunk.data_page_offset)
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, int(chunk.dictionary_page_offset))
    end = min(start + int(chunk.total_compressed_size), file.size())
    found: list[_Page] = []
    while 0 <= start < end:
        page, length = _header(file, start, path, name)
        if page.size < 0 or page.packed < 0 or len(found) >= _MOST_PAGES:
            raise refused(path, name, "pages of a size that cannot be", "whole pages")
        found.append(page)
        start += length + page.packed
    return found


def _header(file: Any, start: int, path: str, name: str) -> tuple[_Page, int]:
    for size in _HEADERS:
        reader = _Compact(file.read_at(size, start))
        try:
            fields = reader.struct()
        except IndexError:  # it is longer
            continue
        except ValueError:
            break
        inner: dict[int, Any] = next((fields[place] for place in (5, 7, 8) if isinstance(fields.get(place), dict)), {})
        encoding = inner.get(4 if 8 in fields else 2, 0)  # noqa: PLR2004 - of a data page of the second version
        numbers = (fields.get(2, 0), fields.get(3, 0), inner.get(1, 0), encoding)
        if all(isinstance(number, int) for number in numbers):
            return _Page(*numbers), reader.at
    raise refused(path, name, "a page whose header cannot be read", "whole pages")


class _Compact:
    """Reads a struct of Thrift's compact protocol: by field number, numbers and structs; other values are passed over.

    The protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
    """

    _DEEPEST = 8

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self.at = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Read a struct.

        Raises
        ------
        IndexError
            If the bytes end before it does.
        ValueError
            If it is none.
        """
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._signed()
            found[number] = self._value(head & 15, depth + 1)
        return found

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _number(self) -> int:
        shift = value = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:  # noqa: PLR2004 - the last byte of a number has its first bit clear
                return value
            if shift > 63:  # noqa: PLR2004 - bits of a number
                raise ValueError("a number that does not end")

    def _signed(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise IndexError(self.at)

    def _value(self, kind: int, depth: int) -> Any:
        if depth > self._DEEPEST:
            raise ValueError("a struct in a struct, and so on")
        if kind in (1, 2):
            return kind == 1
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 12:  # noqa: PLR2004 - numbers of types, as the protocol gives them
            return self.struct(depth)
        if kind in (9, 10):
            return self._list(depth)
        if kind not in (3, 7, 8):
            raise ValueError(f"type {kind}")
        self._skip({3: 1, 7: 8}.get(kind, 0) or self._number())
        return None

    def _list(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._number()  # noqa: PLR2004 - a longer one says its length
        for _ in range(count):
            self._value(head & 15, depth + 1)


def _unpacked(batch: pa.RecordBatch, path: str, encode: frozenset[str], limit: int) -> Iterator[pa.RecordBatch]:
    """Turn dictionaries into texts where they are not to stay, in pieces that fit."""
    import pyarrow as pa

    check_times(batch, path)
    sizes = {
        name: _text_bytes(array)
        for name, array in zip(batch.schema.names, batch.columns, strict=True)
        if name not in encode and _is_text_dictionary(array.type)
    }
    total = sum(sizes.values())
    if total > limit:
        if batch.num_rows <= 1:
            name = max(sizes, key=sizes.__getitem__)
            raise refused(path, name, f"a text of {in_words(sizes[name])}", f"rows below {in_words(limit)}")
        half = batch.num_rows // 2
        yield from _unpacked(batch.slice(0, half), path, encode, limit)
        yield from _unpacked(batch.slice(half), path, encode, limit)
        return
    arrays = [
        array.dictionary_decode() if name in sizes else array
        for name, array in zip(batch.schema.names, batch.columns, strict=True)
    ]
    yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _text_bytes(array: Any) -> int:
    """Bytes of a dictionary's texts, once each row has its own; at most so many, where that is little."""
    import pyarrow.compute as pc

    lengths = pc.binary_length(array.dictionary).cast("int64")
    most = int(pc.max(lengths).as_py() or 0) * len(array)
    return most if most < _BUFFER else int(pc.sum(lengths.take(array.indices)).as_py() or 0)


def _is_text_dictionary(type_: pa.DataType) -> bool:
    import pyarrow.types as t

    if not t.is_dictionary(type_):
        return False
    held = type_.value_type
    return any(kind(held) for kind in (t.is_string, t.is_large_string, t.is_binary, t.is_large_binary))


def check_times(batch: pa.RecordBatch, path: str) -> None:
    """Refuse dates and times that no library after this one can say: they would be other ones there, or none.

    Raises
    ------
    DataError
        Naming file and column.
    """
    import pyarrow.types as t

    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if t.is_date(array.type) or t.is_timestamp(array.type):
            _check_years(name, array, path)
        elif t.is_time(array.type):
            _check_day(name, array, path)


def _check_years(name: str, array: Any, path: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if t.is_date32(array.type):
        values, per_day = array.cast(pa.int32()), 1
    else:
        unit = "ms" if t.is_date64(array.type) else array.type.unit
        values, per_day = array.cast(pa.int64()), 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    ends = pc.min_max(values).as_py()
    if ends["min"] is None:
        return
    first, last = _FIRST_DAY * per_day, (_LAST_DAY + 1) * per_day
    if ends["min"] < first or ends["max"] >= last:
        kind = "a date" if t.is_date(array.type) else "a time"
        raise refused(path, name, f"{kind} outside of the years 1 to 9999", "dates of a calendar", code="time_invalid")


def _check_day(name: str, array: Any, path: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    numbers = array.cast(pa.int32() if t.is_time32(array.type) else pa.int64())
    ends = pc.min_max(numbers).as_py()
    day = 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[array.type.unit]
    if ends["min"] is not None and not (ends["min"] >= 0 and ends["max"] < day):
        raise refused(path, name, "a time of day outside of the day", "times of a clock", code="time_invalid")


_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, in days since 1970-01-01."""


def refused(path: str, name: str, found: str, allowed: str, *, code: str = "source_unreadable") -> DataError:
    """Return the refusal of what a file says about itself, or of a value that it holds."""
    return DataError(
        Problem(
            code=ReasonCode(code),
            field=f"column {name}" if name else "data.source.path",
            found=f"{found}, in {path}",
            allowed=allowed,
            fix="write the file again, with ordinary pages and values, or leave the column out of it",
        )
    )
