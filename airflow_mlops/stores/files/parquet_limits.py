"""Memory stays bounded whatever a Parquet file says about itself.

A file of a few kilobytes may ask for any amount: a page says how large it is once it is unpacked, a dictionary's one
long text may be meant by every row, a text may be written as "as the one before", a row may hold a list of billions.
So before a row group is read, the headers of its pages are, and a text column is read as its dictionary and unpacked
only when what it comes to is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.rows.memory import in_words, memory_bytes
from airflow_mlops.stores.files.limits import SHARE, check_times, refused
from airflow_mlops.stores.files.parquet_footer import check_description
from airflow_mlops.stores.files.parquet_pages import Page, read_pages

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq

_BUFFER, _LEAST_BUFFER, _BUFFERS = 1 << 20, 1 << 16, 1 << 26
"""Bytes that are read ahead of one column, and of all together: each of hundreds of columns has a buffer of its own."""
_TEXTS = 1 << 30
"""Bytes of a batch's texts, at most: an array of them has offsets of 32 bits."""
_LARGEST_FOOTER = 64 << 20
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
    limit, wanted = memory_bytes() // SHARE, list(dict.fromkeys(columns))
    with filesystem.open_input_file(path) as file:
        how: dict[str, Any] = {"groups": groups, "wanted": wanted, "chunk_rows": chunk_rows}
        yield from _read(file, path, **how, encode=frozenset(encode), limit=limit)


