"""Memory stays bounded whatever an ORC file says about itself.

liborc takes as much memory as a file says: buffers of the compression's block size, a dictionary of so many texts,
texts as long as their lengths say, before it looks whether there are so many bytes. So the tail of the file, the
footers of its stripes and the streams of lengths are read first (Apache ORC specification v1: protocol buffers,
compressed in chunks; run length encoding versions 1 and 2), and what a column's lengths come to is held against the
bytes that it has. How many rows fit at a time follows from the dictionaries.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.rows.memory import in_words, memory_bytes
from airflow_mlops.stores.files.limits import SHARE, refused
from airflow_mlops.stores.files.part import unreadable

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_LARGEST_TAIL = 64 << 20
_LARGEST_BLOCK = 16 << 20
"""Bytes of a compressed chunk once it is unpacked; writers take 64 or 256 kB."""
_MOST_LENGTHS = 64 << 20
"""Bytes of a column's unpacked lengths in one stripe: of 16 million texts at the least."""
_DATA, _LENGTH, _DICTIONARY = 1, 2, 3
_NESTED = frozenset({10, 11, 13})
"""Kinds of types whose lengths count values of columns below: list, map, union."""
_V1 = frozenset({0, 1})
"""Encodings whose lengths are written in version 1 of the run length encoding."""
_CODECS = {2: "snappy", 4: "lz4_raw", 5: "zstd"}
_ZLIB = 1


def rows_that_fit(filesystem: pafs.FileSystem, path: str, chunk_rows: int) -> int:
    """Check what an ORC file says about itself; return how many of its rows may be read at a time.

    Raises
    ------
    DataError
        Naming file and column: if a block, a dictionary, texts or lists do not fit, or a footer is none.
    """
    limit = memory_bytes() // SHARE
    with filesystem.open_input_file(path) as file:
        try:
            return _checked(file, path, limit, chunk_rows)
        except (IndexError, KeyError, ValueError, TypeError, zlib.error) as error:
            if isinstance(error, DataError):
                raise
            raise unreadable(path, "not a whole ORC file", "write the file again") from error


@dataclass(frozen=True)
class _Tail:
    compression: int
    block: int
    stripes: list[dict[int, list[Any]]]
    names: dict[int, str]
    """Top-level column of each column's number."""
    kinds: dict[int, int]


