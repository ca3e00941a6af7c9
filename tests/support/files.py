"""Small files of rows, and reading them as a store does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.files.store import FileStore

DAY = Window(start=datetime(2024, 3, 1, tzinfo=UTC), end=datetime(2024, 3, 2, tzinfo=UTC))


NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def read(store: FileStore, *columns: str, window: Window = DAY, time: str = "t") -> pa.Table:
    return pa.Table.from_batches(store.read(window, time, columns))


def csv(folder: Path, text: str | bytes, name: str = "a.csv") -> FileStore:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return FileStore(str(folder))
