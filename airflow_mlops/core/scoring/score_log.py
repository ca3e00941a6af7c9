"""The score log: rows that were scored, each prediction once, wherever and however often its window was scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.records.predictions import Predictions
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.core.scoring.score import predictions_folder, scoring_window
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

_NEVER = datetime.min.replace(tzinfo=UTC)


def scored_batches(
    spec: ModelSpec,
    storage: Storage,
    window: Window,
    columns: Sequence[str] | None = None,
    *,
    chunk_rows: int = 50_000,
) -> Iterator[pa.RecordBatch]:
    """Rows of the score log whose event time lies in a window.

    A scored window counts by the file that its manifest names; a file without a manifest was never finished. Where
    scored windows overlap, a row (its key at its event time) counts as it was scored last. Files are read one by one
    in batches; beside a batch, only keys of rows where windows overlap are held. Batches come newest scored first.
    A row that stands twice in one file stays twice: it did in the source that was scored.

    Parameters
    ----------
    columns
        Columns to read; all when None. A batch lacks those that its file lacks: a regression has no `probability`,
        and only some serving sides write `latency_ms`.

    Raises
    ------
    RecordError
        If a manifest is of a newer format or not whole.
    DataError
        If a file is missing or damaged, or lacks the event time or a key column.
    StoreUnavailableError
        If the storage does not answer.
    """
    # The time comes last: the key may hold it, too.
    identity = (*(name for name in spec.data.key if name != spec.data.time), spec.data.time)
    asked = None if columns is None else tuple(dict.fromkeys(columns))
    read = None if asked is None else list(dict.fromkeys([*identity, *asked]))
    files = scored_files(spec, storage, window)
    taken: set[tuple[Any, ...]] = set()
    for number, file in enumerate(files):
        newer, older = (
            [other for other in others if overlap(other.predictions.window, file.predictions.window)]
            for others in (files[:number], files[number + 1 :])
        )
        own = set[tuple[Any, ...]]()
        for batch in storage.read_batches(file.path, read, chunk_rows=chunk_rows):
            _require(identity, batch, file)
            rows = _within(batch, spec.data.time, window)
            if newer or older:
                doubted, wanted = (_in_any(rows.column(spec.data.time), others) for others in (newer, older))
                rows = _new(rows, identity, (doubted, wanted), taken, own)
            if rows.num_rows:
                yield rows if asked is None else rows.select([c for c in asked if c in rows.schema.names])
        taken |= own


def rows_ahead(spec: ModelSpec, storage: Storage, as_of: datetime) -> int:
    """Count predictions that were made by as-of of rows that happen after it.

    Only windows whose manifest tells when they were scored are looked at: in a replay of history, the score log has
    later windows too, and those were scored later.
    """
    later = Window(start=as_of, end=datetime.max.replace(tzinfo=UTC))
    files = [file for file in scored_files(spec, storage, later) if (file.predictions.scored_at or later.end) <= as_of]
    time = spec.data.time
    return sum(
        _within(batch, time, later).num_rows for file in files for batch in storage.read_batches(file.path, [time])
    )


@dataclass(frozen=True)
class ScoredFile:
    """The file of record of one scored window."""

    path: str
    predictions: Predictions


def scored_files(spec: ModelSpec, storage: Storage, window: Window) -> tuple[ScoredFile, ...]:
    """Return the files of record whose windows overlap a window, scored last first.

    Windows that were scored before manifests told the time come last, by the end of their windows.

    Raises
    ------
    RecordError
        If a manifest is of a newer format or not whole.
    """
    found = []
    for name in storage.folders(predictions_folder(spec)):
        named = scoring_window(name)
        folder = f"{predictions_folder(spec)}/{name}"
        if named is None or not overlap(named, window) or not storage.exists(f"{folder}/manifest.json"):
            continue
        predictions = Predictions.from_json(storage.read_text(f"{folder}/manifest.json"))
        found.append(ScoredFile(f"{folder}/v{predictions.version}.parquet", predictions))
    return tuple(sorted(found, key=_order, reverse=True))


def _order(file: ScoredFile) -> tuple[datetime, datetime, datetime, int]:
    made = file.predictions
    return made.scored_at or _NEVER, made.window.end, made.window.start, made.version


def overlap(one: Window, other: Window) -> bool:
    """Whether two windows have an instant in common."""
    return one.start < other.end and other.start < one.end


def _require(identity: Sequence[str], batch: pa.RecordBatch, file: ScoredFile) -> None:
    fields = dict.fromkeys(identity[:-1], "data.key") | {identity[-1]: "data.time"}
    problems = missing_columns(fields, batch.schema.names, where=file.predictions.uri)
    if not problems:
        problems = [
            _retyped(name, field, batch, file) for name, field in fields.items() if _is_strange(name, field, batch)
        ]
    if problems:
        raise DataError(problems, subject=file.predictions.model)


def _is_strange(name: str, field: str, batch: pa.RecordBatch) -> bool:
    """Whether an identity is of a type that was never written: who may write to the storage may have."""
    import pyarrow as pa

    type_ = batch.schema.field(name).type
    if field == "data.time":
        return not (pa.types.is_timestamp(type_) and type_.tz is not None)
    return bool(type_.num_fields)


def _retyped(name: str, field: str, batch: pa.RecordBatch, file: ScoredFile) -> Problem:
    return Problem(
        code=ReasonCode.COLUMN_RETYPED,
        field=field,
        found=f"column '{name}' of type {batch.schema.field(name).type}",
        allowed="instants" if field == "data.time" else "single values",
        fix="the file of predictions was changed: restore it, or delete its folder and score the window again",
        where=file.predictions.uri,
    )


def _within(batch: pa.RecordBatch, time: str, window: Window) -> pa.RecordBatch:
    import pyarrow as pa
    import pyarrow.compute as pc

    times = batch.column(time)
    start, end = (
        pa.scalar(moment.astimezone(UTC), pa.timestamp("us", tz="UTC")) for moment in (window.start, window.end)
    )
    inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
    return batch if pc.all(inside).as_py() else batch.filter(inside)


def _new(
    rows: pa.RecordBatch,
    identity: Sequence[str],
    where: tuple[Array, Array],
    taken: set[tuple[Any, ...]],
    own: set[tuple[Any, ...]],
) -> pa.RecordBatch:
    """Drop rows that a newer file has; keep in `own` those that an older one may have, too.

    `where` says of each row whether it lies in the window of any newer and of any older file.
    """
    import numpy as np
    import pyarrow as pa

    doubted, wanted = where
    positions = np.flatnonzero(doubted | wanted)
    if not len(positions):
        return rows
    parts = rows.select(list(identity)).take(pa.array(positions))
    keys = list(zip(*(column.to_pylist() for column in parts.columns), strict=True))
    own.update(key for at, key in zip(positions, keys, strict=True) if wanted[at])
    kept = np.ones(rows.num_rows, dtype=bool)
    kept[positions] = [not (doubted[at] and key in taken) for at, key in zip(positions, keys, strict=True)]
    return rows if kept.all() else rows.filter(pa.array(kept))


def _in_any(times: pa.Array, files: Sequence[ScoredFile]) -> Array:
    """Which event times lie in the window of any of the files; shape (rows,)."""
    import numpy as np

    moments = times.to_numpy(zero_copy_only=False)
    found = np.zeros(len(moments), dtype=bool)
    for file in files:
        start, end = (
            np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
            for moment in (file.predictions.window.start, file.predictions.window.end)
        )
        found |= (moments >= start) & (moments < end)
    return found
