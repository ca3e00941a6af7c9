"""What can be wrong with a snapshot, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.records.snapshot import Snapshot, Window
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode


def issues(spec: ModelSpec, store: DataStore, unlabelled: int) -> Iterator[Problem]:
    """Rows that are left out, by why: known issues for the manifest."""
    if unlabelled:
        yield _left_out(ReasonCode.LABELS_MISSING, "data.label", unlabelled, f"label '{spec.data.label}'")
    undated = store.undated(spec.data.time)
    if undated:
        yield _left_out(ReasonCode.TIME_INVALID, "data.time", undated, f"event time '{spec.data.time}', in any window")


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
            fix="check the as-of time, data.window and data.label_delay, or load the missing rows",
        ),
        subject=subject,
    )


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
