"""What a Parquet file's footer says, held against itself before pyarrow takes it at its word.

pyarrow's description of a column in a row group (`RowGroupMetaData.column`) is made by code that throws where the
footer contradicts itself, and nobody there catches it: the process ends. So what it throws at is looked for first.

Apache Parquet, *parquet.thrift*: FileMetaData, SchemaElement, RowGroup, ColumnChunk, ColumnMetaData, SizeStatistics.
What is thrown at: Apache Arrow, *parquet/metadata.cc* and *parquet/size_statistics.cc*.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_mlops.stores.files.compact_protocol import CompactReader
from airflow_mlops.stores.files.limits import refused

_SCHEMA, _GROUPS = 2, 4
"""Fields of FileMetaData."""
_TYPE, _REPETITION, _NAME, _CHILDREN = 1, 3, 4, 5
"""Fields of SchemaElement."""
_MAY_MISS, _REPEATS = 1, 2
"""Kinds of repetition; any other is "always there"."""
_COLUMNS = 1
"""Field of RowGroup."""
_DESCRIPTION, _ENCRYPTED = 3, (8, 9)
"""Fields of ColumnChunk."""
_SIZES = 16
"""Field of ColumnMetaData."""
_TEXT_BYTES, _REPEATED, _DEFINED = 1, 2, 3
"""Fields of SizeStatistics."""
_BYTE_ARRAY = 6
_NUMBER, _BINARY, _LIST, _STRUCT = 5, 8, 9, 12
"""Types of the protocol."""
_MOST_ELEMENTS = 200_000
_DEEPEST = 64


@dataclass(frozen=True)
class _Leaf:
    """A column as Parquet has it: what lies in lists and structs is one of its own."""

    type: int
    repeated: int
    """Lists that it lies in."""
    defined: int
    """Levels, of itself and of what it lies in, that may be missing or repeated."""


def check_description(footer: bytes, path: str) -> None:
    """Refuse a footer that contradicts itself.

    Raises
    ------
    DataError
        Naming the file.
    """
    try:
        wrong = next(_contradictions(CompactReader(footer)), "")
    except (IndexError, ValueError):
        wrong = "a footer that cannot be read"
    if wrong:
        raise refused(path, "", wrong, "a footer that describes the file's columns")


def _contradictions(reader: CompactReader) -> Iterator[str]:
    leaves: list[_Leaf] | None = None
    for number, kind in reader.fields():
        if number == _SCHEMA and kind == _LIST:
            leaves = _leaves(_elements(reader))
        elif number == _GROUPS and kind == _LIST and leaves is not None:
            yield from _of_groups(reader, leaves)
        elif number in (_SCHEMA, _GROUPS):
            yield "a footer whose parts are not in their order"
            return
        else:
            reader.value(kind)
    if leaves is None:
        yield "a footer without columns"


def _elements(reader: CompactReader) -> list[dict[int, Any]]:
    count, kind = reader.elements()
    if kind != _STRUCT or count > _MOST_ELEMENTS:
        raise ValueError("no schema")
    return [_element(reader) for _ in range(count)]


def _element(reader: CompactReader) -> dict[int, Any]:
    """Read one element; what is not of its field's type, readers of Parquet pass over, and no writer writes."""
    found: dict[int, Any] = {}
    for number, kind in reader.fields():
        expected = {_TYPE: _NUMBER, _REPETITION: _NUMBER, _CHILDREN: _NUMBER, _NAME: _BINARY}.get(number, kind)
        if kind != expected:
            raise ValueError(f"field {number} of type {kind}")
        found[number] = str(reader.binary(), "utf-8") if number == _NAME else reader.value(kind)
    if found.get(_NAME) is None:
        raise ValueError("a column without a name")
    return found


def _leaves(elements: Sequence[dict[int, Any]]) -> list[_Leaf]:
    """Return the columns of a schema, which is a tree written depth first, from its root on."""
    found: list[_Leaf] = []
    above = [(elements[0].get(_CHILDREN, 0), 0, 0)]
    for element in elements[1:]:
        while above and not above[-1][0]:
            above.pop()
        if not above or len(above) > _DEEPEST:
            raise ValueError("a schema that is no tree")
        left, repeated, defined = above[-1]
        above[-1] = (left - 1, repeated, defined)
        how = element.get(_REPETITION, 0)
        level = (repeated + (how == _REPEATS), defined + (how in (_MAY_MISS, _REPEATS)))
        if element.get(_CHILDREN):
            above.append((element[_CHILDREN], *level))
        else:
            found.append(_Leaf(element.get(_TYPE, -1), *level))
    if any(left for left, _, _ in above):
        raise ValueError("a schema that ends too early")
    return found


def _of_groups(reader: CompactReader, leaves: Sequence[_Leaf]) -> Iterator[str]:
    count, kind = reader.elements()
    if kind != _STRUCT:
        raise ValueError("no row groups")
    for _ in range(count):
        found = 0
        for number, inner in reader.fields():
            if number == _COLUMNS and inner == _LIST:
                found, element = reader.elements()
                if found != len(leaves) or element != _STRUCT:
                    break
                for leaf in leaves:
                    yield from _of_chunk(reader, leaf)
            else:
                reader.value(inner)
        if found != len(leaves):
            yield f"a row group of {found:,} columns, where there are {len(leaves):,}"


def _of_chunk(reader: CompactReader, leaf: _Leaf) -> Iterator[str]:
    described = False
    for number, kind in reader.fields():
        if number == _DESCRIPTION and kind == _STRUCT:
            described = True
            yield from _of_description(reader.struct(), leaf)
        elif number in _ENCRYPTED:
            yield "an encrypted column"
            return
        else:
            reader.value(kind)
    if not described:
        yield "a column without a description"


def _of_description(description: dict[int, Any], leaf: _Leaf) -> Iterator[str]:
    if description.get(1) != leaf.type:
        yield "a column of another type than its description"
    sizes = description.get(_SIZES)
    if not isinstance(sizes, dict):
        return
    for field, levels in ((_REPEATED, leaf.repeated), (_DEFINED, leaf.defined)):
        count = sizes.get(field)
        if isinstance(count, int) and count and count != levels + 1:  # readers pass over what is no list
            yield f"a column that counts {count:,} levels, where there are {levels + 1}"
    if _TEXT_BYTES in sizes and leaf.type != _BYTE_ARRAY:
        yield "a column that counts bytes of texts, and has none"
