"""Which watchers a model's `retrain` asset has. Nothing is imported for a model that has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import AssetWatcher

    from airflow_mlops.spec import ModelSpec


def watchers_of(spec: ModelSpec) -> list[AssetWatcher]:
    """Return the watcher of new data, when `retraining.on_new_data` asks for it; of a retired model none.

    Examples
    --------
    >>> from airflow_mlops.spec import ModelSpec
    >>> spec = ModelSpec.model_validate({
    ...     "name": "m", "owner": "o", "training": {"estimator": "sklearn.dummy.DummyClassifier"},
    ...     "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y"}})
    >>> watchers_of(spec)
    []
    """
    step = spec.retraining.on_new_data
    if step is None or spec.retired:
        return []
    from airflow.sdk import AssetWatcher

    from airflow_mlops.triggers.events import NewDataEventTrigger

    # The data's place is resolved where it is looked at: by the triggerer.
    trigger = NewDataEventTrigger(
        source=spec.data.source.model_dump(mode="json"),
        time=spec.data.time,
        step=step.total_seconds(),
        model=spec.name,
    )
    return [AssetWatcher(name=f"{spec.name}.new_data", trigger=trigger)]
