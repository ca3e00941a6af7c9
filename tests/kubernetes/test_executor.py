"""The loop under the KubernetesExecutor: a pod for each stage, by the chart's template and with the chart's rights."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_mlops.stores.mlflow.store import MLflowStore
from dev.errors import DevError
from dev.stack.airflow_api import run_path
from dev.stack.dag_runs import Runs
from dev.stack.home import Home
from dev.stack.supervisor import Stack
from tests.stack.live import AS_OF, DAG_FILE, small, write_rows
from tests.support.charts import RELEASE
from tests.support.cluster import Cluster
from tests.support.kubelet import Kubelet, running_pods

STAGES = {"snapshot", "validate", "train", "gate", "promote"}


@dataclass
class Fleet:
    stack: Stack
    kubelet: Kubelet

    @property
    def runs(self) -> Runs:
        return Runs(self.stack.api(), self.stack.home, lambda _: None)


def dag_folder(folder: Path) -> Path:
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "small.yaml").write_text(small("small"))
    (folder / "loop.py").write_text(DAG_FILE)
    return folder


def template_values(stack: Stack, dags: Path) -> tuple[str, ...]:
    """Return the values by which pods find Airflow, the DAG files and the storage."""
    home, state = stack.home, stack.running
    words = {
        "AIRFLOW_HOME": "/opt/airflow",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{state.airflow_url}/execution/",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home.airflow / "logs"),
        "AIRFLOW__MLOPS__STORAGE": str(home.storage),
        "AIRFLOW__MLOPS__DATA_ROOT": str(home.root),
    }
    variables = [{"name": name, "value": value} for name, value in words.items()]
    return (
        *("--set-json", f"tasks.podTemplates.env={json.dumps(variables)}"),
        *("--set-json", 'tasks.podTemplates.volumes=[{"name": "home", "emptyDir": {}}]'),
        *("--set-json", 'tasks.podTemplates.volumeMounts=[{"name": "home", "mountPath": "/opt/airflow"}]'),
    )


@pytest.fixture(scope="module")
def fleet(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("fleet")
    namespace = cluster.namespace("fleet")
    cluster.install(RELEASE, namespace, "kubernetes-executor", "--no-hooks")
    for name in ("airflow-scheduler", "airflow-api-server"):
        cluster.account(namespace, name)
    token = cluster.token_of(namespace, "airflow-scheduler")
    template = root / "default.yaml"
    executor = {
        "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
        "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": namespace,
        "AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
        "AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE": str(cluster.kubeconfig(token, root / "kubeconfig")),
        "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": str(template),
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_PODS_CREATION_BATCH_SIZE": "4",
    }
    stack = Stack(Home(root / "home"), lambda _: None, executor)
    dags = dag_folder(root / "dags")
    write_rows(stack.home.data / "small")
    stack.up(dags, "up")
    try:
        connection = json.dumps({"conn_type": "mlflow", "host": stack.running.mlflow_url})
        cluster.secret(namespace, "airflow-mlops-connections", AIRFLOW_CONN_MLFLOW_DEFAULT=connection)
        more = template_values(stack, dags)
        cluster.install(RELEASE, namespace, "kubernetes-executor", "--no-hooks", *more, command="upgrade")
        path = f"/api/v1/namespaces/{namespace}/configmaps/{RELEASE}-airflow-mlops-pod-templates"
        template.write_text(cluster.get(path)["data"]["default.yaml"])
        with running_pods(cluster, namespace, root / "pods") as kubelet:
            yield Fleet(stack, kubelet)
    finally:
        stack.down()


def test_each_stage_is_a_pod_and_the_model_is_promoted(fleet: Fleet) -> None:
    fleet.runs.wait_for_dag("small.train")
    run = fleet.runs.trigger("small.train", "first", {"as_of": AS_OF.isoformat()})
    assert run["state"] == "success"
    labels = {name: pod["metadata"]["labels"] for name, pod in fleet.kubelet.ran.items()}
    assert {each["task_id"] for each in labels.values()} == STAGES
    assert {each["mlops-stage"] for each in labels.values()} == {"default"}
    champion = MLflowStore.connect(fleet.stack.running.mlflow_url).registry.champion("small")
    assert champion is not None
    assert (champion.version, champion.candidate.as_of) == (1, AS_OF)


def test_pods_are_what_the_chart_says(fleet: Fleet) -> None:
    pods = [pod["spec"] for pod in fleet.kubelet.ran.values()]
    assert len(pods) >= len(STAGES)
    for pod in pods:
        assert pod["serviceAccountName"] == "airflow-mlops-tasks"
        assert pod["automountServiceAccountToken"] is False
        assert pod["containers"][0]["image"] == "registry.example.com/airflow-mlops:1.2.3"
        assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_pod_whose_task_is_over_is_taken_away_and_its_log_stays(fleet: Fleet) -> None:
    content = fleet.runs.api.get(
        f"{run_path('small.train', 'first')}/taskInstances/promote/logs/1", full_content="true"
    )
    assert "version 1 serves now" in "\n".join(str(entry["event"]) for entry in content["content"])
    left = fleet.kubelet.cluster.get(f"/api/v1/namespaces/{fleet.kubelet.namespace}/pods")["items"]
    assert [pod["metadata"]["name"] for pod in left if pod["status"].get("phase") == "Failed"] == []


def test_a_pod_that_is_taken_away_fails_its_task_and_the_same_run_ends_well_when_cleared(fleet: Fleet) -> None:
    fleet.runs.wait_for_dag("small.train")
    conf = {"as_of": AS_OF.isoformat()}
    fleet.runs.start("small.train", "drained", conf)
    path = f"/api/v1/namespaces/{fleet.kubelet.namespace}/pods"
    name = _running_pod(fleet, "drained", "train")
    assert fleet.kubelet.cluster.ask("DELETE", f"{path}/{name}").ok
    with pytest.raises(DevError, match=r"task train of small\.train \(drained\) failed"):
        fleet.runs.follow("small.train", "drained")

    assert fleet.runs.trigger("small.train", "drained", conf)["state"] == "success"
    client = MLflowStore.connect(fleet.stack.running.mlflow_url)
    assert client.registry.alias("small", "champion") == 1, "the same rows give no better model"
    pods = [pod["metadata"]["labels"] for pod in fleet.kubelet.ran.values()]
    trained = [each for each in pods if (each["run_id"], each["task_id"]) == ("drained", "train")]
    assert len(trained) == 2


def _running_pod(fleet: Fleet, run_id: str, task_id: str) -> str:
    """Wait until a task runs, as Airflow knows it: one whose pod goes before that is only begun again, in a new pod."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        states = {task["task_id"]: task["state"] for task in fleet.runs.tasks("small.train", run_id)}
        if states.get(task_id) == "running":
            found = [(name, pod["metadata"]["labels"]) for name, pod in fleet.kubelet.ran.items()]
            return next(name for name, about in found if (about["run_id"], about["task_id"]) == (run_id, task_id))
        time.sleep(0.2)
    raise AssertionError(f"{task_id} of {run_id} does not run")
