"""helm lints and renders each set of values; what comes out is held to Kubernetes' own schemas, and to our promises."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import promql_parser
import pytest
import yaml

from dev.kubernetes import tools
from tests.support.charts import (
    CHART,
    ROOT,
    SETS,
    Object,
    alerts,
    by_kind,
    pod_templates,
    pods,
    render,
    values_file,
)

RUNBOOKS = ROOT / "docs" / "runbooks"


@pytest.fixture(scope="module")
def rendered(helm: Path) -> dict[str, list[Object]]:
    return {name: render(helm, name) for name in SETS}


@pytest.fixture(scope="module")
def kinds(helm: Path) -> dict[str, Object]:
    """The schema of each kind that Kubernetes itself does not know."""
    # "(?i)" stands behind the "^" there: Go's expressions allow it, Python's do not.
    texts = [path.read_text(encoding="utf-8").replace("^(?i)", "(?i)^") for path in tools.operator_kinds()]
    found = [yaml.safe_load(text) for text in texts]
    return {each["spec"]["names"]["kind"]: each["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for each in found}


@pytest.mark.parametrize("name", SETS)
def test_helm_lints_it(helm: Path, name: str) -> None:
    command = [helm, "lint", CHART, "--strict", "--values", values_file(name), "--kube-version", tools.KUBERNETES]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SETS)
def test_every_object_is_what_kubernetes_says(
    rendered: dict[str, list[Object]], kinds: dict[str, Object], name: str
) -> None:
    objects = rendered[name]
    assert len(objects) >= 4
    for found in objects:
        if found["apiVersion"].startswith("monitoring.coreos.com/"):
            jsonschema.validate(found, kinds[found["kind"]])
        else:
            kubernetes_validate.validate(found, "1.36", strict=True)
    for template in pod_templates(objects).values():
        kubernetes_validate.validate(template, "1.36", strict=True)


def test_the_schemas_are_really_asked(kinds: dict[str, Object]) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prts": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, "1.36", strict=True)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"spec": {"endpoints": "all"}}, kinds["ServiceMonitor"])


def test_helm_holds_values_to_the_schema(helm: Path) -> None:
    command = [helm, "template", "x", CHART, "--kube-version", tools.KUBERNETES, "--set", "mlflow.replics=3"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "replics" in done.stderr


@pytest.mark.parametrize("name", SETS)
def test_every_pod_is_closed_off(rendered: dict[str, list[Object]], name: str) -> None:
    found = pods(rendered[name])
    assert found or name == "external-mlflow"
    for pod in found:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"]["memory"]
            assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("name", SETS)
def test_no_secret_is_rendered_and_no_role_asks_for_everything(rendered: dict[str, list[Object]], name: str) -> None:
    objects = rendered[name]
    assert objects != []
    assert by_kind(objects, "Secret") == by_kind(objects, "ClusterRole") == []
    for role in by_kind(objects, "Role"):
        words = {word for rule in role["rules"] for key in ("verbs", "resources", "apiGroups") for word in rule[key]}
        assert not words & {"*", "secrets", "pods/exec", "deletecollection"}


def test_what_is_off_is_not_there(rendered: dict[str, list[Object]]) -> None:
    kinds_of = {name: {found["kind"] for found in objects} for name, objects in rendered.items()}
    assert not kinds_of["external-mlflow"] & {"Deployment", "Service", "Job", "Ingress", "PodDisruptionBudget"}
    assert not kinds_of["small"] & {"NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    assert {"HorizontalPodAutoscaler", "Ingress", "ServiceMonitor", "PrometheusRule"} <= kinds_of["aws"]
    assert "Role" not in kinds_of["default"] | kinds_of["aws"]
    assert "Job" not in kinds_of["shared-accounts"]


def test_an_autoscaler_alone_says_how_many_pods_there_are(rendered: dict[str, list[Object]]) -> None:
    (scaled,) = by_kind(rendered["aws"], "Deployment")
    (fixed,) = by_kind(rendered["default"], "Deployment")
    assert "replicas" not in scaled["spec"]
    assert fixed["spec"]["replicas"] == 2


def test_roles_of_aws_stand_at_the_accounts(rendered: dict[str, list[Object]]) -> None:
    accounts = by_kind(rendered["aws"], "ServiceAccount")
    arns = {
        each["metadata"]["name"]: each["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] for each in accounts
    }
    assert {name: arn.rpartition("/")[2] for name, arn in arns.items()} == {
        "loop-airflow-mlops-mlflow": "mlops-mlflow",
        "airflow-mlops-tasks": "mlops-tasks",
    }


def test_a_stage_that_says_nothing_has_what_the_default_has(rendered: dict[str, list[Object]]) -> None:
    templates = pod_templates(rendered["kubernetes-executor"])
    assert set(templates) == {"default.yaml", "train.yaml", "gate.yaml"}
    train, gate, default = (templates[f"{name}.yaml"]["spec"] for name in ("train", "gate", "default"))
    assert train["nodeSelector"] == {"pool": "training"}
    assert train["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nodeSelector" not in gate
    assert gate["containers"][0]["resources"]["requests"] == {"memory": "4Gi"}
    assert default["containers"][0]["envFrom"] == train["containers"][0]["envFrom"]


def test_policies_let_in_airflow_and_nobody_else(rendered: dict[str, list[Object]]) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in by_kind(rendered["default"], "NetworkPolicy")}
    server = policies["loop-airflow-mlops-mlflow"]
    (rule,) = server["ingress"]
    airflow, test = rule["from"]
    assert airflow == {"podSelector": {"matchLabels": {"release": "airflow"}}}
    assert test["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "connection-test"
    assert all(rule.get("to") or rule["ports"] for rule in server["egress"])
    metadata = [peer["ipBlock"] for rule in server["egress"] for peer in rule.get("to", ()) if "ipBlock" in peer]
    assert metadata == [{"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}]


def test_the_server_knows_the_hosts_that_it_is_asked_by(rendered: dict[str, list[Object]]) -> None:
    def hosts(name: str) -> list[str]:
        (deployment,) = by_kind(rendered[name], "Deployment")
        variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        return next(str(each["value"]) for each in variables if each["name"].endswith("ALLOWED_HOSTS")).split(",")

    assert {"loop-airflow-mlops-mlflow", "loop-airflow-mlops-mlflow.ml.svc.cluster.local"} <= {*hosts("default")}
    assert "mlflow.example.com" in hosts("aws")
    assert "loop-airflow-mlops-mlflow.ml:5000" in hosts("small")
    assert "mlflow.internal:443" in hosts("shared-accounts")


def test_every_alert_is_valid_promql_and_has_a_runbook(rendered: dict[str, list[Object]]) -> None:
    found = alerts(rendered["aws"])
    assert len(found) >= 8
    books = {rule["annotations"]["runbook_url"].rpartition("/")[2] for rule in found}
    for rule in found:
        promql_parser.parse(rule["expr"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert f"`{rule['alert']}`" in (RUNBOOKS / rule["annotations"]["runbook_url"].rpartition("/")[2]).read_text()
    assert books == {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}


def test_specifications_are_carried_as_they_are(rendered: dict[str, list[Object]], tmp_path: Path) -> None:
    from airflow_mlops.spec import load_spec

    (carried,) = by_kind(rendered["external-mlflow"], "ConfigMap")
    assert set(carried["data"]) == {"continuous_training.py", "churn.yaml"}
    (tmp_path / "churn.yaml").write_text(carried["data"]["churn.yaml"])
    assert load_spec(tmp_path / "churn.yaml").name == "churn"
    compile(carried["data"]["continuous_training.py"], "continuous_training.py", "exec")


def test_the_readme_is_what_helm_docs_writes(helm: Path, tmp_path: Path) -> None:
    chart = tmp_path / CHART.name
    chart.mkdir()
    for name in ("Chart.yaml", "values.yaml", "README.md.gotmpl"):
        (chart / name).write_text((CHART / name).read_text(encoding="utf-8"))
    command: list[Any] = [tools.helm_docs(), "--chart-search-root", chart, "--template-files", "README.md.gotmpl"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (chart / "README.md").read_text() == (CHART / "README.md").read_text(), "make chart-docs"
