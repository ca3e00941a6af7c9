"""What a look at a source is called and does: names without importing anything heavy, work that runs in a thread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.data import FileSource, source_from


def name_of(source: dict[str, Any], data_root: str) -> str:
    """Return the name that triggers on the same source agree about."""
    return json.dumps([source, data_root], sort_keys=True)


def place_of(source: dict[str, Any], data_root: str) -> str:
    """Return what may hang as a whole: a database, a bucket, a mounted folder.

    >>> place_of({"conn_id": "warehouse", "table": "orders"}, ""), place_of({"path": "s3://c@b/x/y"}, "")
    ('connection warehouse', 's3://c@b')
    >>> place_of({"path": "orders/"}, "/mnt/share/data"), place_of({"path": "/srv/x/y/z"}, "")
    ('/mnt/share', '/srv/x')
    """
    path = source.get("path")
    if path is None:
        return f"connection {source.get('conn_id')}"
    scheme, mark, rest = str(path).partition("://")
    if mark and scheme != "file":
        return f"{scheme}://{rest.partition('/')[0]}"
    local = PurePosixPath(data_root or "/", rest if mark else str(path))
    return str(PurePosixPath(*local.parts[:3]))


def is_files(source: dict[str, Any]) -> bool:
    """Whether a source is files, whose mark does not depend on the window."""
    return "path" in source


def has_rows(source: dict[str, Any], data_root: str, time: str, window: Window, rows: int) -> bool:
    """Whether a source holds at least so many rows in a window. Stops at the last one needed; holds none."""
    from airflow_mlops.stores.change_token import count_at_least
    from airflow_mlops.stores.open_source import open_source

    parsed = source_from(source)
    store = open_source(parsed, data_root=data_root)
    if rows == 1:
        return store.has_rows(window, time)
    if not isinstance(parsed, FileSource) and not count_at_least(
        parsed, data_root=data_root, window=window, time=time, rows=rows
    ):
        return False
    seen = 0
    for batch in store.read(window, time, [time]):
        seen += batch.num_rows
        if seen >= rows:
            return True
    return False


def change_token(source: dict[str, Any], data_root: str, time: str, window: Window, counted: Sequence[str] = ()) -> str:
    """Return the mark of a source's content: see :func:`airflow_mlops.stores.change_token.change_token`."""
    from airflow_mlops.stores.change_token import change_token

    return change_token(source_from(source), data_root=data_root, window=window, time=time, counted=counted)


def change_token_of_all(  # noqa: PLR0917 - where the rows are, what of them, and what else
    source: dict[str, Any],
    data_root: str,
    time: str,
    window: Window,
    counted: Sequence[str] = (),
    folders: Sequence[str] = (),
) -> str:
    """Return the marks of a source and of folders of files beside it, as one."""
    from airflow_mlops.stores.change_token import file_change_token

    return " ".join([change_token(source, data_root, time, window, counted), *map(file_change_token, folders)])


def window_of(start: str, end: str) -> Window:
    """Return a window from two texts of ISO 8601."""
    return Window(start=datetime.fromisoformat(start), end=datetime.fromisoformat(end))
