"""The real thing: PostgreSQL, MLflow and Airflow's four processes; a run over the REST API; the result in MLflow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_mlops.core.model import Verdict
from airflow_mlops.local.airflow_api import AirflowApi, Json, run_path
from airflow_mlops.local.home import Home, State
from airflow_mlops.local.process import family, start_mark
from airflow_mlops.local.runs import Runs
from airflow_mlops.local.stack import NAMES, USER
from airflow_mlops.stores.mlflow_store import MLflowStore

pytestmark = pytest.mark.stack

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
SPEC = """
name: small
owner: tests
data: {source: {path: data/small/}, time: at, key: id, label: bought, window: 40d}
training: {estimator: sklearn.linear_model.LogisticRegression}
gate: {holdout: 10d}
scoring: {schedule: null, window: 10d}
monitoring: {schedule: null, window: 10d}
execution: {retries: 0}
"""
DAG_FILE = """
from pathlib import Path

from airflow_mlops.dags import load_models

globals().update(load_models(Path(__file__).parent / "models"))
"""


def write_rows(folder: Path, days: int = 40, per_day: int = 60) -> None:
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    rows = days * per_day
    x, kind = random.normal(size=rows), random.choice(["a", "b", "c"], size=rows)
    chance = 1 / (1 + np.exp(-1.5 * x - (kind == "a")))
    at = [AS_OF - timedelta(days=days) + timedelta(minutes=24 * 60 * i / per_day) for i in range(rows)]
    frame = pd.DataFrame(
        {"id": np.arange(rows), "at": at, "x": x, "kind": kind, "bought": random.random(rows) < chance}
    )
    folder.mkdir(parents=True)
    frame.to_parquet(folder / "rows.parquet", coerce_timestamps="us", index=False)


@dataclass
class Live:
    home: Home
    dags: Path

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "airflow_mlops.local",
            *words,
            "--home",
            str(self.home.root),
            "--dags",
            str(self.dags),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)

    @property
    def state(self) -> State:
        state = State.load(self.home)
        assert state is not None
        return state

    @property
    def records(self) -> MLflowStore:
        return MLflowStore.connect(self.state.mlflow_url)

    @property
    def runs(self) -> Runs:
        api = AirflowApi(self.state.airflow_url, USER, self.state.password)
        return Runs(api, self.home, lambda _: None)

    def train(self, run_id: str) -> Json:
        self.runs.wait_for_dag("small.train")
        return self.runs.trigger("small.train", run_id, {"as_of": AS_OF.isoformat()})


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    root = tmp_path_factory.mktemp("stack")
    stack = Live(Home(root / "its home"), root / "dags")
    (stack.dags / "models").mkdir(parents=True)
    (stack.dags / "models" / "small.yaml").write_text(SPEC)
    (stack.dags / "loop.py").write_text(DAG_FILE)
    stack.home.make()
    write_rows(stack.home.data / "small")
    try:
        started = stack.command("up")
        assert started.returncode == 0, started.stderr
        yield stack
    finally:
        stack.command("down")


def mlflow_runs(live: Live, run_id: str) -> list[str]:
    from mlflow import MlflowClient

    client = MlflowClient(live.state.mlflow_url)
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"tags.`mlops.loop_run` = 'small.train/{run_id}'")
    return [run.info.run_id for run in found]


def task_states(live: Live, run_id: str) -> dict[str, str]:
    tasks = live.runs.api.get(f"{run_path('small.train', run_id)}/taskInstances")["task_instances"]
    return {task["task_id"]: task["state"] for task in tasks}


def test_a_run_over_the_api_makes_a_champion_that_mlflow_knows(live: Live) -> None:
    run = live.train("first")
    assert run["state"] == "success"
    assert set(task_states(live, "first").values()) == {"success"}

    (run_id,) = mlflow_runs(live, "first")
    champion = live.records.champion("small")
    assert champion is not None
    assert (champion.version, champion.run_id) == (1, run_id)
    assert champion.candidate.as_of == AS_OF
    assert live.records.decision(run_id).verdict is Verdict.ACCEPT

    path = f"{run_path('small.train', 'first')}/taskInstances"
    links = live.runs.api.get(f"{path}/train/links")["extra_links"]
    assert links["MLflow run"] == live.records.run_url(run_id)
    assert live.runs.api.get(f"{path}/promote/links")["extra_links"]["Model version"] == live.records.version_url(
        "small", 1
    )


def test_the_same_model_again_is_not_promoted_and_that_is_no_failure(live: Live) -> None:
    live.train("first")
    run = live.train("second")
    assert run["state"] == "success"
    assert task_states(live, "second")["promote"] == "skipped"
    (run_id,) = mlflow_runs(live, "second")
    assert live.records.decision(run_id).verdict is not Verdict.ACCEPT
    assert live.records.alias("small", "champion") == 1


def test_scoring_and_monitoring_run(live: Live) -> None:
    live.train("first")
    for loop, task in (("score", "score"), ("monitor", "drift")):
        live.runs.wait_for_dag(f"small.{loop}")
        live.runs.trigger(f"small.{loop}", "once", {"as_of": AS_OF.isoformat()})
        report = live.runs.result(f"small.{loop}", "once", task)
        assert report["rows"] == 600
    assert [report.champion_version for report in live.records.drift_history("small", "small")] == [1]


def test_a_second_up_reuses_the_stack(live: Live) -> None:
    before = live.state
    again = live.command("up")
    assert again.returncode == 0
    assert again.stdout.startswith("already up")
    assert live.state == before


def test_a_killed_process_is_noticed_and_up_repairs_the_stack(live: Live) -> None:
    live.train("first")
    before = live.state
    pids = {service.name: service.pid for service in before.services}
    assert set(pids) == set(NAMES)
    os.kill(pids["scheduler"], signal.SIGKILL)
    os.kill(pids["postgres"], signal.SIGKILL)
    while any(start_mark(pids[name]) for name in ("scheduler", "postgres")):
        os.sched_yield()
    status = live.command("status")
    assert status.returncode == 1
    assert [line.split()[0] for line in status.stdout.splitlines() if "DEAD" in line] == ["postgres", "scheduler"]

    repaired = live.command("up")
    assert repaired.returncode == 0, repaired.stderr
    assert (live.state.airflow_port, live.state.password) == (before.airflow_port, before.password)
    assert all(service.alive for service in live.state.services)
    assert [service for service in before.services if service.alive or family(service)] == []
    assert live.records.alias("small", "champion") == 1
    assert live.train("after the kill".replace(" ", "_"))["state"] == "success"


def test_down_leaves_nothing_behind(live: Live) -> None:
    services = live.state.services
    down = live.command("down")
    assert down.returncode == 0
    assert all(name in down.stdout for name in NAMES)
    assert [service.name for service in services if service.alive or family(service)] == []
    assert live.command("down").stdout == "nothing to stop\n"
