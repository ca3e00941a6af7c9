"""What stood in MLflow before is read: runs, tags, parameters and artifacts of one model, written by commit 51671ca.

That is the commit before `MLflowStore` was composed of parts. The file is data of that day and is never written anew:
names of experiments, tags, parameters and artifacts on MLflow do not change. It is planted on a real server by MLflow's
own client; ids that the server gives stand in it as ``<run 1>`` and ``<model 1>``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from airflow_mlops.core.promotion import retirement_tag, verify_trail
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop_parts import AS_OF, snapshot_of, spec_of
from tests.support.servers import mlflow_server

pytestmark = pytest.mark.mlflow
STORED = Path(__file__).parent / "mlflow_of_before" / "toy.json"
MODEL, EXPERIMENT = "toy", "frozen"
SEALS = {
    "candidate.json": "mlops.candidate_digest",
    "gate/decision.json": "mlops.decision_digest",
    "approval/approval.json": "mlops.approval_digest",
}
"""Tags that seal an artifact in which ids stand: they are made anew for the ids of this server."""
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ALL = NOW + timedelta(days=9)


class Planted:
    """The stored model on a server of its own, with that server's ids."""

    def __init__(self, uri: str, folder: Path) -> None:
        from mlflow import MlflowClient

        self.uri, self.client, self.folder = uri, MlflowClient(uri), folder
        self.ids: dict[str, str] = {}
        stored = json.loads(STORED.read_text())
        made = {}
        for name, experiment in stored["experiments"].items():  # runs first: experiments and texts name them
            home = made[name] = self.client.create_experiment(name)
            for run in experiment["runs"]:
                self.ids[run["id"]] = str(self.client.create_run(home, run_name=run["name"]).info.run_id)
        for version in stored["versions"]:
            run_id, model = self.ids[version["run_id"]], version["source"].removeprefix("models:/")
            home = self.client.get_run(run_id).info.experiment_id
            logged = self.client.create_logged_model(home, name="model", source_run_id=run_id)
            self.client.finalize_logged_model(logged.model_id, "READY")
            self.ids[model] = logged.model_id
        self._fill({name: stored["experiments"][name] for name in made}, made)
        self._register(stored["model"], stored["versions"])

    def run(self, number: int) -> str:
        return self.ids[f"<run {number}>"]

    def _real(self, text: str) -> str:
        for place, real in self.ids.items():
            text = text.replace(place, real)
        return text

    def _fill(self, experiments: dict[str, Any], made: dict[str, str]) -> None:
        for name, experiment in experiments.items():
            for key, value in experiment["tags"].items():
                self.client.set_experiment_tag(made[name], key, self._real(value))
            for run in experiment["runs"]:
                run_id, tags = self.ids[run["id"]], dict(run["tags"])
                for path, text in run["artifacts"].items():
                    real = self._real(text)
                    if real != text:
                        tags.update({SEALS[path]: hashlib.sha256(real.encode()).hexdigest()} if path in SEALS else {})
                    self._log_text(run_id, path, real)
                for key, value in run["params"].items():
                    self.client.log_param(run_id, key, self._real(value))
                for key, value in tags.items():
                    self.client.set_tag(run_id, key, self._real(value))
                if run["status"] != "RUNNING":
                    self.client.set_terminated(run_id, status=run["status"])

    def _log_text(self, run_id: str, path: str, text: str) -> None:
        target = PurePosixPath(path)
        (self.folder / target.name).write_text(text, encoding="utf-8", newline="")
        parent = None if str(target.parent) == "." else str(target.parent)
        self.client.log_artifact(run_id, str(self.folder / target.name), parent)

    def _register(self, model: dict[str, Any], versions: list[dict[str, Any]]) -> None:
        tags = {key: self._real(value) for key, value in model["tags"].items()}
        self.client.create_registered_model(model["name"], tags=tags)
        for version in versions:
            source = self._real(version["source"])
            self.client.create_model_version(
                model["name"],
                source=source,
                run_id=self._real(version["run_id"]),
                tags=version["tags"],
                model_id=source.removeprefix("models:/"),
            )
        for alias, number in model["aliases"].items():
            self.client.set_registered_model_alias(model["name"], alias, str(number))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as uri:
        yield Planted(uri, tmp_path_factory.mktemp("texts"))


