"""Freeze the training window."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops.operators._base import LoopOperator, skip_retired

if TYPE_CHECKING:
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.core.records.candidate import Champion
    from airflow_mlops.core.snapshot import KnownFaults
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore


class SnapshotOperator(LoopOperator):
    """Write the training window, as of the run's as-of time, once and for ever.

    Returns the :class:`~airflow_mlops.core.records.snapshot.Snapshot` as JSON. The same inputs give the same
    fingerprint, and a snapshot that is already there is used again.

    A run that events caused which carry the `key` of a decision first claims these decisions: a decision is trained on
    once, however often its event comes. The task, and so the run, is skipped when other runs hold all of them.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.

    Examples
    --------
    >>> SnapshotOperator(task_id="snapshot", spec="models/flight_delay.yaml").task_id
    'snapshot'
    """

    trains = True

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Take the snapshot."""
        from airflow_mlops.config import settings
        from airflow_mlops.core.promotion import retirement_tag
        from airflow_mlops.core.records.promotion import retired_because
        from airflow_mlops.core.snapshot import take_snapshot
        from airflow_mlops.stores.open_source import open_rows

        spec, as_of = self.model_spec(context), self.as_of(context)
        self._require_own(spec)
        self._claim(spec, context)
        with self.records(spec) as records:
            skip_retired(retired_because(spec, retirement_tag(records.registry, spec.registered_model)))
            also, faults = told_by_champion(spec, as_of, records.find_champion(spec), records, self.storage())
        store = open_rows(spec, data_root=settings().data_root)
        snapshot = take_snapshot(spec, as_of, store, self.storage(), now=datetime.now(UTC), also=also, faults=faults)
        self.log.info(
            "snapshot %s: %s rows of %s, as of %s", snapshot.fingerprint[:12], snapshot.rows, snapshot.window, as_of
        )
        for issue in snapshot.known_issues:
            self.log.warning("known issue: %s", issue)
        return snapshot.to_json()

    def _require_own(self, spec: ModelSpec) -> None:
        """Refuse a model or a folder that is another specification's, before anything is read or written."""
        with self.records(spec) as records:
            records.require_owner(spec)
            records.claim_folder(spec, self.storage())

    def _claim(self, spec: ModelSpec, context: Any) -> None:
        """Claim the decisions that this run's events carry; skip when every one of them is another run's.

        An event without a key asks for a run of its own, and cannot be told from another.
        """
        from airflow.sdk.exceptions import AirflowSkipException

        from airflow_mlops.asof import events_of

        keys = [event.get("key") for event in events_of(context)]
        named = list(dict.fromkeys(str(key) for key in keys if key))
        if not named:
            return
        mine = self.loop_run(context)
        with self.records(spec) as records:
            holders = {key: records.retraining_log.claim(spec.name, key, mine) for key in named}
        others = {key: holder for key, holder in holders.items() if holder != mine}
        for key, holder in others.items():
            self.log.info("%s was trained on by %s", key, holder)
        if len(others) == len(named) and all(keys):
            runs = ", ".join(sorted(set(others.values())))
            raise AirflowSkipException(
                f"already trained on by {runs}: the event of {', '.join(named)} came again. If that run failed, clear "
                f"it; if it was deleted, trigger {context['ti'].dag_id} by hand"
            )


def told_by_champion(
    spec: ModelSpec, as_of: datetime, champion: Champion | None, records: MLflowStore, storage: Storage
) -> tuple[tuple[str, ...], KnownFaults]:
    """Return what the champion tells a snapshot: columns that the gate needs, and which days are sound.

    Its features are needed also when the specification no longer lists them; without listed features every column is
    kept anyway.
    """
    from airflow_mlops.core.promotion import released_spans
    from airflow_mlops.core.snapshot import KnownFaults

    if champion is None:
        return (), KnownFaults()
    history = records.windows.drift_history(spec.experiment, spec.name, before=as_of, limit=1)
    released = released_spans(records.trail.events(spec.registered_model))
    listed = spec.features.numeric or spec.features.categorical
    also = tuple(feature.name for feature in champion.candidate.features) if listed else ()
    seed = spec.training.seed
    return also, KnownFaults.of_champion(champion, storage, seed=seed, history=history, released=released)
