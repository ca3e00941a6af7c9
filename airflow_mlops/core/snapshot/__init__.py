"""The first stage: the immutable rows of one window."""

from __future__ import annotations

from airflow_mlops.core.snapshot.fingerprint import ContentHash
from airflow_mlops.core.snapshot.read import (
    open_snapshot,
    open_snapshot_of,
    raise_altered,
    read_snapshot,
    require_rows_of,
    sample_snapshot,
    snapshot_batches,
    verify_snapshot,
)
from airflow_mlops.core.snapshot.sound_rows import KnownFaults
from airflow_mlops.core.snapshot.take import take_snapshot

__all__ = [
    "ContentHash",
    "KnownFaults",
    "open_snapshot",
    "open_snapshot_of",
    "raise_altered",
    "read_snapshot",
    "require_rows_of",
    "sample_snapshot",
    "snapshot_batches",
    "take_snapshot",
    "verify_snapshot",
]
