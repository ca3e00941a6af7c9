"""Reading one batch ahead: while one is counted on one core, the next is read on another."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@contextmanager
def ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[Generator[pa.RecordBatch]]:
    """Context: the same batches in the same order, each read by a thread while the one before it is in use.

    At most two batches are in memory. An error of the source is raised where its batch would have come.

    >>> with ahead(iter("abc")) as batches:
    ...     "".join(batches)
    'abc'
    """

    def following(pool: ThreadPoolExecutor) -> Generator[pa.RecordBatch]:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch

    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        yield following(pool)
