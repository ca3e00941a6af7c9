"""What the pages of a Parquet file say about themselves, before anything of them is unpacked.

Apache Parquet, *parquet.thrift*: PageHeader, in Thrift's compact protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_mlops.stores.files.compact_protocol import CompactReader
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
