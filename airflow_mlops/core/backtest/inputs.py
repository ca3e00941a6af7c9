"""Read again what the pieces of work of a backtest need: models, the rows they were trained on, rows to come."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.backtest.cache import State
from airflow_mlops.core.backtest.plan import Plan
from airflow_mlops.core.backtest.tasks import Train
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.records.backtest import Trained
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.training import champion_of
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.training import Fitted


class Shelf:
    """Holds a few models and frames: many pieces of work in a row ask for the same ones."""

    def __init__(self, plan: Plan, state: State, open_store: Callable[[], DataStore]) -> None:
        self.plan, self.spec, self.state = plan, plan.spec, state
        self.store = open_store()
        self.model = lru_cache(maxsize=8)(self._model)
        """Record and fitted pipeline of a version."""
        self.rows = lru_cache(maxsize=2)(self._rows)
        """Snapshot that a version was trained on, and its rows."""
        self._future = lru_cache(maxsize=2)(self._read)

    def champion(self, version: int) -> tuple[Champion, Any]:
        """A version as the registry would tell it, and its pipeline."""
        candidate, pipeline = self.model(version)
        return champion_of(self.spec.registered_model, candidate, version), pipeline

    def _model(self, version: int) -> tuple[Candidate, Any]:
        trained = self.state.get(Trained, Train(version=version).key)
        if trained.candidate is None:
            raise ValueError(f"step {version} trained no model: nobody may ask for it")
        return trained.candidate, self.state.model(version, self.spec)

    def _rows(self, version: int) -> tuple[Snapshot, pd.DataFrame]:
        from airflow_mlops.core.snapshot import read_snapshot

        snapshot = self.state.get(Trained, Train(version=version).key).snapshot
        if snapshot is None:
            raise ValueError(f"step {version} trained no model: nobody may ask for its rows")
        return snapshot, read_snapshot(snapshot, self.state.storage)

    def future(self, step: int, model: Candidate) -> tuple[pd.DataFrame, pd.Series[Any]]:
        """Labelled rows of a step's future, with what a model and the metric need of them, and their labels."""
        return self._future(step, self._columns(model), model.task != "regression")

    def _columns(self, model: Candidate) -> tuple[str, ...]:
        """What a model and the metric need of a row."""
        data, entity = self.spec.data, self.spec.gate.champion.entity
        named = (data.time, data.label, data.weight, entity, *(feature.name for feature in model.features))
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def _read(self, step: int, columns: tuple[str, ...], classification: bool) -> tuple[pd.DataFrame, pd.Series[Any]]:
        import pandas as pd
        import pyarrow as pa

        from airflow_mlops.core.rows.labels import clean_labels

        batches = list(self.store.read(self.plan.steps[step], self.spec.data.time, columns))
        if not batches:
            return pd.DataFrame(), pd.Series(dtype="float64")
        return clean_labels(self.spec, pa.Table.from_batches(batches).to_pandas(), classification)


def again_fitted(
    spec: ModelSpec, candidate: Candidate, pipeline: Any, snapshot: Snapshot, frame: pd.DataFrame
) -> Fitted:
    """What a training returned, from what was kept of it."""
    from airflow_mlops.core.pipeline.features import as_features
    from airflow_mlops.core.pipeline.trusted_types import trusted_types
    from airflow_mlops.core.rows.labels import clean_labels
    from airflow_mlops.core.training import Fitted, split_frame

    classes = candidate.task != "regression"
    train, holdout = (clean_labels(spec, part, classes) for part in split_frame(spec, snapshot, frame))
    return Fitted(
        pipeline=pipeline,
        task=candidate.task,
        features=candidate.features,
        classes=candidate.classes,
        parameters=candidate.parameters,
        metrics=candidate.metrics,
        train=candidate.train,
        holdout=candidate.holdout,
        train_frame=as_features(train[0], candidate.features),
        holdout_frame=as_features(holdout[0], candidate.features),
        train_labels=train[1],
        holdout_labels=holdout[1],
        trusted_types=trusted_types(spec),
        warnings=(),
        convergence=candidate.convergence,
    )
