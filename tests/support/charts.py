"""The chart, its sets of values, and what helm makes of them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from dev.kubernetes.tools import KUBERNETES

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "airflow-mlops"
SETS = ("default", "aws", "kubernetes-executor", "external-mlflow", "small", "shared-accounts")
"""Sets of values in ci/, as helm's chart-testing names them."""
RELEASE = "loop"
NAMESPACE = "ml"
Object = dict[str, Any]


def values_file(name: str) -> Path:
    return CHART / "ci" / f"{name}-values.yaml"


def merged(values: Object, name: str) -> Object:
    """Return values with a set laid over them, as helm does: objects are merged, lists and words take the place."""
    over = yaml.safe_load(values_file(name).read_text(encoding="utf-8")) or {}
    return _merged(values, over)


def _merged(under: Any, over: Any) -> Any:
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    return {key: _merged(under[key], over[key]) if key in over and key in under else {**under, **over}[key]
            for key in {**under, **over}}  # fmt: skip


def render(helm: Path, name: str, *more: str) -> list[Object]:
    """Return the objects that a set of values becomes."""
    command = [helm, "template", RELEASE, CHART, "--namespace", NAMESPACE, "--kube-version", KUBERNETES]
    done = subprocess.run(
        [*map(str, command), "--values", str(values_file(name)), *more], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def by_kind(objects: list[Object], kind: str) -> list[Object]:
    return [found for found in objects if found["kind"] == kind]


def pods(objects: list[Object]) -> list[Object]:
    """Return the specification of every pod: of deployments, jobs, hooks, and those of templates for tasks."""
    found = [each["spec"]["template"]["spec"] for each in objects if each["kind"] in ("Deployment", "Job")]
    found += [each["spec"] for each in by_kind(objects, "Pod")]
    return [*found, *(template["spec"] for template in pod_templates(objects).values())]


def pod_templates(objects: list[Object]) -> dict[str, Object]:
    maps = [each for each in by_kind(objects, "ConfigMap") if each["metadata"]["name"].endswith("-pod-templates")]
    return {name: yaml.safe_load(text) for each in maps for name, text in each["data"].items()}


def alerts(objects: list[Object]) -> list[Object]:
    groups = [group for each in by_kind(objects, "PrometheusRule") for group in each["spec"]["groups"]]
    return [rule for group in groups for rule in group["rules"]]
