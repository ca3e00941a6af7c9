"""What the pages of a Parquet file say about themselves, before anything of them is unpacked.

Apache Parquet, *parquet.thrift*: PageHeader, in Thrift's compact protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_mlops.stores.files.limits import refused

_MOST_PAGES = 1_000_000
_HEADERS = (1 << 10, 1 << 14, 1 << 20)
"""Bytes that are read for a page's header, until it fits: it may carry the page's least and greatest text."""


@dataclass(frozen=True)
class Page:
    """What a page says about itself."""

    size: int
    """Bytes when it is unpacked."""
    packed: int
    values: int
    encoding: int


def read_pages(file: Any, chunk: Any, path: str, name: str) -> list[Page]:
    """Read the headers of a column's pages in a row group.

    Parameters
    ----------
    chunk
        What the footer says of the column there.
    path, name
        Of file and column, for the refusal.

    Raises
    ------
    DataError
        If a header cannot be read, or says what cannot be.
    """
    start = int(chunk.data_page_offset)
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, int(chunk.dictionary_page_offset))
    end = min(start + int(chunk.total_compressed_size), file.size())
    found: list[Page] = []
    while 0 <= start < end:
        page, length = _header(file, start, path, name)
        if page.size < 0 or page.packed < 0 or len(found) >= _MOST_PAGES:
            raise refused(path, name, "pages of a size that cannot be", "whole pages")
        found.append(page)
        start += length + page.packed
    return found


def _header(file: Any, start: int, path: str, name: str) -> tuple[Page, int]:
    for size in _HEADERS:
        reader = CompactReader(file.read_at(size, start))
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
            return Page(*numbers), reader.at
    raise refused(path, name, "a page whose header cannot be read", "whole pages")


class CompactReader:
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
