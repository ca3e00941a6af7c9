"""Rows to be validated as one DataFrame, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from airflow_mlops.core.ports import Storage

Rows = tuple["pd.DataFrame", str, Sequence[Column]]
"""The rows, the source in words, and every column of the source (empty: those of the rows)."""


def from_snapshot(snapshot: Any, storage: Storage) -> Rows:
    """Read a snapshot, given as SnapshotOperator returned it."""
    from airflow_mlops.core.records.snapshot import Snapshot
    from airflow_mlops.core.snapshot import read_snapshot

    record = Snapshot.from_json(snapshot)
    return read_snapshot(record, storage), record.source, record.source_columns


def from_function(function: Callable[[], pd.DataFrame] | str) -> Rows:
    """Call a function, or the one at an import path, for its frame.

    Raises
    ------
    SpecError
        If the path cannot be imported.
    TypeError
        If it returns something else.
    """
    import pandas as pd

    called: Callable[[], Any] = _imported(function) if isinstance(function, str) else function
    name = getattr(called, "__qualname__", type(called).__name__)
    frame = called()
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{name}() must return a pandas DataFrame, not {type(frame).__name__}")
    return frame, f"{name}()", ()


def _imported(path: str) -> Any:
    from importlib import import_module

    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise SpecError(
            Problem(
                code=ReasonCode.IMPORT_FAILED,
                field="frame",
                found=f"'{path}': {error}",
                allowed="the import path of a function, package.module.function, that this worker can import",
                fix="correct the path, or install its package on the worker",
            )
        ) from error


def from_source(source: Any, time: str | None, window: Sequence[str] | None) -> Rows:
    """Read a file or table: the window if there is one, else all of it."""
    from airflow_mlops.asof import parse_as_of
    from airflow_mlops.config import settings
    from airflow_mlops.core.rows.memory import within_memory
    from airflow_mlops.spec.data import FileSource, SqlSource
    from airflow_mlops.stores.open_source import open_source

    if isinstance(source, str):
        source = {"path": source}
    if isinstance(source, dict):
        source = (FileSource if "path" in source else SqlSource).model_validate(source)
    store = open_source(source, data_root=settings().data_root)
    span = Window(start=parse_as_of(window[0]), end=parse_as_of(window[1])) if window and time else None
    columns = store.schema(span, time or "")
    names = [column.name for column in columns]
    if span is not None and time:
        batches = store.read(span, time, names)
    else:
        # That the event time is missing is for the validation to say: it knows what it may be called now.
        batches = store.read_all(names, time=time if time in names else None)
    return _frame(within_memory(batches, store.description), names), store.description, columns


def _frame(batches: Iterable[pa.RecordBatch], names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    from airflow_mlops.core.rows.frames import to_frame

    read = list(batches)
    return to_frame(pa.Table.from_batches(read)) if read else pd.DataFrame(columns=list(names))