def _checked(file: Any, path: str, limit: int, chunk_rows: int) -> int:
    tail, rows = _tail(file, path), chunk_rows
    for stripe in tail.stripes:
        offset, index, data, length = (_one(stripe, number) for number in (1, 2, 3, 4))
        footer = _message(_unpacked(tail, _read(file, offset + index + data, length, path)))
        streams = [_message(raw) for raw in footer.get(1, [])]
        encodings = [_message(raw) for raw in footer.get(2, [])]
        sizes: dict[tuple[int, int], tuple[int, int]] = {}
        place = offset
        for stream in streams:
            size = _one(stream, 3)
            sizes[_one(stream, 2), _one(stream, 1)] = (place, size)
            place += size
        longest = 0
        for (column, kind), (place, size) in sizes.items():
            if kind == _LENGTH:
                lengths = _Lengths(tail, file, path, column, (place, size), _kind_of(encodings, column))
                longest += _check_lengths(lengths, sizes, encodings, limit)
        if longest > limit:
            raise refused(path, "", f"dictionaries of {in_words(longest)}", f"less than {in_words(limit)} together")
        rows = min(rows, max(1, limit // max(longest, 1)))
    return rows


@dataclass(frozen=True)
class _Lengths:
    """A column's stream of lengths in one stripe."""

    tail: _Tail
    file: Any
    path: str
    column: int
    at: tuple[int, int]
    encoding: int

    @property
    def name(self) -> str:
        return self.tail.names.get(self.column, "")

    def sum(self) -> tuple[int, int]:
        """Return how many lengths there are, and what they come to."""
        raw = _unpacked(self.tail, _read(self.file, *self.at, self.path), _MOST_LENGTHS)
        return _sum_of_first(raw) if self.encoding in _V1 else _sum_of_second(raw)


def _check_lengths(lengths: _Lengths, sizes: Any, encodings: list[Any], limit: int) -> int:
    """Hold lengths against the bytes that they are of; return the bytes of a dictionary, which every row may mean."""
    count, total = lengths.sum()
    if lengths.tail.kinds.get(lengths.column) in _NESTED:
        if total * 8 > limit:
            found = f"lists of {total:,} values"
            raise refused(lengths.path, lengths.name, found, f"at most {limit // 8:,} in a stripe")
        return 0
    dictionary = (lengths.column, _DICTIONARY) in sizes
    place, size = sizes.get((lengths.column, _DICTIONARY if dictionary else _DATA), (0, 0))
    held = _most_unpacked(lengths.tail, _read(lengths.file, place, size, lengths.path)) if size else 0
    if total > held:
        found = f"texts of {in_words(total)} in {in_words(held)}"
        raise refused(lengths.path, lengths.name, found, "texts as long as they are")
    if not dictionary:
        return 0
    said = _one(encodings[lengths.column], 2)
    if said > count or said * 8 > limit:
        raise refused(lengths.path, lengths.name, f"a dictionary of {said:,} texts", f"the {count:,} that it has")
    return total + said * 8


def _kind_of(encodings: list[Any], column: int) -> int:
    return _one(encodings[column], 1)


def _tail(file: Any, path: str) -> _Tail:
    size = file.size()
    end = file.read_at(min(size, 256), max(size - 256, 0))
    script = _message(end[-1 - end[-1] : -1])
    length, compression, block = _one(script, 1), _one(script, 2), _one(script, 3)
    if length > min(_LARGEST_TAIL, size):
        raise refused(path, "", f"a footer of {in_words(length)}", f"at most {in_words(_LARGEST_TAIL)}")
    if block > _LARGEST_BLOCK:
        raise refused(path, "", f"compressed in blocks of {in_words(block)}", f"at most {in_words(_LARGEST_BLOCK)}")
    known = _Tail(compression, block, [], {}, {})
    footer = _message(_unpacked(known, _read(file, size - 1 - end[-1] - length, length, path), _LARGEST_TAIL))
    types = [_message(raw) for raw in footer.get(4, [])]
    return _Tail(
        compression,
        block,
        [_message(raw) for raw in footer.get(3, [])],
        _top_names(types),
        {number: _one(each, 1) for number, each in enumerate(types)},
    )


def _top_names(types: list[dict[int, list[Any]]]) -> dict[int, str]:
    """Return the name of the top-level column that each column is part of: numbers go down before they go on."""
    tops = [(number, name) for number, name in zip(_numbers(types[0].get(2, [])), types[0].get(3, []), strict=True)]
    found: dict[int, str] = {}
    for (first, name), (after, _) in zip(tops, [*tops[1:], (len(types), b"")], strict=True):
        found.update(dict.fromkeys(range(first, after), name.decode("utf-8", "replace")))
    return found


def _numbers(values: list[Any]) -> list[int]:
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
        else:
            at = 0
            while at < len(value):
                number, at = _varint(value, at)
                found.append(number)
    return found


def _read(file: Any, place: int, size: int, path: str) -> bytes:
    whole = file.size()
    if not (0 <= place <= whole and 0 <= size <= whole - place):
        raise unreadable(path, "not a whole ORC file", "write the file again")
    return bytes(file.read_at(size, place))


# -- protocol buffers, chunks, runs -----------------------------------------------------------------------------------


def _one(message: dict[int, list[Any]], number: int) -> int:
    value = message.get(number, [0])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {number} is no number")  # noqa: TRY004 - of what was read
    return value


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:  # noqa: PLR2004 - the last byte of a number has its first bit clear
            return value, at
        if shift > 63:  # noqa: PLR2004 - bits of a number
            raise ValueError("a number that does not end")


def _message(raw: bytes) -> dict[int, list[Any]]:
    """Read a message: numbers, and texts or messages as bytes, by field."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        kind = key & 7
        value: int | bytes | None = None
        if kind == 0:
            value, at = _varint(raw, at)
        elif kind == 2:  # noqa: PLR2004 - kinds as the protocol numbers them
            size, at = _varint(raw, at)
            if at + size > len(raw):
                raise IndexError(size)
            value, at = raw[at : at + size], at + size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"kind {kind}")
        found.setdefault(key >> 3, []).append(value)
    return found


def _chunks(raw: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield the chunks of a compressed stream, and whether each is as it was."""
    at = 0
    while at + 3 <= len(raw):
        head = int.from_bytes(raw[at : at + 3], "little")
        at += 3
        yield raw[at : at + (head >> 1)], bool(head & 1)
        at += head >> 1


def _most_unpacked(tail: _Tail, raw: bytes) -> int:
    """Return how many bytes a stream can hold at most; nothing is unpacked."""
    if not tail.compression:
        return len(raw)
    return sum(len(chunk) if plain else tail.block for chunk, plain in _chunks(raw))


def _unpacked(tail: _Tail, raw: bytes, most: int = _LARGEST_TAIL) -> bytes:
    if not tail.compression:
        return raw
    parts: list[bytes] = []
    size = 0
    for chunk, plain in _chunks(raw):
        parts.append(chunk if plain else _unpacked_chunk(tail, chunk))
        size += len(parts[-1])
        if size > most:
            raise ValueError("more than a file's description can be")
    return b"".join(parts)


def _unpacked_chunk(tail: _Tail, chunk: bytes) -> bytes:
    if tail.compression == _ZLIB:
        return zlib.decompressobj(-15).decompress(chunk, tail.block)
    import pyarrow as pa

    if tail.compression not in _CODECS:
        raise ValueError("a compression that is not read here")
    codec = _CODECS[tail.compression]
    try:
        if codec == "zstd":
            with pa.CompressedInputStream(pa.BufferReader(chunk), codec) as stream:
                return bytes(stream.read(tail.block))
        size = _varint(chunk, 0)[0] if codec == "snappy" else _least_size(pa.Codec(codec), chunk, tail.block)
        if size > tail.block:
            raise ValueError("a chunk that is larger than it may be")
        return bytes(pa.Codec(codec).decompress(chunk, size, asbytes=True))
    except (pa.ArrowException, OSError) as error:
        raise ValueError("a chunk that cannot be unpacked") from error


def _least_size(codec: Any, chunk: bytes, most: int) -> int:
    """Return how large a chunk of LZ4 is, which it does not say: less room than it needs is refused."""
    import pyarrow as pa

    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        try:
            codec.decompress(chunk, middle, asbytes=True)
            high = middle
        except (pa.ArrowException, OSError):
            low = middle + 1
    return low


def _sum_of_first(raw: bytes) -> tuple[int, int]:
    """Add up numbers of version 1: runs with a step, and lists of numbers."""
    count = total = at = 0
    while at < len(raw):
        control = raw[at]
        at += 1
        if control < 128:  # noqa: PLR2004 - the sign of the control byte
            size, step = control + 3, int.from_bytes(raw[at : at + 1], "little", signed=True)
            base, at = _varint(raw, at + 1)
            _check_least(base + min(step, 0) * (size - 1))
            total += size * base + step * size * (size - 1) // 2
            count += size
        else:
            for _ in range(256 - control):
                value, at = _varint(raw, at)
                total, count = total + value, count + 1
    return count, total


_WIDTHS = (*range(1, 25), 26, 28, 30, 32, 40, 48, 56, 64)
"""Bits by their code, in version 2."""


def _sum_of_second(raw: bytes) -> tuple[int, int]:
    """Add up numbers of version 2: repeated, direct, patched and with deltas."""
    count = total = at = 0
    while at < len(raw):
        kind = raw[at] >> 6
        if kind == 0:
            width, size = (raw[at] >> 3 & 7) + 1, (raw[at] & 7) + 3
            added, at = size * int.from_bytes(raw[at + 1 : at + 1 + width], "big"), at + 1 + width
        else:
            code, size = raw[at] >> 1 & 31, ((raw[at] & 1) << 8 | raw[at + 1]) + 1
            added, at = (_direct, _patched, _deltas)[kind - 1](raw, at + 2, code, size)
        count, total = count + size, total + added
    return count, total


def _check_least(number: int) -> None:
    """Refuse a length below nothing, at which liborc reads what is not there."""
    if number < 0:
        raise ValueError("a length below nothing")


def _direct(raw: bytes, at: int, code: int, size: int) -> tuple[int, int]:
    width = _WIDTHS[code]
    end = at + (size * width + 7) // 8
    return _sum_of_bits(raw[at:end], width, size), end


def _patched(raw: bytes, at: int, code: int, size: int) -> tuple[int, int]:
    width = _WIDTHS[code]
    third, fourth = raw[at], raw[at + 1]
    bytes_of_base, patch = (third >> 5) + 1, _WIDTHS[third & 31]
    gap, patches = (fourth >> 5) + 1, fourth & 31
    at += 2
    base = int.from_bytes(raw[at : at + bytes_of_base], "big") & ((1 << (8 * bytes_of_base - 1)) - 1)
    at += bytes_of_base
    end = at + (size * width + 7) // 8
    total = size * base + _sum_of_bits(raw[at:end], width, size)
    each = next(known for known in _WIDTHS if known >= gap + patch)
    last = end + (patches * each + 7) // 8
    bits = int.from_bytes(raw[end:last], "big") >> ((last - end) * 8 - patches * each)
    for _ in range(patches):
        total += (bits & ((1 << patch) - 1)) << width
        bits >>= each
    return total, last


def _deltas(raw: bytes, at: int, code: int, size: int) -> tuple[int, int]:
    base, at = _varint(raw, at)
    zigzag, at = _varint(raw, at)
    first = (zigzag >> 1) ^ -(zigzag & 1)
    if code == 0:
        _check_least(base + min(first, 0) * (size - 1))
        return size * base + first * size * (size - 1) // 2, at
    width = _WIDTHS[code]
    end = at + ((size - 2) * width + 7) // 8
    # What is added to one number is added to all that follow it.
    if first < 0:
        _check_least(base + first - _sum_of_bits(raw[at:end], width, size - 2))
    risen = _sum_of_bits(raw[at:end], width, size - 2, falling=True)
    return size * base + (size - 1) * first + (risen if first > 0 else -risen), end


def _sum_of_bits(raw: bytes, width: int, size: int, *, falling: bool = False) -> int:
    """Add up numbers of so many bits, the highest bit first; `falling`: the first one `size` times, the last once."""
    import numpy as np

    if size <= 0:
        return 0
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8))
    if len(bits) < size * width:
        raise IndexError(size)
    weights = np.arange(size, 0, -1) if falling else np.ones(size, dtype=np.int64)
    ones = weights @ bits[: size * width].reshape(size, width).astype(np.int64)
    return sum(int(number) << (width - 1 - place) for place, number in enumerate(ones))
