"""How much memory this machine, or this container, gives: what a file says of itself is held against it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_UNKNOWN = 4 << 30
"""Bytes, where the system does not tell."""


@cache
def memory_bytes() -> int:
    """Return the bytes of memory that this process may use at most: the machine's, or fewer by its control group.

    >>> memory_bytes() > 0
    True
    """
    return min([_of_machine(), *(limit for limit in map(_of_group, _CGROUPS) if limit)])


def _of_machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        return _UNKNOWN


def _of_group(path: str) -> int:
    try:
        text = Path(path).read_text().strip()
    except OSError:  # no such control group here
        return 0
    return int(text) if text.isdigit() else 0


def within_memory(batches: Iterator[pa.RecordBatch], source: str) -> Iterator[pa.RecordBatch]:
    """Pass batches on that will be one frame, as long as they fit into memory.

    Rows that are all the same take next to nothing in a file: a few kilobytes may be billions of them.

    Raises
    ------
    DataError
        As soon as they do not fit; it says how many rows that were.
    """
    limit, size, rows = memory_bytes(), 0, 0
    for batch in batches:
        size += batch.nbytes
        rows += batch.num_rows
        if size > limit:
            raise DataError(
                Problem(
                    code=ReasonCode.SOURCE_UNREADABLE,
                    field="data.source",
                    found=f"{in_words(size)} in the first {rows:,} rows",
                    allowed=f"rows of at most {in_words(limit)}, which is the memory here",
                    fix="shorten data.window, leave columns out, or look whether the source repeats its rows",
                ),
                subject=source,
            )
        yield batch


def in_words(size: int) -> str:
    """Say a number of bytes.

    >>> in_words(88_000), in_words(60 * 10**9)
    ('88 kB', '60 GB')
    """
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"
