"""What compose.yaml describes, run: a model becomes champion through Celery workers, with MLflow and logs on S3."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from pathlib import Path

from airflow_mlops.stores.mlflow.store import MLflowStore
from dev.compose.processes import Topology
from dev.stack.airflow_api import AirflowApi, run_path
from dev.stack.dag_runs import Runs
from dev.stack.home import Home
from dev.stack.process import Service
from tests.stack.live import AS_OF

SERVICES = {"postgres", "redis", "s3", "mlflow", "api-server", "scheduler", "dag-processor", "triggerer"}
WORKERS = {"worker-1", "worker-2"}


def runs_of(topology: Topology) -> Runs:
    api = AirflowApi(topology.url("api-server", 8080), "admin", topology.password())
    return Runs(api, Home(topology.root), lambda _: None)


def objects(topology: Topology, prefix: str) -> list[str]:
    """Return the keys of objects of the bucket, asked of the S3 server itself."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=topology.url("s3", 7070),
        region_name="us-east-1",
        aws_access_key_id="mlops",
        aws_secret_access_key="any",
    )
    return [found["Key"] for found in client.list_objects_v2(Bucket="mlops", Prefix=prefix).get("Contents", ())]


def logged_tasks(topology: Topology, count: int) -> set[str]:
    """Return the tasks of the first run whose logs are on S3; a worker takes each there after its task has ended."""
    deadline = time.monotonic() + 60
    while True:
        keys = objects(topology, "logs/dag_id=small.train/run_id=first/")
        tasks = {key.split("task_id=")[1].split("/")[0] for key in keys}
        if len(tasks) >= count or time.monotonic() > deadline:
            return tasks
        time.sleep(0.5)


def is_alive(service: Service) -> bool:
    return service.alive


def test_every_service_of_the_file_runs(topology: Topology) -> None:
    assert set(topology.running) == SERVICES | WORKERS
    assert all(map(is_alive, topology.running.values()))


def test_a_model_is_promoted_by_the_workers_and_lies_on_s3(topology: Topology) -> None:
    runs = runs_of(topology)
    runs.wait_for_dag("small.train")
    run = runs.trigger("small.train", "first", {"as_of": AS_OF.isoformat()})
    assert run["state"] == "success"

    tasks = runs.api.get(f"{run_path('small.train', 'first')}/taskInstances")["task_instances"]
    assert {task["state"] for task in tasks} == {"success"}
    assert {task["executor"] for task in tasks} <= {None, "CeleryExecutor"}
    ran = [name for name in WORKERS if "succeeded in" in topology.log(name).read_text()]
    assert ran != [], "no Celery worker says that it ran a task"

    champion = MLflowStore.connect(topology.url("mlflow", 5000)).registry.champion("small")
    assert champion is not None
    assert (champion.version, champion.candidate.as_of) == (1, AS_OF)
    assert [key for key in objects(topology, "mlflow/") if key.endswith("/MLmodel")] != []


def test_a_log_is_read_from_s3_by_a_server_that_shares_no_disk_with_the_workers(topology: Topology) -> None:
    runs = runs_of(topology)
    runs.wait_for_dag("small.train")
    runs.trigger("small.train", "first", {"as_of": AS_OF.isoformat()})
    assert logged_tasks(topology, 5) == {"snapshot", "validate", "train", "gate", "promote"}
    content = runs.api.get(f"{run_path('small.train', 'first')}/taskInstances/promote/logs/1", full_content="true")
    said = "\n".join(str(entry["event"]) for entry in content["content"])
    assert "s3://mlops/logs/dag_id=small.train" in said
    assert "version 1 serves now" in said


def test_scoring_and_monitoring_run_on_the_workers_too(topology: Topology) -> None:
    runs = runs_of(topology)
    runs.wait_for_dag("small.train")
    runs.trigger("small.train", "first", {"as_of": AS_OF.isoformat()})
    for loop, task in (("score", "score"), ("monitor", "drift")):
        runs.wait_for_dag(f"small.{loop}")
        runs.trigger(f"small.{loop}", "once", {"as_of": AS_OF.isoformat()})
        assert runs.result(f"small.{loop}", "once", task)["rows"] == 600
    history = MLflowStore.connect(topology.url("mlflow", 5000)).windows.drift_history(
        "small", "small", before=datetime.max.replace(tzinfo=UTC)
    )
    assert [report.champion_version for report in history] == [1]


def test_no_password_stands_in_an_environment_or_on_a_command_line(topology: Topology) -> None:
    import psutil

    secrets = [path for path in topology.secrets.iterdir() if path.name not in ("s3_credentials", "airflow_passwords")]
    words = [path.read_text() for path in secrets] + [topology.password()]
    assert len(words) == 9
    for name in topology.services:
        said = repr(topology.environment(name)) + repr(topology.command(name))
        assert [word for word in words if word in said] == []
    lines = [" ".join(psutil.Process(service.pid).cmdline()) for service in topology.running.values()]
    assert [word for word in words if any(word in line for line in lines)] == []


def test_a_process_listens_on_this_machine_only(topology: Topology) -> None:
    import psutil

    from dev.stack.process import family

    listening: list[str] = []
    for process in [process for service in topology.running.values() for process in family(service)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # a task's process that has ended meanwhile listens no more
            open_ = process.net_connections("tcp")
            listening += [one.laddr.ip for one in open_ if one.status == psutil.CONN_LISTEN]
    assert len(listening) >= 5
    assert {*listening} == {"127.0.0.1"}
    assert list(Path(topology.root).rglob("mlflow.db")) == []
