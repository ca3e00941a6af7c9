"""What the core asks of the places where rows and files live; `airflow_mlops.stores` has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from airflow_mlops.core.records.attempt import LoopVersion
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.core.records.retraining import RetrainDecision
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.spec.problems import Problem

if TYPE_CHECKING:
    import pyarrow as pa


class DataStore(Protocol):
    """Rows with an event time, wherever they live. Every read is bounded to a window and to columns."""

    @property
    def description(self) -> str:
        """The source in words for reports and errors, without secrets."""

    def schema(self, window: Window | None = None, time: str = "") -> tuple[Column, ...]:
        """Columns of the source.

        Parameters
        ----------
        window, time
            Only what may hold rows of a window is asked: files of other times may have other columns.

        Raises
        ------
        DataError
            If the source is missing or unreadable; it names the source.
        """

    def query(self, window: Window, time: str, columns: Sequence[str]) -> str:
        """The filter or SQL that `read` would run, for the manifest."""

    def read(
        self, window: Window, time: str, columns: Sequence[str], *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Rows with ``window.start <= time < window.end``, only `columns`, in a stable order, in batches.

        The event-time column comes back as ``timestamp[us, tz=UTC]``. At most about `chunk_rows` rows are
        in memory. An empty window yields no batch (the stage says what that means).

        Raises
        ------
        DataError
            If the source or a column is missing, or the query fails; it names source and window.
        """

    def issues(self) -> Sequence[Problem]:
        """What was met in the last read of a window, and how it was treated: for the manifest."""

    def absent(self) -> Collection[str]:
        """Columns that a part of what was read last does not have: null there by schema, and no fault of the rows."""

    def has_rows(self, window: Window, time: str) -> bool:
        """Whether the window holds any row: cheap, for a sensor."""

    def profile(self, reference: Profile, window: Window, time: str) -> Profile:
        """Count the window's rows in the bins of `reference`; memory does not grow with rows.

        Columns and bins are those of `reference.columns`; `outputs` and `importance` of the result are empty, `schema`
        is that of the source. The counts are those of :func:`~airflow_mlops.core.profiles.build.profile_batches` over
        :meth:`read`, wherever the store has them counted. An empty window gives a profile of no rows.

        Raises
        ------
        DataError
            As :meth:`read`, and if a column is of another type than the reference's; it names the source and window.
        """

    def bounds(self, time: str) -> tuple[datetime, datetime] | None:
        """Earliest and latest event time of the whole source; None if it has none, or that is not to be had.

        For the message of an empty window only: it may read the event time of every row.
        """

    def undated(self, time: str, window: Window | None = None) -> int | None:
        """Rows without an event time, which no window holds; None when that is not cheap to know.

        Parameters
        ----------
        window
            Of files, only those are asked that may hold rows of it.
        """


@runtime_checkable
class PointInTimeStore(Protocol):
    """A store of rows whose labels arrive apart from them, each at its own time."""

    def known_at(self, instant: datetime) -> DataStore:
        """The same rows, with the labels that were known at an instant."""


def as_known_at(store: DataStore, instant: datetime) -> DataStore:
    """The store as of an instant: itself, unless its labels arrive apart from its rows."""
    return store.known_at(instant) if isinstance(store, PointInTimeStore) else store


class Storage(Protocol):
    """A folder of files on a disk or in an object store: where snapshots, predictions and reports live."""

    @property
    def root(self) -> str:
        """URI of the folder."""

    def uri(self, path: str) -> str:
        """URI of a path below the root."""

    def exists(self, path: str) -> bool:
        """Whether a file stands at `path`."""

    def read_text(self, path: str) -> str:
        """Whole text of a file (manifests, reports)."""

    def write_text(self, path: str, text: str) -> str:
        """Write a file whole or not at all, replacing what stood there; return its URI."""

    def write_batches(self, path: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> int:
        """Write batches as one Parquet file, whole or not at all; return the number of rows."""

    def read_batches(
        self, path: str, columns: Sequence[str] | None = None, *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Read a Parquet file in batches."""

    def move(self, path: str, target: str) -> str:
        """Give a written file its final name at once; replaces nothing that has the same name; return the URI."""

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens if there is none."""

    def names(self, folder: str) -> tuple[str, ...]:
        """Names of the files directly in a folder, sorted, also hidden ones; none if there is no such folder."""

    def folders(self, folder: str) -> tuple[str, ...]:
        """Names of the folders directly in a folder, sorted; none if there is no such folder."""


class Registry(Protocol):
    """What promotion needs of the system of record. Each method is one effect, or none."""

    def champion(self, model: str) -> Champion | None:
        """The version under the alias `champion`.

        Raises
        ------
        RecordError
            If the alias points at a version whose record is missing or unreadable.
        """

    def version(self, model: str, number: int) -> Champion:
        """A version as if it served: with the record of its training.

        Raises
        ------
        RecordError
            VERSION_MISSING, if it does not exist (any more); CHAMPION_UNREADABLE, if its record cannot be read.
        """

    def version_of(self, model: str, run_id: str) -> int | None:
        """The version that this run registered, if it did."""

    def loop_versions(self, model: str, loop_run: str) -> Sequence[LoopVersion]:
        """Every version that a loop run or its refit registered, in the order of their numbers."""

    def register(self, model: str, candidate: Candidate, tags: Mapping[str, str]) -> int:
        """Register the candidate's model; returns the version that already stands for this run, if one does.

        Raises
        ------
        RecordError
            If that version was made from another model.
        """

    def require_intact(self, candidate: Candidate) -> None:
        """Refuse a candidate whose stored model is not byte for byte what was recorded when it was trained.

        Raises
        ------
        RecordError
            MODEL_ALTERED, or RECORD_CONFLICT if the model is gone.
        """

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point an alias at a version."""

    def alias(self, model: str, alias: str) -> int | None:
        """The version under an alias, if any."""

    def version_tags(self, model: str, version: int) -> Mapping[str, str] | None:
        """Tags of a version; None if it does not exist (any more)."""

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""

    def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias; nothing happens if there is none."""

    def model_tags(self, model: str) -> Mapping[str, str]:
        """Tags of the registered model; none when there is no such model."""

    def tag_model(self, model: str, tags: Mapping[str, str]) -> None:
        """Set tags of the registered model, which is made with them if there is none."""


class AuditTrail(Protocol):
    """The audit trail of one registered model: append-only, numbered without gaps, and the arbiter of who is first."""

    def events(self, model: str) -> tuple[AuditEvent, ...]:
        """Every event, oldest first.

        Raises
        ------
        RecordError
            AUDIT_BROKEN, if an event is missing, or one is not what its successor's hash says.
        """

    def append(self, model: str, event: AuditEvent) -> bool:
        """Write an event at its number, once: False when another event stands there already.

        Of several that write the same number at the same time, exactly one gets True, on every machine; the one
        that wrote it gets True again when its answer was lost and it asks again.
        """


class RetrainLog(Protocol):
    """The numbered log of one model's decisions to act: the arbiter of who is first."""

    def decisions(self, model: str) -> tuple[RetrainDecision, ...]:
        """Every logged decision, oldest first."""

    def log_decision(self, model: str, decision: RetrainDecision) -> bool:
        """Write a decision at its number, once: False when another one stands there already."""

    def claim(self, model: str, key: str, loop_run: str) -> str:
        """Claim a decision for a training run, once; return the loop run that holds it, this one or an earlier."""

    def claims(self, model: str) -> Mapping[str, str]:
        """Who holds what: the loop run, by key."""
