"""Freeze the rows of one training window: written once, addressed by their content, visible whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING
from uuid import uuid4

from airflow_mlops.core.errors import DataError, StoreUnavailableError
from airflow_mlops.core.faults import DaySampler
from airflow_mlops.core.ports import DataStore, Storage, as_known_at
from airflow_mlops.core.records.fault import FaultySpan
from airflow_mlops.core.records.snapshot import Column, Snapshot, Window
from airflow_mlops.core.rows.columns import missing_columns, one_of
from airflow_mlops.core.rows.memory import within_memory
from airflow_mlops.core.rows.types import kind_of_type, plain_type
from airflow_mlops.core.rows.windows import label_window, utc
from airflow_mlops.core.snapshot.fingerprint import ContentHash
from airflow_mlops.core.snapshot.label_counts import LabelCounts
from airflow_mlops.core.snapshot.read import differs, open_snapshot
from airflow_mlops.core.snapshot.sound_rows import (
    KnownFaults,
    compared_columns,
    no_sound_rows,
    quarantine_issue,
    sound_batches,
)
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

_STAGING = ".staging-"
_STAMP = "%Y%m%dT%H%M%SZ"
_STALE = timedelta(days=1)


def take_snapshot(
    spec: ModelSpec,
    as_of: datetime,
    store: DataStore,
    storage: Storage,
    *,
    now: datetime,
    also: Sequence[str] = (),
    faults: KnownFaults | None = None,
) -> Snapshot:
    """Write the training window as of `as_of`, only sound rows with a mature and known label, and its manifest.

    Rows stream through once, in batches, into a staging file while their hash is taken; the staging file then gets its
    final name ``snapshots/<model>/<fingerprint>/data.parquet``, and ``manifest.json`` is written beside it last. A
    folder without a manifest is no snapshot, so a crash at any point leaves nothing visible, and the next run makes
    the same snapshot. The same rows for the same request are one snapshot: the one that exists is returned.

    Rows of days on which a feature is unmistakably broken are left out, as those without a label are, so that none of
    them is in a training part, a holdout or a profile: what passes by is sampled day by day, and when a day is found
    broken the staged rows are written once more, without it.

    Parameters
    ----------
    as_of
        The instant that the loop run pretends to live at, with a time zone.
    now
        The real time, for the manifest and for sweeping staging files older than a day.
    also
        Columns to keep beside those that the specification names, where the source has them: a champion of an
        earlier specification can only be judged with the columns that it knows.
    faults
        What is known of faults beforehand; nothing when None.

    Raises
    ------
    DataError
        If the source is unreadable, lacks the time, key, label, weight or entity column, holds no row in the window,
        no label, no sound row, or two classes of which none is the positive one.
    StoreUnavailableError
        If the storage or the database does not answer, or may not be written.
    """
    window, store = label_window(spec, as_of), as_known_at(store, as_of)
    source = store.schema(window, spec.data.time)
    columns = _columns(spec, store, [column.name for column in source], also)
    _sweep(spec, storage, utc(now, "now"))
    staging = f"snapshots/{spec.name}/{_STAGING}{now.astimezone(UTC):{_STAMP}}-{uuid4().hex}.parquet"
    query = store.query(window, spec.data.time, columns)
    labels = LabelCounts(spec)
    rows = _Rows(labels, dict.fromkeys(columns, 0))
    roles = compared_columns(spec, source, columns)
    days = DaySampler(time=spec.data.time, columns=tuple(roles), seed=spec.training.seed)
    sound = staging.replace(".parquet", "-sound.parquet")
    try:
        schema = _write(rows, days.passing(rows.kept(store.read(window, spec.data.time, columns))), storage, staging)
        if schema is None:
            raise nothing(spec, store, window, rows.unlabelled)
        unclear = labels.problem()
        if unclear is not None:
            raise DataError(unclear, subject=f"{store.description}, window {window}")
        there = {name: role for name, role in roles.items() if name not in store.absent()}
        spans = (faults or KnownFaults()).find(days.days(), there)
        whole = rows.content.rows
        mended = _mended(spec, storage, staging, spans, labels) if spans or labels.spelling else None
        if mended is not None and _write(rows, mended, storage, sound) is None:
            raise no_sound_rows(spec, store, window, whole, spans)
        left_out = whole - rows.content.rows
        # Two types of maps are equal whatever their parts are named, and a cast to an equal type changes nothing.
        stored = tuple(Column(name=f.name, type=str(plain_type(f.type))) for f in schema)
        snapshot = Snapshot(
            model=spec.name,
            fingerprint=rows.content.hexdigest(),
            uri="",
            as_of=utc(as_of, "as-of"),
            window=window,
            rows=rows.content.rows,
            columns=stored,
            source=store.description,
            source_columns=source,
            query=query,
            time=spec.data.time,
            key=spec.data.key,
            label=spec.data.label,
            extracted_at=utc(now, "now"),
            known_issues=(
                *issues(spec, store, window, rows.unlabelled),
                *labels.issues(),
                *store.issues(),
                *no_features(spec, stored),
                *(quarantine_issue(spec, span) for span in spans),
            ),
            unlabelled=rows.unlabelled,
            unlabelled_nulls=rows.nulls,
            quarantined=spans,
            quarantined_rows=left_out,
        )
        return _commit(snapshot, storage, staging if mended is None else sound)
    finally:
        storage.delete(staging)
        storage.delete(sound)


@dataclass
class _Rows:
    """The rows on their way from source to storage: what is counted, dropped and hashed."""

    labels: LabelCounts
    nulls: dict[str, int]
    """Missing values among the rows without a label, by column."""
    unlabelled: int = 0
    content: ContentHash = field(init=False)

    def kept(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Drop rows without a label; what is left comes in the types that it is stored in."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for batch in batches:
            known = self.labels.known(batch.column(self.labels.spec.data.label))
            rows = batch.filter(known)
            if rows.num_rows < batch.num_rows:
                self._left_out(batch.filter(pc.invert(known)))
            if rows.num_rows:
                schema = pa.schema([pa.field(f.name, plain_type(f.type)) for f in rows.schema])
                yield rows.cast(schema) if rows.schema != schema else rows

    def _left_out(self, rows: pa.RecordBatch) -> None:
        """Count what is missing where the label is: the gate looks for features that come with it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        self.unlabelled += rows.num_rows
        for name in self.nulls:
            values = rows.column(name)
            if pa.types.is_dictionary(values.type):  # its values may hold a null, too
                values = values.dictionary_decode()
            self.nulls[name] += pc.sum(pc.is_null(values, nan_is_null=True)).as_py()

    def hashed(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Hash what passes by."""
        for batch in batches:
            self.content.update(batch)
            yield batch


def _write(rows: _Rows, batches: Iterator[pa.RecordBatch], storage: Storage, path: str) -> pa.Schema | None:
    first = next(batches, None)
    if first is None:
        return None
    rows.content = ContentHash(first.schema)
    storage.write_batches(path, rows.hashed(within_memory(chain((first,), batches), path)), first.schema)
    return first.schema


def _mended(
    spec: ModelSpec, storage: Storage, staging: str, spans: Sequence[FaultySpan], labels: LabelCounts
) -> Iterator[pa.RecordBatch]:
    """The staged rows once more: without those of broken days, and each label spelt one way."""
    sound = sound_batches(storage, staging, spec.data.time, spans) if spans else storage.read_batches(staging)
    return labels.respelt(sound) if labels.spelling else sound


def _columns(spec: ModelSpec, store: DataStore, known: list[str], also: Sequence[str]) -> tuple[str, ...]:
    """Return the columns to keep: time, key, label, then the features, and what gate and expectations name, if there.

    A feature that it lacks is no failure here: validation tells missing from renamed by the manifest's
    `source_columns`, and reports it together with everything else. The gate rejects for a slice that is not there.
    """
    data, features, gate = spec.data, spec.features, spec.gate
    roles = {data.label: "data.label", **dict.fromkeys(data.key, "data.key"), data.time: "data.time"}
    needed = {data.weight: "data.weight", gate.champion.entity: "gate.champion.entity"}
    roles = {**{name: field for name, field in needed.items() if name is not None}, **roles}
    problems = missing_columns(roles, known)
    if problems:
        raise DataError(problems, subject=store.description)
    listed = (*features.numeric, *features.categorical)
    listed += tuple(features.calendar) if listed else ()
    # A transformer may make its features of any column, so it gets them all unless they are listed.
    wanted = listed or tuple(name for name in known if name not in features.exclude)
    checked = (name for expectation in spec.validation for name in expectation.named)
    judged = (name for name in (*needed, *gate.slices.columns, *gate.fairness.columns) if name is not None)
    rest = (*wanted, *judged, *checked, *also)
    ordered = (data.time, *data.key, data.label, *(name for name in rest if name in known))
    return tuple(dict.fromkeys(ordered))


def _commit(snapshot: Snapshot, storage: Storage, staging: str) -> Snapshot:
    """Give the staged rows their name and manifest, or return the snapshot that already stands for them, whole."""
    base = f"snapshots/{snapshot.model}/{snapshot.fingerprint}"
    # The same rows may answer another request (a later as-of without new rows): their window differs, and with it the
    # split into train and holdout, so it is a snapshot of its own.
    request = replace(snapshot, extracted_at=snapshot.as_of).digest[:12]
    for folder in (base, f"{base}-{request}"):
        named = replace(snapshot, uri=storage.uri(folder))
        if not storage.exists(f"{folder}/manifest.json"):
            storage.move(staging, f"{folder}/data.parquet")
            # Under another name first: of two runs with these rows, and other windows, the manifest of one stands.
            storage.write_text(f"{staging}.json", named.to_text())
            storage.move(f"{staging}.json", f"{folder}/manifest.json")
            standing = open_snapshot(named.uri, storage)
            if replace(standing, extracted_at=named.extracted_at) != named:
                raise _at_the_same_time(named)
            return standing
        existing = open_snapshot(named.uri, storage)
        if replace(existing, extracted_at=named.extracted_at) == named:
            if not storage.exists(f"{folder}/data.parquet"):
                # Somebody cleaned up the rows and left the manifest: what was staged are the same rows, by their hash.
                storage.move(staging, f"{folder}/data.parquet")
            return existing
    raise differs(snapshot, f"another manifest at {named.uri}", "the manifest of these rows")


def _at_the_same_time(snapshot: Snapshot) -> StoreUnavailableError:
    return StoreUnavailableError(
        Problem(
            code=ReasonCode.STORE_UNAVAILABLE,
            field="snapshot",
            found="another run that took the same rows for another window at the same time",
            allowed="one of them after the other",
            fix="it is tried again: the next try finds that run's snapshot, and writes its own beside it",
            where=snapshot.uri,
        )
    )


def _sweep(spec: ModelSpec, storage: Storage, now: datetime) -> None:
    """Remove what killed runs left behind, once no run can still be writing it."""
    folder = f"snapshots/{spec.name}"
    oldest = f"{_STAGING}{now - _STALE:{_STAMP}}"
    for name in storage.names(folder):
        if name.startswith(_STAGING) and name < oldest:
            storage.delete(f"{folder}/{name}")


def issues(spec: ModelSpec, store: DataStore, window: Window, unlabelled: int) -> Iterator[Problem]:
    """Rows that are left out, by why: known issues for the manifest."""
    if unlabelled:
        yield _left_out(ReasonCode.LABELS_MISSING, "data.label", unlabelled, f"label '{spec.data.label}'")
    undated = store.undated(spec.data.time, window)
    if undated:
        yield _left_out(ReasonCode.TIME_INVALID, "data.time", undated, f"event time '{spec.data.time}', in any window")


def no_features(spec: ModelSpec, columns: Sequence[Column]) -> Iterator[Problem]:
    """Columns that would be features if their type were that of one: times, bytes, lists and the like."""
    data, features = spec.data, spec.features
    if features.numeric or features.categorical or features.transformer is not None:
        return
    taken = {data.time, data.label, data.weight, spec.gate.champion.entity, *data.key, *features.exclude}
    taken |= set(features.calendar)
    fits = {"number", "boolean", "text"}
    others = [c for c in columns if c.name not in taken and kind_of_type(c.type) not in fits]
    if others:
        yield Problem(
            code=ReasonCode.COLUMN_EXTRA,
            field="features",
            found=f"{len(others)} columns whose type is that of no feature: "
            f"{one_of(f'{column.name} ({column.type})' for column in others).removeprefix('one of: ')}",
            allowed="numbers, booleans and texts",
            fix="they are left out; make numbers of dates by features.calendar, or of anything in a "
            "features.transformer, or name them in features.exclude",
        )


def _left_out(code: ReasonCode, where: str, count: int, what: str) -> Problem:
    return Problem(
        code=code,
        field=where,
        found=f"{count} rows without a {what}",
        allowed="rows that have one",
        fix="they are left out; look at the source if they are more than usual",
    )


def nothing(spec: ModelSpec, store: DataStore, window: Window, unlabelled: int) -> DataError:
    """The window holds no row that could be learned from."""
    subject = f"{store.description}, window {window}"
    if unlabelled:
        return DataError(
            Problem(
                code=ReasonCode.LABELS_MISSING,
                field="data.label",
                found=f"no label '{spec.data.label}' in any of {unlabelled} rows",
                allowed="rows with a label",
                fix="check that outcomes arrive, and that data.label_delay covers how late they do",
            ),
            subject=subject,
        )
    ends = store.bounds(spec.data.time)
    there = f"times from {ends[0].isoformat()} to {ends[1].isoformat()}" if ends else "no times at all"
    return DataError(
        Problem(
            code=ReasonCode.WINDOW_EMPTY,
            field="data.window",
            found=f"no row in the window; the source holds {there}",
            allowed="at least one row",
            fix=_reach(spec, window, ends),
        ),
        subject=subject,
    )


def _reach(spec: ModelSpec, window: Window, ends: tuple[datetime, datetime] | None) -> str:
    """What brings rows into the window; of a source that ended before it, an as-of time that it reaches."""
    if ends is None or ends[1] >= window.start:
        return "check the as-of time, data.window and data.label_delay, or load the missing rows"
    known = ends[1] + spec.data.label_delay + timedelta(days=1)
    return (
        "load the newer rows; where these are history, ask for a run as of a time that they reach: "
        f"""airflow dags trigger {spec.name}.train --conf '{{"as_of": "{known:%Y-%m-%d}T00:00:00Z"}}'"""
    )
