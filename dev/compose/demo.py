"""One month of real flights through the loop of compose.yaml: with a container engine, or as plain processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dev.compose.description import FILE, load
from dev.compose.processes import Topology, admin_password
from dev.errors import DevError
from dev.stack.airflow_api import AirflowApi
from dev.stack.dag_runs import Runs
from dev.stack.home import Home

if TYPE_CHECKING:
    from dev.stack.airflow_api import Json

MODEL = "flight_delay"
AS_OF = datetime(2013, 3, 1, tzinfo=UTC)
USER = "admin"
Say = Callable[[str], None]


def with_engine(variables: Mapping[str, str], say: Say) -> None:
    """Build and start the containers, and train the model; they stay up.

    Raises
    ------
    DevError
        If there is no engine, or it fails.
    """
    compose = ["docker", "compose", "--file", str(FILE)]
    if not _answers([*compose, "version"]):
        raise DevError(
            "there is no Docker with its compose plugin here: install them (https://docs.docker.com/engine/install), "
            "or call `make processes-demo`, which runs the same services as plain processes"
        )
    data = Path(variables.get("DATA") or FILE.parent / "data")
    secrets = Path(variables.get("SECRETS") or FILE.parent / "secrets")
    _build_flights(data)
    _run(["sh", str(FILE.with_name("secrets.sh")), str(secrets)], variables)
    services = load(variables)
    # Those that are done after one command are waited for by the ones that need them.
    stay = [name for name, one in services.items() if one.health and not one.profiles]
    _run([*compose, "up", "--build", "--detach", "--wait", *stay], variables)
    airflow, mlflow = (f"http://127.0.0.1:{next(iter(services[name].published))}" for name in ("api-server", "mlflow"))
    password = admin_password(secrets)
    train(airflow, mlflow, password, FILE.parent, say)
    say(f"Airflow  {airflow}   user {USER}   password {password}\nMLflow   {mlflow}")
    say(f"all of it stays up: {' '.join(compose)} down --volumes ends it, and deletes what it kept")


def as_processes(root: Path, dags: Path, say: Say) -> None:
    """Start the same services as processes below a folder, train the model, and stop them."""
    data = root / "data"
    _build_flights(data)
    with Topology(root / "home", {"DAGS": str(dags), "DATA": str(data)}, say) as topology:
        airflow, mlflow = topology.url("api-server", 8080), topology.url("mlflow", 5000)
        train(airflow, mlflow, topology.password(), topology.root, say)
    say("everything that was started is stopped")


def train(airflow: str, mlflow: str, password: str, logs: Path, say: Say) -> None:
    """Run `flight_delay.train` once, and say who serves then, and why."""
    from airflow_mlops.stores.mlflow.client import connect
    from airflow_mlops.stores.mlflow.errors import Address
    from airflow_mlops.stores.mlflow.store import MLflowStore

    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    runs = Runs(AirflowApi(airflow, USER, password), Home(logs), lambda _: None)
    dag_id = f"{MODEL}.train"
    runs.wait_for_dag(dag_id, seconds=180)
    run: Json = runs.trigger(dag_id, f"demo_{AS_OF:%Y-%m-%d}", {"as_of": AS_OF.isoformat()})
    champion = MLflowStore(connect(Address(uri=mlflow))).registry.champion(MODEL)
    if champion is None:
        raise DevError(f"{dag_id} ended as {run['state']}, and nobody serves: its gate refused the model")
    rows = champion.candidate.train_rows + champion.candidate.holdout_rows
    say(f"{dag_id}: version {champion.version} of {rows:,} flights serves, as of {champion.candidate.as_of:%Y-%m-%d}")


def _build_flights(data: Path) -> None:
    from dev.demo import flights

    flights.build(data)


def _answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _run(command: list[str], variables: Mapping[str, str]) -> None:
    done = subprocess.run(command, env={**os.environ, **variables}, check=False)
    if done.returncode != 0:
        raise DevError(f"'{' '.join(command)}' ended with status {done.returncode}; what it said stands above")
