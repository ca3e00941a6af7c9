"""The whole loop in one plain process, with MLflow's records: what the tasks do, without Airflow."""

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
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.core.records.snapshot import Snapshot
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore

TAGS = {"mlops.dag_id": "bench", "mlops.task_id": "bench", "mlops.try_number": "1"}


def loop(folder: str, spec: str, as_of: list[str], mlflow_url: str) -> dict[str, Any]:
    """Run the stages for two as-of times; the seconds are those of the second, which has a champion.

    Parameters
    ----------
    folder
        Where relative data paths of the specification start from.
    spec
        Path of the specification; the model gets another name, to leave the stack's own champion alone.
    as_of
        Two instants, ISO 8601.
    mlflow_url
        The stack's MLflow server.
    """
    import yaml

    from airflow_mlops.preload import preload
    from airflow_mlops.spec import parse_spec
    from airflow_mlops.stores.mlflow.store import MLflowStore
    from airflow_mlops.stores.open_source import open_source
    from airflow_mlops.stores.storage.storage import open_storage

    assert not preload(), "a library of the loop cannot be imported"
    model = parse_spec({**yaml.safe_load(Path(spec).read_text()), "name": "plain_process"})
    seconds: dict[str, float] = {}
    with TemporaryDirectory(prefix="mlops-bench-") as place:
        store, storage = open_source(model.data.source, data_root=folder), open_storage(place)
        records = MLflowStore.connect(mlflow_url)
        for instant in as_of:
            seconds = Month(model, store, storage, records, datetime.fromisoformat(instant)).run()
    return {"seconds": seconds}


class Month:
    """One month of a model in this process; each task is timed."""

    def __init__(
        self, spec: ModelSpec, store: DataStore, storage: Storage, records: MLflowStore, as_of: datetime
    ) -> None:
        self.spec, self.store, self.storage, self.records, self.as_of = spec, store, storage, records, as_of
        self.loop_run = f"bench/{as_of.isoformat()}"
        self.seconds: dict[str, float] = {}

    @contextmanager
    def _timed(self, task: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[task] = time.perf_counter() - began

    def run(self) -> dict[str, float]:
        from airflow_mlops.core.snapshot import take_snapshot

        with self._timed("snapshot"):
            snapshot = take_snapshot(self.spec, self.as_of, self.store, self.storage, now=datetime.now(UTC))
        with self._timed("validate"):
            self._validate(snapshot)
        with self._timed("train"):
            candidate = self._train(snapshot)
        with self._timed("gate"):
            decision = self._judge(snapshot, candidate)
        with self._timed("promote"):
            self._promote(candidate, decision)
        self._serve()
        return self.seconds

    def _open_run(self, snapshot: Snapshot) -> str:
        inputs = f"{snapshot.fingerprint}/{self.spec.fingerprint}"
        return str(
            self.records.runs.open_run(
                self.spec.experiment, self.loop_run, model=self.spec.name, inputs=inputs, tags=TAGS
            )
        )

    def _validate(self, snapshot: Snapshot) -> None:
        from airflow_mlops.core.snapshot import read_snapshot
        from airflow_mlops.core.validation import enforce, validate_snapshot
        from airflow_mlops.reports.validation import render

        report = validate_snapshot(self.spec, snapshot, read_snapshot(snapshot, self.storage))
        self.storage.write_text("reports/validation.html", render(report, title="Validation", meta={}, issues=()))
        self.records.artifacts.write_record(self._open_run(snapshot), "validation/report", report)
        enforce(report)

    def _train(self, snapshot: Snapshot) -> Candidate:
        from airflow_mlops.core.snapshot import read_snapshot
        from airflow_mlops.core.training import fit, reference_profile

        run_id = self._open_run(snapshot)
        fitted = fit(self.spec, snapshot, read_snapshot(snapshot, self.storage))
        profile = reference_profile(self.spec, snapshot, fitted)
        return self.records.candidates.record_candidate(
            run_id, fitted, snapshot, self.spec, loop_run=self.loop_run, provenance=TAGS, profile=profile
        )

    def _judge(self, snapshot: Snapshot, candidate: Candidate) -> GateDecision:
        from airflow_mlops.core.gate import advice_of, decide, evaluate, sections_of
        from airflow_mlops.core.snapshot import read_snapshot
        from airflow_mlops.reports.decision.page import render
        from airflow_mlops.stores.serving_check.check import start_serving_check

        with start_serving_check(self.records, candidate, self.spec) as trial:
            frame = read_snapshot(snapshot, self.storage)
            pipeline = self.records.load_pipeline(candidate, spec=self.spec)
            champion = self.records.registry.champion(self.spec.registered_model)
            champion_pipeline = champion and self.records.load_pipeline(champion.candidate, spec=self.spec)
            models = candidate, pipeline, champion, champion_pipeline
            evaluation = evaluate(self.spec, *models, frame, snapshot=snapshot, served=trial.report)
        decision = decide(self.spec, candidate, evaluation, now=datetime.now(UTC))
        seen = sections_of(self.spec, candidate, decision)
        page = render(decision, candidate, advice_of(decision), evidence=seen)
        self.records.decisions.record_decision(candidate.run_id, decision, page_html=page)
        return decision

    def _promote(self, candidate: Candidate, decision: GateDecision) -> None:
        from airflow_mlops.core.promotion import promote

        decision = self.records.decisions.decision(candidate.run_id, expected=decision)
        name = self.spec.registered_model
        record = promote(
            decision,
            candidate,
            self.records.registry,
            self.records.trail,
            registered_model=name,
            by=f"airflow:{self.loop_run}",
            now=datetime.now(UTC),
            tags=TAGS,
        )
        self.records.decisions.record_promotion(candidate.run_id, record)

    def _serve(self) -> None:
        from airflow_mlops.core.monitoring.drift import evidently_page, observe
        from airflow_mlops.core.monitoring.performance import measure_performance
        from airflow_mlops.core.records.retraining import History, MonitoringInput
        from airflow_mlops.core.records.snapshot import Window
        from airflow_mlops.core.retraining import count_new_rows, decide_and_log
        from airflow_mlops.core.scoring import score

        with self._timed("score"):
            champion = self.records.require_champion(self.spec)
            pipeline = self.records.load_pipeline(champion.candidate, spec=self.spec)
            window = Window(start=self.as_of - self.spec.scoring.window, end=self.as_of)
            score(self.spec, champion, pipeline, self.store, self.storage, window, loop_run=self.loop_run)
        with self._timed("drift"):
            champion = self.records.require_champion(self.spec)
            reference = self.records.lineage.profile(champion.run_id)
            report = observe(self.spec, champion, reference, self.store, self.storage, self.as_of)
            page = evidently_page(self.spec, champion, self.store, self.storage, report)
            self.records.windows.record_drift(self.spec.experiment, report, page)
        with self._timed("performance"):
            champion = self.records.require_champion(self.spec)
            performance = measure_performance(
                self.spec,
                champion,
                lambda: self.records.load_pipeline(champion.candidate, spec=self.spec),
                self.store,
                self.storage,
                self.as_of,
                decision=self.records.decisions.decision(champion.run_id),
            )
            self.records.windows.record_performance(self.spec.experiment, performance)
        with self._timed("retrain"):
            champion = self.records.require_champion(self.spec)
            new_rows = count_new_rows(self.spec, champion, self.store, self.as_of)
            seen = MonitoringInput(drift=report, performance=performance, new_rows=new_rows)
            decision = decide_and_log(self.records.retraining_log, self.spec, champion, seen, History(), self.as_of)
            self.records.windows.record_retraining(self.spec.experiment, decision)
