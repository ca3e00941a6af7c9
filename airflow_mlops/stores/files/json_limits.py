"""Memory stays bounded whatever JSON lines hold: their length, depth, and how many fields they have between them.

A reader makes a column of every field that any line has, as long as there are lines: a megabyte of lines with a field
of their own each is a table of ten billion cells. So lines are read in pieces that cannot become too many cells, and
what is deep is refused before a parser, which calls itself, runs out of stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from airflow_mlops.core.rows.memory import in_words, memory_bytes
from airflow_mlops.stores.files.limits import SHARE, refused

LONGEST_LINE = 64 << 20
MOST_FIELDS = 20_000
DEEPEST = 100
_CELL = 16
"""Bytes of a value, at least: as long as a number and its place."""
_NAME = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"\s*:', re.DOTALL)
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]', re.DOTALL)


def check_line(size: int, path: str) -> None:
    """Refuse a line that is longer than any row.

    Raises
    ------
    DataError
        Naming the file.
    """
    if size > LONGEST_LINE:
        raise refused(path, "", f"a line of more than {in_words(LONGEST_LINE)}", "one object a line")


def pieces(block: bytes, columns: int, path: str) -> Iterator[bytes]:
    """Yield whole lines in pieces that become few enough cells.

    Parameters
    ----------
    block
        Whole lines.
    columns
        Columns that are made whether or not a line has them.

    Raises
    ------
    DataError
        Naming the file: if a line is too deep, or its objects have too many fields between them.
    """
    _check_depth(block, path)
    limit = memory_bytes() // SHARE
    left = [block]
    while left:
        piece = left.pop()
        # Each object may be a row, and each colon a field that no other line has: no piece is more than that.
        rows = piece.count(b"{") + piece.count(b"\n")
        if rows * max(piece.count(b":"), columns) * _CELL <= limit:
            yield piece
            continue
        middle = piece.rfind(b"\n", 0, len(piece) // 2) + 1 or piece.find(b"\n", len(piece) // 2) + 1
        if 0 < middle < len(piece):
            left += [piece[middle:], piece[:middle]]
            continue
        names = len(set(_NAME.findall(piece)))
        if rows * max(names, columns) * _CELL > limit:
            found = f"a line of {rows:,} objects with {names:,} fields between them"
            raise refused(path, "", found, f"values of at most {in_words(limit)} in a line")
        yield piece


def check_fields(count: int, path: str) -> None:
    """Refuse more fields than a table can have.

    Raises
    ------
    DataError
        Naming the file.
    """
    if count > MOST_FIELDS:
        raise refused(path, "", f"more than {MOST_FIELDS:,} fields", f"at most {MOST_FIELDS:,}, the same in every line")


def _check_depth(block: bytes, path: str) -> None:
    if block.count(b"[") + block.count(b"{") <= DEEPEST:
        return
    for line in block.split(b"\n"):
        if line.count(b"[") + line.count(b"{") > DEEPEST and _depth(line) > DEEPEST:
            raise refused(path, "", f"values of more than {DEEPEST} levels", f"{DEEPEST} levels at most")


def _depth(line: bytes) -> int:
    depth = deepest = 0
    for token in _TOKEN.finditer(line):
        letter = line[token.start()]
        if letter in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in b"]}":
            depth -= 1
    return deepest
