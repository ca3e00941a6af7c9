"""Read a snapshot's rows, and only if they are the ones that were taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.faults import DayRows, sample_days
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.core.rows.frames import to_frame
from airflow_mlops.core.rows.types import plain_type
from airflow_mlops.core.snapshot.fingerprint import ContentHash
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ALTERED = frozenset({ReasonCode.SNAPSHOT_ALTERED, ReasonCode.MODEL_ALTERED})
"""Refusals of what somebody changed after it was hashed."""


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


def open_snapshot_of(candidate: Candidate, storage: Storage) -> Snapshot:
    """Read the manifest of the snapshot that a candidate was trained on.

    Raises
    ------
    RecordError
        SNAPSHOT_ALTERED, if it is the manifest of other rows; as :func:`open_snapshot`.
    DataError
        If there is no snapshot.
    """
    snapshot = open_snapshot(candidate.snapshot_uri, storage)
    require_rows_of(candidate, snapshot)
    return snapshot


def require_rows_of(candidate: Candidate, snapshot: Snapshot) -> None:
    """Refuse a manifest of other rows than those that a candidate was trained on.

    Raises
    ------
    RecordError
        SNAPSHOT_ALTERED.
    """
    if snapshot.fingerprint != candidate.snapshot_fingerprint:
        found, wanted = snapshot.fingerprint[:12], candidate.snapshot_fingerprint[:12]
        raise differs(snapshot, f"the manifest of rows {found}", f"that of rows {wanted}, which were trained on")


def read_snapshot(snapshot: Snapshot, storage: Storage, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a snapshot's rows, in their order, as a frame, and only if they are those that were taken.

    Parameters
    ----------
    columns
        Only these; all when None. The fingerprint is of all columns, so all are read in either case.

    Raises
    ------
    RecordError
        SNAPSHOT_ALTERED, if a single value differs.
    DataError
        If the file is missing or damaged, or has no such column.
    """
    import pyarrow as pa

    wanted = [column.name for column in snapshot.columns] if columns is None else list(columns)
    # One snapshot has one schema; which types Parquet gave back, the fingerprint has seen.
    batches = list(snapshot_batches(snapshot, storage, wanted))
    return to_frame(pa.Table.from_batches(batches))


def snapshot_batches(snapshot: Snapshot, storage: Storage, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read some columns of a snapshot in batches, for who needs few of its rows; refuse at the end if they differ.

    What was made of the batches until then must not be used: the refusal comes in the place of the end.

    Raises
    ------
    RecordError
        SNAPSHOT_ALTERED, if a single value of any column differs, or if it is not below the storage.
    DataError
        If it has no such column, or the file is missing or damaged.
    """
    wanted = {name: f"column {name}" for name in columns}
    problems = missing_columns(wanted, [column.name for column in snapshot.columns], where=snapshot.uri)
    if problems:
        raise DataError(problems)
    types = {column.name: column.type for column in snapshot.columns}
    for batch in _verified(snapshot, storage):
        # Batches of another file are not handed out: they are refused at their end, and must not fail on the way there.
        if {field.name: str(plain_type(field.type)) for field in batch.schema} == types:
            yield batch.select(list(wanted))


def snapshot_days(candidate: Candidate, storage: Storage, columns: Sequence[str], *, seed: int) -> tuple[DayRows, ...]:
    """Return a sample of each day's rows of a candidate's snapshot: days that are sound, for those that come after.

    None, when the snapshot is gone or in another storage: then later days are compared with one another only.

    Raises
    ------
    RecordError
        SNAPSHOT_ALTERED, if it is there, and its rows are not those that were trained on.
    """
    try:
        return sample_snapshot(open_snapshot_of(candidate, storage), storage, columns, seed=seed)
    except (DataError, RecordError) as refusal:
        raise_altered(refusal)
        return ()


def sample_snapshot(snapshot: Snapshot, storage: Storage, columns: Sequence[str], *, seed: int) -> tuple[DayRows, ...]:
    """Return a sample of each day's rows of a snapshot, of those columns that it has.

    Raises
    ------
    RecordError
        SNAPSHOT_ALTERED.
    DataError
        If the file is missing or damaged.
    """
    there = {column.name for column in snapshot.columns}
    wanted = [name for name in dict.fromkeys((snapshot.time, *columns)) if name in there]
    return sample_days(snapshot_batches(snapshot, storage, wanted), snapshot.time, wanted, seed=seed)


def raise_altered(refusal: DataError | RecordError) -> None:
    """Raise a refusal again that is about bytes which somebody changed: nobody goes on without them.

    A snapshot or a model that is gone is another matter: those who can do without it say so, and do.
    """
    if {problem.code for problem in refusal.problems} & ALTERED:
        raise refusal


def verify_snapshot(snapshot: Snapshot, storage: Storage) -> None:
    """Read every row again and compare its hash with the snapshot's fingerprint.

    Raises
    ------
    RecordError
        SNAPSHOT_ALTERED, if a single value differs.
    DataError
        If the file is missing or damaged.
    """
    for _ in _verified(snapshot, storage):
        pass


def _verified(snapshot: Snapshot, storage: Storage) -> Iterator[pa.RecordBatch]:
    """All columns in batches, hashed on their way; ends with a refusal where they are not what was taken."""
    content: ContentHash | None = None
    for batch in _stored(snapshot, storage):
        content = content or ContentHash(batch.schema)
        content.update(batch)
        if content.rows > snapshot.rows:  # how many more there are need not be known, nor held
            raise differs(snapshot, f"more than {snapshot.rows} rows", f"{snapshot.rows} rows")
        yield batch
    found = "no rows" if content is None else f"{content.rows} rows with fingerprint {content.hexdigest()}"
    wanted = f"{snapshot.rows} rows with fingerprint {snapshot.fingerprint}"
    if found != wanted:
        raise differs(snapshot, found, wanted)


def _stored(snapshot: Snapshot, storage: Storage) -> Iterator[pa.RecordBatch]:
    """All columns in batches, as they stand in the file; times that no snapshot holds are none that were taken."""
    try:
        yield from storage.read_batches(f"{_path(snapshot.uri, storage)}/data.parquet")
    except DataError as refusal:
        for problem in refusal.problems:
            if problem.code is ReasonCode.TIME_INVALID:
                raise differs(snapshot, f"{problem.field}: {problem.found}", "times of a calendar") from refusal
        raise


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
            code=ReasonCode.SNAPSHOT_ALTERED,
            field="snapshot",
            found=found,
            allowed=allowed,
            fix="the file was changed after it was written: restore it, or delete the folder and run again",
            where=snapshot.uri,
        )
    )
