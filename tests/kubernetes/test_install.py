"""Installed, upgraded, rolled back and taken away on a real API server, which is asked about every right."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.charts import NAMESPACE, RELEASE, SETS, render
from tests.support.cluster import Cluster

PLURALS = {
    "NetworkPolicy": "networkpolicies",
    "Ingress": "ingresses",
}
CREATE, READ = "create", ("get", "list", "watch")


def path_of(found: dict[str, Any], namespace: str) -> str:
    group = found["apiVersion"]
    plural = PLURALS.get(found["kind"], found["kind"].lower() + "s")
    return f"{'/apis' if '/' in group else '/api'}/{group}/namespaces/{namespace}/{plural}"


def deployment(cluster: Cluster, namespace: str, name: str = "loop-airflow-mlops-mlflow") -> dict[str, Any]:
    return cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")


@pytest.fixture(scope="module")
def strict_namespace(cluster: Cluster) -> str:
    return cluster.namespace(NAMESPACE)


@pytest.mark.parametrize("name", SETS)
def test_the_server_takes_every_object_and_knows_every_field(
    cluster: Cluster, strict_namespace: str, name: str
) -> None:
    objects = render(cluster.helm, name)
    assert len(objects) >= 4
    for found in objects:
        path = path_of(found, strict_namespace)
        answer = cluster.ask("POST", path, found, dryRun="All", fieldValidation="Strict")
        assert answer.status_code == 201, f"{found['kind']}: {answer.text}"


def test_a_field_that_the_server_does_not_know_is_refused(cluster: Cluster, strict_namespace: str) -> None:
    monitors = [each for each in render(cluster.helm, "aws") if each["kind"] == "ServiceMonitor"]
    (monitor,) = monitors
    monitor["spec"]["endpoint"] = []
    answer = cluster.ask("POST", path_of(monitor, strict_namespace), monitor, dryRun="All", fieldValidation="Strict")
    assert answer.status_code == 400
    assert "endpoint" in answer.text


@pytest.mark.parametrize("name", SETS)
def test_installed_upgraded_rolled_back_and_taken_away(cluster: Cluster, name: str) -> None:
    namespace = cluster.namespace(f"install-{name}")
    # Without hooks: there is nobody who runs the job of the migrations here; test_hooks.py does that.
    cluster.install(RELEASE, namespace, name, "--no-hooks")
    installed = cluster.get(f"/api/v1/namespaces/{namespace}/serviceaccounts")["items"]
    more = ("--set", "mlflow.image.tag=2.0.0,mlflow.image.digest=,prometheusRules.trainingSeconds=7200", "--no-hooks")
    cluster.install(RELEASE, namespace, name, *more, command="upgrade")
    rolled = cluster.run_helm("rollback", RELEASE, "1", "--namespace", namespace, "--no-hooks")
    assert rolled.returncode == 0, rolled.stderr
    history = cluster.run_helm("history", RELEASE, "--namespace", namespace, "--output", "json").stdout
    assert history.count('"revision"') == 3
    assert [each["metadata"]["name"] for each in installed] == [
        each["metadata"]["name"] for each in cluster.get(f"/api/v1/namespaces/{namespace}/serviceaccounts")["items"]
    ]
    gone = cluster.run_helm("uninstall", RELEASE, "--namespace", namespace, "--no-hooks")
    assert gone.returncode == 0, gone.stderr
    left = [
        found
        for found in render(cluster.helm, name)
        if not found["metadata"].get("annotations", {}).get("helm.sh/hook")
    ]
    assert len(left) >= 4
    for found in left:
        answer = cluster.ask("GET", f"{path_of(found, namespace)}/{found['metadata']['name']}")
        assert answer.status_code == 404, found["kind"]


def test_an_upgrade_changes_the_server_and_a_rollback_brings_back_what_was(cluster: Cluster) -> None:
    namespace = cluster.namespace("back")

    def image() -> str:
        return str(deployment(cluster, namespace)["spec"]["template"]["spec"]["containers"][0]["image"])

    cluster.install(RELEASE, namespace, "default", "--no-hooks")
    before = image()
    cluster.install(
        RELEASE,
        namespace,
        "default",
        "--no-hooks",
        "--set",
        "mlflow.image.tag=9.9,mlflow.replicas=3",
        command="upgrade",
    )
    assert (image(), deployment(cluster, namespace)["spec"]["replicas"]) == ("airflow-mlops-mlflow:9.9", 3)
    assert cluster.run_helm("rollback", RELEASE, "--namespace", namespace, "--no-hooks").returncode == 0
    assert (image(), deployment(cluster, namespace)["spec"]["replicas"]) == (before, 2)


def test_an_autoscaler_keeps_its_number_of_pods_through_an_upgrade(cluster: Cluster) -> None:
    namespace = cluster.namespace("scaled")
    cluster.install(RELEASE, namespace, "aws", "--no-hooks")
    scale = f"/apis/apps/v1/namespaces/{namespace}/deployments/loop-airflow-mlops-mlflow/scale"
    said = cluster.get(scale)
    said["spec"]["replicas"] = 5
    assert cluster.ask("PUT", scale, said).ok
    cluster.install(RELEASE, namespace, "aws", "--no-hooks", "--set", "mlflow.workers=3", command="upgrade")
    assert deployment(cluster, namespace)["spec"]["replicas"] == 5


# -- rights -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rights(cluster: Cluster) -> str:
    """A namespace with the chart, and the accounts that the official chart makes."""
    namespace = cluster.namespace("rights")
    cluster.install(RELEASE, namespace, "kubernetes-executor", "--no-hooks")
    for name in ("airflow-scheduler", "airflow-api-server"):
        cluster.account(namespace, name)
    cluster.namespace("others")
    return namespace


ASKED = [
    *((verb, "pods", "") for verb in ("create", "get", "list", "watch", "patch", "delete", "deletecollection")),
    *((verb, "pods", sub) for verb, sub in (("get", "log"), ("create", "exec"), ("create", "attach"))),
    *((verb, "secrets", "") for verb in ("get", "list", "create")),
    *((verb, "configmaps", "") for verb in ("get", "update")),
    *(
        (verb, resource, "")
        for verb, resource in (("create", "jobs"), ("create", "rolebindings"), ("impersonate", "users"))
    ),
]
PODS = {(verb, "pods", "") for verb in ("create", "get", "list", "watch", "patch", "delete")}
ALLOWED = {
    "airflow-mlops-tasks": set(),
    "loop-airflow-mlops-mlflow": set(),
    "airflow-scheduler": PODS,
    "airflow-api-server": {("get", "pods", ""), ("list", "pods", ""), ("get", "pods", "log")},
}


@pytest.mark.parametrize("account", ALLOWED)
def test_an_account_may_do_what_it_needs_and_nothing_else(cluster: Cluster, rights: str, account: str) -> None:
    token = cluster.token_of(rights, account)
    assert {what for what in ASKED if cluster.may(token, rights, *what)} == ALLOWED[account]
    assert {what for what in ASKED if cluster.may(token, "others", *what)} == set()


def test_a_right_is_not_only_said(cluster: Cluster, rights: str) -> None:
    """The answer of the review is what happens."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "tried"},
        "spec": {"containers": [{"name": "base", "image": "x"}]},
    }
    path = f"/api/v1/namespaces/{rights}/pods"
    answers = {
        account: cluster.ask("POST", path, pod, token=cluster.token_of(rights, account), dryRun="All").status_code
        for account in ALLOWED
    }
    assert answers == {account: 201 if account == "airflow-scheduler" else 403 for account in ALLOWED}
    scheduler = cluster.token_of(rights, "airflow-scheduler")
    assert cluster.ask("GET", f"/api/v1/namespaces/{rights}/secrets", token=scheduler).status_code == 403
