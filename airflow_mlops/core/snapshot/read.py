"""Read a snapshot's rows, and only if they are the ones that were taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.faults import DayRows, sample_days
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.core.rows.frames import to_frame
from airflow_mlops.core.rows.types import plain_type
from airflow_mlops.core.snapshot.fingerprint import fingerprint
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def open_snapshot(uri: str, storage: Storage) -> Snapshot:
    """Read the manifest of the snapshot at `uri`.

    Raises
    ------
    RecordError
        If `uri` is not below the storage, or the manifest is of a newer format or not whole.
    DataError
        If there is no snapshot.
    """
    return Snapshot.from_json(storage.read_text(f"{_path(uri, storage)}/manifest.json"))


def read_snapshot(snapshot: Snapshot, storage: Storage, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a snapshot's rows, in their order, as a frame.

    Parameters
    ----------
    columns
        Only these; all when None.

    Raises
    ------
    RecordError
        If the file holds other columns or another number of rows than the manifest says.
    DataError
        If the file is missing or damaged.
    """
    import pyarrow as pa

    types = {column.name: column.type for column in snapshot.columns}
    wanted = list(types) if columns is None else list(columns)
    problems = missing_columns({name: f"column {name}" for name in wanted}, types, where=snapshot.uri)
    if problems:
        raise DataError(problems)
    batches = list(storage.read_batches(f"{_path(snapshot.uri, storage)}/data.parquet", wanted))
    table = pa.Table.from_batches(batches).select(wanted) if batches else None
    found = {f.name: str(plain_type(f.type)) for f in table.schema} if table else {}
    if table is None or table.num_rows != snapshot.rows or found != {name: types[name] for name in wanted}:
        rows = table.num_rows if table else 0
        raise differs(snapshot, f"{rows} rows of columns {found}", f"{snapshot.rows} rows, and the manifest's types")
    return to_frame(table)


def snapshot_batches(snapshot: Snapshot, storage: Storage, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read some columns of a snapshot in batches: for who needs few of its rows.

    Raises
    ------
    RecordError
        If it is not below the storage.
    DataError
        If it has no such column, or the file is missing or damaged.
    """
    wanted = {name: f"column {name}" for name in columns}
    problems = missing_columns(wanted, [column.name for column in snapshot.columns], where=snapshot.uri)
    if problems:
        raise DataError(problems)
    yield from storage.read_batches(f"{_path(snapshot.uri, storage)}/data.parquet", list(wanted))


def snapshot_days(uri: str, storage: Storage, columns: Sequence[str], *, seed: int) -> tuple[DayRows, ...]:
    """Return a sample of each day's rows of the snapshot at `uri`: days that are sound, for those that come after.

    None, when the snapshot is gone or in another storage: then later days are compared with one another only.
    """
    try:
        snapshot = open_snapshot(uri, storage)
        there = {column.name for column in snapshot.columns}
        wanted = [name for name in dict.fromkeys((snapshot.time, *columns)) if name in there]
        return sample_days(snapshot_batches(snapshot, storage, wanted), snapshot.time, wanted, seed=seed)
    except (DataError, RecordError):
        return ()


def verify_snapshot(snapshot: Snapshot, storage: Storage) -> None:
    """Read every row again and compare its hash with the snapshot's fingerprint.

    Raises
    ------
    RecordError
        If a single value differs.
    """
    batches = storage.read_batches(f"{_path(snapshot.uri, storage)}/data.parquet")
    first = next(batches, None)
    found = "no rows" if first is None else fingerprint(chain((first,), batches), first.schema)
    if found != snapshot.fingerprint:
        raise differs(snapshot, f"rows with fingerprint {found}", f"rows with fingerprint {snapshot.fingerprint}")


def _path(uri: str, storage: Storage) -> str:
    prefix = storage.root.rstrip("/") + "/"
    if not uri.startswith(prefix):
        raise RecordError(
            Problem(
                code=ReasonCode.RECORD_CONFLICT,
                field="snapshot.uri",
                found=uri,
                allowed=f"a snapshot below {storage.root}",
                fix="set [mlops] storage to where the snapshot was written",
            )
        )
    return uri.removeprefix(prefix)


def differs(snapshot: Snapshot, found: str, allowed: str) -> RecordError:
    """What stands in the storage is not what its manifest says."""
    return RecordError(
        Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field="snapshot",
            found=found,
            allowed=allowed,
            fix="the file was changed after it was written: restore it, or delete the folder and run again",
            where=snapshot.uri,
        )
    )
