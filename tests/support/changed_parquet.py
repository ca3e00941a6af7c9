"""Reads a Parquet file again and again, each time with another bit of its footer changed; prints what is no refusal.

A process of its own, because what is looked for ends a process: code in C++ that throws, and that nobody catches.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.storage.storage import open_storage

ROWS = 50
WINDOW = Window(start=datetime(2024, 1, 1, tzinfo=UTC), end=datetime(2024, 1, 3, tzinfo=UTC))


def table() -> pa.Table:
    """Columns of most kinds, some values missing, in two row groups once it is written."""
    return pa.table(
        {
            "at": pa.array([datetime(2024, 1, 1) + timedelta(hours=row) for row in range(ROWS)], pa.timestamp("us")),
            "id": pa.array(range(ROWS)),
            "x": pa.array([row * 0.5 if row % 7 else None for row in range(ROWS)]),
            "kind": pa.array(["AB"[row % 2] for row in range(ROWS)]).dictionary_encode(),
            "text": pa.array([f"N{row}" for row in range(ROWS)]),
            "list": pa.array([[row, row + 1] if row % 3 else None for row in range(ROWS)]),
            "struct": pa.array([{"a": row, "b": "z"} for row in range(ROWS)]),
            "sure": pa.array([row % 2 == 0 for row in range(ROWS)]),
        }
    )


def read_as_storage(folder: Path) -> None:
    """Read what this package is said to have written."""
    list(open_storage(str(folder)).read_batches("data.parquet"))


def read_as_source(folder: Path) -> None:
    """Read what somebody else has written: what its statistics tell, and its rows."""
    store = FileStore(str(folder / "data.parquet"))
    store.schema()
    store.undated("at")
    store.bounds("at")
    list(store.read(WINDOW, "at", ["id", "x", "kind", "text"]))


def main(folder: Path, bits: int, every: int) -> None:
    """Change `bits` bits of each byte of the footer, of `every` bytes one; say where, for who finds us dead."""
    file = folder / "data.parquet"
    pq.write_table(table(), file, row_group_size=ROWS // 2, write_page_index=True)
    honest = file.read_bytes()
    first = len(honest) - 8 - int.from_bytes(honest[-8:-4], "little")
    cases = [(at, (at + bit) % 8) for at in range(first, len(honest), every) for bit in range(bits)]
    for at, bit in cases:
        content = bytearray(honest)
        content[at] ^= 1 << bit
        file.write_bytes(content)
        for read in (read_as_storage, read_as_source):
            print(f"byte {at} bit {bit}", read.__name__, file=sys.stderr, flush=True)
            try:
                read(folder)
            except (DataError, RecordError):
                continue
            except Exception as error:  # noqa: BLE001 - what is no refusal is what is looked for
                print(f"byte {at} bit {bit}, {read.__name__}: {type(error).__name__}: {error}")
    print(f"{len(cases)} files read")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
