"""A live stack for tests: PostgreSQL, MLflow and Airflow's four processes, over a folder of DAGs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_mlops.stores.mlflow.store import MLflowStore
from dev.stack.airflow_api import AirflowApi, Json, run_path
from dev.stack.dag_runs import Runs
from dev.stack.home import Home, State
from dev.stack.supervisor import USER

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
SMALL = """
name: {name}
owner: tests
data: {{source: {{path: data/{folder}/}}, time: at, key: id, label: bought, window: 40d}}
training: {{estimator: sklearn.linear_model.LogisticRegression}}
gate: {gate}
scoring: {{schedule: null, window: 10d}}
monitoring: {{schedule: null, window: 10d{monitoring}}}
execution: {{retries: 0}}
{more}
"""
DAG_FILE = """
from pathlib import Path

from airflow_mlops.dags import load_models

globals().update(load_models(Path(__file__).parent / "models"))
"""


def small(
    name: str, gate: str = "{holdout: 10d}", more: str = "", *, folder: str = "small", monitoring: str = ""
) -> str:
    """Return a specification of the rows that :func:`write_rows` writes."""
    return SMALL.format(name=name, gate=gate, more=more, folder=folder, monitoring=monitoring)


def asking(name: str, approval: str, more: str = "") -> str:
    """Return the specification of a model that a person must approve.

    Its gate accepts a candidate that is no worse, so that the same rows give a second candidate to ask about.
    """
    gate = "{holdout: 10d, champion: {hypothesis: noninferiority, margin: 0.1}}"
    return small(name, gate, f"risk_tier: high\npromotion: {{approval: {{tiers: [high], {approval}}}}}\n{more}")


MODELS = {
    "small": small("small"),
    # `admin` is the stack's user
    "asked": asking("asked", "approvers: [admin], timeout: 1d"),
    "unanswered": asking("unanswered", "timeout: 3s"),
    "others": asking("others", "approvers: [ada], timeout: 1d"),
    "drifting": small(
        "drifting",
        more="retraining: {cooldown: 0d}",
        folder="drifting",
        monitoring=", drift: {min_rows: 300, violations: 1, of: 1}",
    ),
}
"""Specifications by file name: models of the tests of this folder."""


def write_rows(
    folder: Path, days: int = 40, per_day: int = 60, until: datetime = AS_OF, shift: float = 0.0, name: str = "rows"
) -> None:
    """Write rows whose `x` is moved by `shift`, and whose outcome then depends on `x` the other way round."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    rows = days * per_day
    x, kind = random.normal(size=rows), random.choice(["a", "b", "c"], size=rows)
    chance = 1 / (1 + np.exp((1.5 if shift else -1.5) * x - (kind == "a")))
    at = [until - timedelta(days=days) + timedelta(minutes=24 * 60 * i / per_day) for i in range(rows)]
    frame = pd.DataFrame(
        {
            "id": np.arange(rows) + (0 if name == "rows" else 1_000_000),
            "at": at,
            "x": x + shift,
            "kind": kind,
            "bought": random.random(rows) < chance,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(folder / f".{name}.parquet", coerce_timestamps="us", index=False)
    (folder / f".{name}.parquet").rename(folder / f"{name}.parquet")  # whole, or not there


@dataclass
class Live:
    home: Home
    dags: Path

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "dev",
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

    def mlflow_runs(self, model: str, run_id: str) -> list[str]:
        """Return the MLflow runs of a run of the model's train DAG: one, if all is well."""
        from mlflow import MlflowClient

        client = MlflowClient(self.state.mlflow_url)
        experiment = client.get_experiment_by_name(model)
        assert experiment is not None
        query = f"tags.`mlops.loop_run` = '{model}.train/{run_id}'"
        return [run.info.run_id for run in client.search_runs([experiment.experiment_id], query)]

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        tasks = self.runs.api.get(f"{run_path(dag_id, run_id)}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in tasks}
