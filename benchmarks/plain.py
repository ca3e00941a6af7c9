"""The loop's core calls in one plain process: what the stages cost without Airflow and MLflow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_mlops.core.ports import DataStore, Storage
    from airflow_mlops.core.records.candidate import Champion
    from airflow_mlops.spec import ModelSpec


def loop(folder: str, spec: str, as_of: list[str]) -> dict[str, Any]:
    """Run the stages for two as-of times; the seconds are those of the second, which has a champion.

    Parameters
    ----------
    folder
        Where relative data paths of the specification start from.
    spec
        Path of the specification.
    as_of
        Two instants, ISO 8601.
    """
    began = time.perf_counter()
    from airflow_mlops.preload import preload
    from airflow_mlops.spec import load_spec
    from airflow_mlops.stores.open_source import open_source
    from airflow_mlops.stores.storage.storage import open_storage

    assert not preload(), "a library of the loop cannot be imported"
    imported = time.perf_counter() - began
    model = load_spec(Path(spec))
    with TemporaryDirectory(prefix="mlops-bench-") as place:
        store, storage = open_source(model.data.source, data_root=folder), open_storage(place)
        first, second = (datetime.fromisoformat(instant) for instant in as_of)
        before = _Month(model, store, storage, first)
        champion = before.train_and_judge(None)
        measured = _Month(model, store, storage, second)
        measured.train_and_judge(champion)
        measured.serve(champion)
    return {"seconds": measured.seconds, "import_seconds": imported}


class _Month:
    def __init__(self, spec: ModelSpec, store: DataStore, storage: Storage, as_of: datetime) -> None:
        self.spec, self.store, self.storage, self.as_of = spec, store, storage, as_of
        self.seconds: dict[str, float] = {}

    @contextmanager
    def _timed(self, task: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[task] = time.perf_counter() - began

    def train_and_judge(self, champion: tuple[Champion, Any, Any] | None) -> tuple[Champion, Any, Any]:
        from airflow_mlops.core.gate import decide, evaluate
        from airflow_mlops.core.snapshot import read_snapshot, take_snapshot
        from airflow_mlops.core.training import candidate_from, champion_of, fit, reference_profile
        from airflow_mlops.core.validation import enforce, validate_snapshot

        spec, now = self.spec, datetime.now(UTC)
        with self._timed("snapshot"):
            snapshot = take_snapshot(spec, self.as_of, self.store, self.storage, now=now)
        with self._timed("validate"):
            enforce(validate_snapshot(spec, snapshot, read_snapshot(snapshot, self.storage)))
        with self._timed("train"):
            fitted = fit(spec, snapshot, read_snapshot(snapshot, self.storage))
            profile = reference_profile(spec, snapshot, fitted)
        candidate = candidate_from(
            spec, snapshot, fitted, loop_run="bench/bench", run_id="bench", model_uri="models:/m-bench"
        )
        old, old_pipeline = champion[:2] if champion else (None, None)
        with self._timed("gate"):
            frame = read_snapshot(snapshot, self.storage)
            models = candidate, fitted.pipeline, old, old_pipeline
            decide(spec, candidate, evaluate(spec, *models, frame, snapshot=snapshot), now=now)
        return champion_of(candidate.model, candidate, 1), fitted.pipeline, profile

    def serve(self, champion: tuple[Champion, Any, Any]) -> None:
        from airflow_mlops.core.monitoring.drift import observe
        from airflow_mlops.core.monitoring.performance import measure_performance
        from airflow_mlops.core.records.retraining import History, MonitoringInput
        from airflow_mlops.core.records.snapshot import Window
        from airflow_mlops.core.retraining import count_new_rows, decide_retraining
        from airflow_mlops.core.scoring import score

        serving, pipeline, profile = champion
        window = Window(start=self.as_of - self.spec.scoring.window, end=self.as_of)
        with self._timed("score"):
            score(self.spec, serving, pipeline, self.store, self.storage, window, loop_run="bench/bench")
        with self._timed("drift"):
            report = observe(self.spec, serving, profile, self.store, self.storage, self.as_of)
        with self._timed("performance"):
            places = self.store, self.storage
            performance = measure_performance(self.spec, serving, lambda: pipeline, *places, self.as_of, decision=None)
        with self._timed("retrain"):
            new_rows = count_new_rows(self.spec, serving, self.store, self.as_of)
            seen = MonitoringInput(drift=report, performance=performance, new_rows=new_rows)
            decide_retraining(self.spec, serving, seen, History(), self.as_of)
