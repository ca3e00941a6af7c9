"""Thrift's compact protocol, as far as a Parquet file's own description needs it.

The protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class CompactReader:
    """Reads values one after the other, from the first byte on."""

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
        return {number: self.value(kind, depth + 1) for number, kind in self.fields()}

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield number and type of each field of a struct; whoever asks reads its value, by :meth:`value` or otherwise.

        Raises
        ------
        IndexError, ValueError
            As :meth:`struct`.
        """
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._signed()
            yield number, head & 15

    def elements(self) -> tuple[int, int]:
        """Read the beginning of a list: how many values it has, which are to be read next, and of which type.

        Raises
        ------
        IndexError, ValueError
            As :meth:`struct`.
        """
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._number()  # noqa: PLR2004 - a longer one says its length
        return count, head & 15

    def binary(self) -> bytes:
        """Read bytes, or a text's.

        Raises
        ------
        IndexError, ValueError
            As :meth:`struct`.
        """
        size = self._number()
        self._skip(size)
        return bytes(self._data[self.at - size : self.at])

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

    def value(self, kind: int, depth: int = 0) -> Any:
        """Read a value of a type: a number, a struct, the length of a list; None for what is passed over.

        Raises
        ------
        IndexError, ValueError
            As :meth:`struct`.
        """
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

    def _list(self, depth: int) -> int:
        count, kind = self.elements()
        for _ in range(count):
            if kind in (1, 2):  # in a list, unlike in a struct, a truth value is a byte of its own
                self._skip(1)
            else:
                self.value(kind, depth + 1)
        return count
