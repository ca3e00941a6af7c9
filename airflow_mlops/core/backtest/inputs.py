"""What the tasks of a backtest read: models, the rows they were trained on, rows to come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.backtest.cache import KeyLocks, ResultCache
from airflow_mlops.core.backtest.plan import Plan
from airflow_mlops.core.backtest.score_log import SubfolderStorage
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.backtest import Trained
from airflow_mlops.core.records.candidate import Candidate, Champion, Label
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.training import champion_of

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.faults import DayRows
    from airflow_mlops.core.monitoring.performance import Prepared
    from airflow_mlops.core.training import Fitted


MOST_ROWS = 300_000
"""Rows of futures that a process holds: some hundred megabytes."""
HISTORY = "history"
"""Folder of the finished work on the steps before the span."""


@dataclass(frozen=True, kw_only=True)
class InputSources:
    """How any process comes to the inputs; it can be sent to one."""

    plan: Plan
    open_store: Callable[[], DataStore]
    open_storage: Callable[[], Storage]
    locks: Path | None = None
    """File of the locks that the processes share; None: there is one process."""
    history: Plan | None = None
    """Steps before the span; None: no policy asks for them, or there are too few."""

    def open(self, *, frozen: bool = False) -> Inputs:
        """Open source and folder; a frozen cache computes nothing."""
        locks = None if self.locks is None or frozen else KeyLocks(self.locks)
        store, storage = self.open_store(), self.open_storage()
        history = None
        if self.history is not None:
            before = ResultCache(SubfolderStorage(storage, HISTORY), locks, frozen=frozen)
            history = Inputs(self.history, before, store)
        return Inputs(self.plan, ResultCache(storage, locks, frozen=frozen), store, history)


class FrameCache:
    """Labelled rows as they were read, the latest used ones: the models of all steps predict the same few futures.

    Parameters
    ----------
    read
        Reads what is not held.
    most_rows
        That are held together; the last two frames are, however long they are.
    """

    def __init__(self, read: Callable[..., tuple[pd.DataFrame, pd.Series[Any]]], most_rows: int = MOST_ROWS) -> None:
        self._read, self._most_rows = read, most_rows
        self._held: OrderedDict[tuple[Any, ...], tuple[pd.DataFrame, pd.Series[Any]]] = OrderedDict()

    def __call__(self, *key: Any) -> tuple[pd.DataFrame, pd.Series[Any]]:
        """Return the rows of a key, read or held."""
        found = self._held.pop(key, None)
        self._held[key] = self._read(*key) if found is None else found
        while len(self._held) > 2 and self.rows > self._most_rows:  # noqa: PLR2004 - two steps in a row are compared
            self._held.popitem(last=False)
        return self._held[key]

    @property
    def rows(self) -> int:
        """Rows that are held."""
        return sum(len(frame) for frame, _ in self._held.values())

    def __len__(self) -> int:
        return len(self._held)


class Inputs:
    """The inputs of one process, with the last few models and frames in memory: tasks in a row read the same ones."""

    def __init__(self, plan: Plan, cache: ResultCache, store: DataStore, history: Inputs | None = None) -> None:
        self.plan, self.spec, self.cache, self.store = plan, plan.spec, cache, store
        self.history = history
        """Those of the steps before the span."""
        self.pipeline = lru_cache(maxsize=8)(lambda version: cache.read_model(version, plan.spec))
        """Fitted pipeline of a version."""
        self.rows = lru_cache(maxsize=2)(self._read_rows)
        """Snapshot that a version was trained on, and its rows."""
        self.days = lru_cache(maxsize=2)(self._read_days)
        """A sample of each day's rows of a snapshot."""
        self._future = FrameCache(self._read_future)
        self._prepared: tuple[object, Prepared] | None = None

    def candidate(self, version: int) -> Candidate:
        """Record of a version."""
        return self._trained(version)[0]

    def champion(self, version: int) -> Champion:
        """A version as the registry would tell it."""
        return champion_of(self.spec.registered_model, self.candidate(version), version)

    def fitted(self, version: int) -> Fitted:
        """What the training of a version returned, from what was kept of it."""
        from airflow_mlops.core.pipeline.features import as_features
        from airflow_mlops.core.pipeline.trusted_types import trusted_types
        from airflow_mlops.core.rows.labels import clean_labels
        from airflow_mlops.core.training import Fitted, split_frame

        spec, candidate, (_, frame) = self.spec, self.candidate(version), self.rows(version)
        classes = candidate.task != "regression"
        windows = candidate.train, candidate.holdout
        train, holdout = (clean_labels(spec, part, classes) for part in split_frame(spec, frame, windows))
        return Fitted(
            pipeline=self.pipeline(version),
            task=candidate.task,
            features=candidate.features,
            classes=candidate.classes,
            positive=candidate.positive,
            parameters=candidate.parameters,
            metrics=candidate.metrics,
            train=candidate.train,
            holdout=candidate.holdout,
            train_frame=as_features(train[0], candidate.features),
            holdout_frame=as_features(holdout[0], candidate.features),
            train_labels=train[1],
            holdout_labels=holdout[1],
            train_times=train[0][spec.data.time],
            holdout_times=holdout[0][spec.data.time],
            trusted_types=trusted_types(spec),
            warnings=(),
            convergence=candidate.convergence,
            changed=candidate.changed,
            refit_of=candidate.refit_of,
        )

    def prepared(self, key: object, make: Callable[[], Prepared]) -> Prepared:
        """What only the champion decides of a look, made once for the looks in a row that have the same key."""
        if self._prepared is None or self._prepared[0] != key:
            self._prepared = key, make()
        return self._prepared[1]

    def future(self, step: int, model: Candidate) -> tuple[pd.DataFrame, pd.Series[Any]]:
        """Labelled rows of a step's future, with what a model and the metric need of them, and their labels."""
        data, entity = self.spec.data, self.spec.gate.champion.entity
        named = (data.time, data.label, data.weight, entity, *(feature.name for feature in model.features))
        columns = tuple(dict.fromkeys(name for name in named if name is not None))
        return self._future(step, columns, model.task != "regression", model.classes)

    def _trained(self, version: int) -> tuple[Candidate, Snapshot]:
        found = self.cache.find(Trained, [version])
        if found is None or found.candidate is None or found.snapshot is None:
            raise ValueError(f"no model of version {version} was trained: nobody may ask for it")
        return found.candidate, found.snapshot

    def _read_rows(self, version: int) -> tuple[Snapshot, pd.DataFrame]:
        from airflow_mlops.core.snapshot import read_snapshot

        _, snapshot = self._trained(version)
        return snapshot, read_snapshot(snapshot, self.cache.storage)

    def _read_days(self, uri: str) -> tuple[DayRows, ...]:
        from airflow_mlops.core.snapshot import open_snapshot, sample_snapshot

        snapshot = open_snapshot(uri, self.cache.storage)
        columns = [column.name for column in snapshot.columns]
        return sample_snapshot(snapshot, self.cache.storage, columns, seed=self.spec.training.seed)

    def _read_future(
        self, step: int, columns: tuple[str, ...], classification: bool, classes: tuple[Label, ...]
    ) -> tuple[pd.DataFrame, pd.Series[Any]]:
        import pandas as pd
        import pyarrow as pa

        from airflow_mlops.core.rows.frames import to_frame
        from airflow_mlops.core.rows.labels import clean_labels

        batches = list(self.store.read(self.plan.steps[step], self.spec.data.time, columns))
        if not batches:
            return pd.DataFrame(), pd.Series(dtype="float64")
        return clean_labels(self.spec, to_frame(pa.Table.from_batches(batches)), classification, classes)
