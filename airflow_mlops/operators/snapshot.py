"""Freeze the training window."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow_mlops.operators._base import LoopOperator


class SnapshotOperator(LoopOperator):
    """Write the training window, as of the run's as-of time, once and for ever.

    Returns the :class:`~airflow_mlops.core.data.Snapshot` as JSON. The same inputs give the same fingerprint, and a
    snapshot that is already there is used again.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.

    Examples
    --------
    >>> SnapshotOperator(task_id="snapshot", spec="models/flight_delay.yaml").task_id
    'snapshot'
    """

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Take the snapshot."""
        from airflow_mlops.config import settings
        from airflow_mlops.core.snapshot import take_snapshot
        from airflow_mlops.stores.sources import open_source

        spec, as_of = self.model_spec(context), self.as_of(context)
        store = open_source(spec.data.source, data_root=settings().data_root)
        snapshot = take_snapshot(spec, as_of, store, self.storage(), now=datetime.now(UTC))
        self.log.info(
            "snapshot %s: %s rows of %s, as of %s", snapshot.fingerprint[:12], snapshot.rows, snapshot.window, as_of
        )
        for issue in snapshot.known_issues:
            self.log.warning("known issue: %s", issue)
        return snapshot.to_json()