def read_own(
    file: pa.NativeFile, path: str, *, columns: Sequence[str] | None, chunk_rows: int
) -> Iterator[pa.RecordBatch]:
    """Read a Parquet file that this package wrote, in its own types, and trust it no more than another.

    Who may write to the storage may have put another file in its place. It may take half of the memory: rows that were
    snapshotted once must be read again.

    Raises
    ------
    DataError
        As :func:`read_bounded`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_footer(file, path)
    file.seek(0)
    with pq.ParquetFile(file, pre_buffer=False) as asked:
        groups, schema = range(asked.num_row_groups), asked.schema_arrow
    twice = next((name for name, times in Counter(schema.names).items() if times > 1), None)
    if twice is not None:
        raise refused(path, twice, "two columns of this name", "a name for each")
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns if name in schema.names], metadata=schema.metadata)
    kept = frozenset(field.name for field in schema if pa.types.is_dictionary(field.type))
    how: dict[str, Any] = {"groups": groups, "wanted": list(schema.names), "chunk_rows": chunk_rows}
    for batch in _read(file, path, **how, encode=kept, limit=memory_bytes() // 2):
        yield batch.cast(schema)  # of long texts, or of a field that may not be missing, dictionaries say less


def _read(
    file: pa.NativeFile,
    path: str,
    *,
    groups: Sequence[int],
    wanted: list[str],
    chunk_rows: int,
    encode: frozenset[str],
    limit: int,
) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    buffer = min(_BUFFER, max(_LEAST_BUFFER, _BUFFERS // max(1, len(wanted))))
    file.seek(0)
    with pq.ParquetFile(file, buffer_size=buffer, pre_buffer=False) as asked:
        few = dict(_rows_that_fit(asked, file, path, columns=wanted, groups=groups, limit=limit))
        # pyarrow reads no dictionaries of texts that are written as the one before: of these, few rows at a time.
        texts = [leaf for leaf in _text_leaves(asked, wanted) if leaf not in few]
        rows = min([chunk_rows, *few.values()])
        types = {name: _plain_type(asked.schema_arrow.field(name).type) for name in wanted if name not in encode}
    file.seek(0)
    with pq.ParquetFile(file, buffer_size=buffer, pre_buffer=False, read_dictionary=texts or None) as parquet:
        # Within lists, structs and maps pyarrow reads one dictionary at a time, and each row group has its own.
        nested = any(parquet.schema_arrow.field(name).type.num_fields for name in wanted)
        together = [[group] for group in groups] if nested and texts else [list(groups)]
        for batch in _batches(parquet, rows, together, wanted):
            yield from _unpacked(batch.select(wanted), path, types, min(memory_bytes() // SHARE, _TEXTS))


def _batches(
    parquet: pq.ParquetFile, rows: int, together: Sequence[list[int]], wanted: list[str]
) -> Iterator[pa.RecordBatch]:
    for groups in together:
        yield from parquet.iter_batches(rows, row_groups=groups, columns=wanted, use_threads=False)


def check_footer(filesystem: pafs.FileSystem, path: str) -> None:
    """Refuse a file whose footer, which is read whole, is longer than any table's description, or contradicts itself.

    Raises
    ------
    DataError
        Naming the file.
    """
    with filesystem.open_input_file(path) as file:
        _check_footer(file, path)


def _check_footer(file: pa.NativeFile, path: str) -> None:
    size = file.size()
    end = file.read_at(8, max(size - 8, 0))
    length = int.from_bytes(end[:4], "little")
    # A file that does not end in the mark, or is shorter than its footer, is no Parquet file: that is said elsewhere.
    if end[4:] != b"PAR1" or length >= size - 8:
        return
    if length > _LARGEST_FOOTER:
        raise refused(path, "", f"a footer of {in_words(length)}", f"at most {in_words(_LARGEST_FOOTER)}")
    check_description(file.read_at(length, size - 8 - length), path)


def _text_leaves(parquet: pq.ParquetFile, columns: Sequence[str]) -> list[str]:
    """Return the paths of what is text or bytes, also within lists, structs and maps."""
    described, wanted = parquet.metadata.schema, frozenset(columns)
    leaves = [described.column(place) for place, name in enumerate(_columns_of(parquet)) if name in wanted]
    return [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY" and leaf.logical_type.type != "DECIMAL"]


def _columns_of(parquet: pq.ParquetFile) -> list[str]:
    """Return the column that each leaf is part of: a dot in a path may be one of a name."""
    return [field.name for field in parquet.schema_arrow for _ in range(_leaves_of(field.type))]


def _leaves_of(type_: pa.DataType) -> int:
    import pyarrow.types as t

    if t.is_map(type_):
        return _leaves_of(type_.key_type) + _leaves_of(type_.item_type)
    if t.is_struct(type_):
        return sum(_leaves_of(type_.field(place).type) for place in range(type_.num_fields))
    return _leaves_of(type_.value_type) if _is_list(type_) else 1


def _is_list(type_: pa.DataType) -> bool:
    import pyarrow.types as t

    return bool(t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_))


def _plain_type(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if _is_text_dictionary(type_) else type_


def _rows_that_fit(
    parquet: pq.ParquetFile, file: Any, path: str, *, groups: Sequence[int], columns: Sequence[str], limit: int
) -> Iterator[tuple[str, int]]:
    """Check the pages of every column that is read; yield leaves of which only few rows are known to fit, and how many.

    Raises
    ------
    DataError
        If a page, or a column's lists, do not fit.
    """
    metadata, wanted, names = parquet.metadata, frozenset(columns), _columns_of(parquet)
    if len(names) != metadata.num_columns:
        raise refused(path, "", f"{metadata.num_columns} columns, where its types have {len(names)}", "as many")
    for group in groups:
        described = metadata.row_group(group)
        together = 0
        for index in range(described.num_columns):
            chunk, name = described.column(index), names[index]
            if name not in wanted or not described.num_rows:  # a part without rows may have no page at all
                continue
            pages = read_pages(file, chunk, path, name)
            largest = max((page.size for page in pages), default=0)
            together += largest
            if together > limit:
                found = f"a page that says it is {in_words(largest)} when it is unpacked"
                raise refused(path, name, found, f"pages of all columns below {in_words(limit)} together")
            delta = any(page.encoding == _DELTA_BYTE_ARRAY for page in pages)
            if metadata.schema.column(index).max_repetition_level:
                # Each value may be as large as the page it is in, where it is written as the one before.
                _check_lists(pages, chunk, path, name, limit, each=max(8, largest if delta else 0))
            if delta:
                yield str(chunk.path_in_schema), max(1, limit // max(largest, 1))


def _check_lists(pages: Sequence[Page], chunk: Any, path: str, name: str, limit: int, *, each: int) -> None:
    """A row of lists is read whole, and so may be as large as the column says that it has values."""
    values = max(int(chunk.num_values), sum(page.values for page in pages))
    if values * each > limit:
        raise refused(path, name, f"lists of {values:,} values", f"at most {limit // each:,} in a row group")


def _unpacked(
    batch: pa.RecordBatch, path: str, types: Mapping[str, pa.DataType], limit: int
) -> Iterator[pa.RecordBatch]:
    """Turn dictionaries into texts where they are not to stay, in pieces that fit.

    Parameters
    ----------
    types
        Of the columns whose dictionaries do not stay: what they become.
    """
    import pyarrow as pa

    check_times(batch, path)
    named = dict(zip(batch.schema.names, batch.columns, strict=True))
    sizes = {name: _text_bytes(array, types[name]) for name, array in named.items() if name in types}
    total = sum(sizes.values())
    if total > limit:
        if batch.num_rows <= 1:
            name = max(sizes, key=sizes.__getitem__)
            raise refused(path, name, f"a text of {in_words(sizes[name])}", f"rows below {in_words(limit)}")
        half = batch.num_rows // 2
        yield from _unpacked(batch.slice(0, half), path, types, limit)
        yield from _unpacked(batch.slice(half), path, types, limit)
        return
    arrays = [_written_out(array, types[name]) if name in types else array for name, array in named.items()]
    yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _text_bytes(array: Any, becomes: pa.DataType) -> int:
    """Bytes of the texts that dictionaries stand for, once each place has its own, also in lists, structs and maps."""
    import pyarrow.types as t

    if t.is_dictionary(array.type):
        return 0 if t.is_dictionary(becomes) else _spelled_out(array)
    if t.is_struct(array.type):
        parts = enumerate(array.flatten())
        return sum(_text_bytes(part, becomes.field(place).type) for place, part in parts)
    if t.is_map(array.type):
        own = _compact(array)
        return _text_bytes(own.keys, becomes.key_type) + _text_bytes(own.items, becomes.item_type)
    return _text_bytes(array.flatten(), becomes.value_type) if _is_list(array.type) else 0


def _written_out(array: Any, becomes: pa.DataType) -> Any:
    import pyarrow.types as t

    if array.type == becomes:
        return array
    if t.is_dictionary(array.type):
        return array.dictionary_decode().cast(becomes)
    # A part of an array still holds the values of the whole within its lists, and a cast would write out all of them.
    return _compact(array).cast(becomes)


def _compact(array: Any) -> Any:
    import pyarrow as pa

    return array.take(pa.array(range(len(array)), pa.int64()))


def _spelled_out(array: Any) -> int:
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