@pytest.fixture
def store(planted: Planted) -> MLflowStore:
    return MLflowStore.connect(planted.uri)


def test_the_trail_is_whole_and_says_what_serves(planted: Planted, store: MLflowStore) -> None:
    events = store.trail.events(MODEL)
    kinds = ["promoting", "promoted", "promoting", "promoted", "rolling_back", "rolled_back", "retired"]
    assert [event.kind for event in events] == kinds
    assert verify_trail(store.registry, store.trail, MODEL) == ()
    assert store.trail.registered_models() == (MODEL,)
    assert store.trail.trail_run(MODEL) == planted.run(1)
    assert retirement_tag(store.registry, MODEL) == "old"


def test_versions_lead_to_their_candidates(planted: Planted, store: MLflowStore) -> None:
    champion = store.registry.champion(MODEL)
    assert champion is not None
    assert (champion.version, champion.run_id, champion.candidate.as_of) == (1, planted.run(2), AS_OF)
    assert store.registry.version(MODEL, 2).candidate == store.candidates.candidate_of(MODEL, 2)
    assert store.registry.version_of(MODEL, planted.run(3)) == 2
    assert store.registry.version_tags(MODEL, 2)["mlops.status"] == "rolled_back"  # type: ignore[index]


def test_what_made_a_candidate_and_what_was_decided_is_read(planted: Planted, store: MLflowStore) -> None:
    run_id = planted.run(2)
    assert store.lineage.spec_of(run_id).training == spec_of().training
    assert store.lineage.snapshot_of(run_id) == snapshot_of()
    assert "scikit-learn" in store.lineage.environment_of(run_id)
    decision, approval = store.decisions.decision(run_id), store.decisions.approval(run_id)
    assert decision.verdict is Verdict.ACCEPT
    assert approval is not None
    assert (approval.approved, approval.by, approval.note) == (True, "ada", "go")
    assert store.artifacts.read_text(run_id, "promotion.json").startswith("{")


def test_a_loop_run_is_found_again(planted: Planted, store: MLflowStore) -> None:
    inputs = planted.client.get_run(planted.run(3)).data.tags["mlops.inputs"]
    assert store.runs.open_run(EXPERIMENT, "toy.train/r1", model=MODEL, inputs=inputs) == planted.run(3)


def test_windows_have_their_reports(store: MLflowStore) -> None:
    drift = store.windows.drift_history(EXPERIMENT, MODEL, before=ALL)
    performance = store.windows.performance_history(EXPERIMENT, MODEL, before=ALL)
    assert [report.as_of for report in drift] == [NOW + timedelta(days=1), NOW]
    assert [report.as_of for report in performance] == [NOW + timedelta(days=1), NOW]


def test_the_retraining_log_is_read_and_goes_on(planted: Planted, store: MLflowStore) -> None:
    decisions = store.retraining_log.decisions(MODEL)
    assert [(one.number, one.key, one.action) for one in decisions] == [(1, "k0", "retrain"), (2, "k1", "retrain")]
    assert store.retraining_log.claims(MODEL) == {"k0": "toy.train/r1"}
    assert store.retraining_log.claim(MODEL, "k0", "toy.train/r2") == "toy.train/r1"
    assert store.retraining_log.log_decision(MODEL, decisions[1])
    home = planted.client.get_experiment_by_name("mlops retraining").experiment_id
    assert [run.info.run_id for run in planted.client.search_runs([home])] == [planted.run(0)]


def test_trainings_and_what_became_of_them(planted: Planted, store: MLflowStore) -> None:
    found = store.challenges.newest(EXPERIMENT, MODEL)
    assert [one.run_id for one in found] == [planted.run(3), planted.run(2)]
    assert [one.promoted for one in found] == [True, True]
    assert [one.answers for one in found] == [("k0",), ()]
