"""What the gate leaves alone: decisions that versions have served by, and champions that cannot be read just now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.operators import EvaluateGateOperator, PromoteOperator
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop import Run, context_of, rows, run_loop, specification
from tests.support.proxies import DOWNLOAD, flaky_proxy
from tests.support.servers import mlflow_server

pytestmark = pytest.mark.mlflow


@pytest.fixture
def spec(loop_home: Path, request: pytest.FixtureRequest) -> ModelSpec:
    rows().to_parquet(loop_home / "orders.parquet")
    name = "g_" + "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[-40:]
    return ModelSpec.model_validate({**specification("orders.parquet"), "name": name})


def judge(spec: ModelSpec, run: Run) -> dict[str, Any]:
    gate = EvaluateGateOperator(
        task_id="gate", spec=spec, snapshot=run.reports["snapshot"], candidate=run.reports["train"]
    )
    decision = gate.execute(context_of(run.run_id))
    assert decision is not None
    return decision


@pytest.mark.parametrize("status", ["previous", "archived", "rolled_back", "alias only"])
def test_the_decision_that_a_version_has_served_by_stays(spec: ModelSpec, mlflow_uri: str, status: str) -> None:
    from mlflow import MlflowClient

    client, store = MlflowClient(mlflow_uri), MLflowStore.connect(mlflow_uri)
    first, second = run_loop(spec), run_loop(spec)
    client.set_registered_model_alias(spec.name, "champion", "2")
    if status == "alias only":  # killed before the statuses
        client.set_registered_model_alias(spec.name, "previous", "1")
        client.delete_model_version_tag(spec.name, "1", "mlops.status")
    else:
        client.set_model_version_tag(spec.name, "1", "mlops.status", status)
    before = store.decisions.decision(first.reports["train"]["run_id"])
    assert judge(spec, first) == first.reports["gate"]
    assert store.decisions.decision(first.reports["train"]["run_id"]) == before
    # the one that serves now, by its alias alone
    assert judge(spec, second) == second.reports["gate"]


def test_a_candidate_that_never_served_is_judged_anew(spec: ModelSpec) -> None:
    run_loop(spec)
    second = run_loop(spec)
    assert judge(spec, second)["decided_at"] != second.reports["gate"]["decided_at"]


def test_a_champion_that_cannot_be_had_now_is_no_reason_to_reject(
    spec: ModelSpec, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = run_loop(spec), run_loop(spec)
    model_id = first.reports["train"]["model_uri"].removeprefix("models:/")
    asked: list[str] = []

    def refuses(method: str, path: str) -> int | None:
        mine = method == "GET" and path.startswith(DOWNLOAD) and model_id in path
        asked.extend([path] * mine)
        return 503 if mine else None

    with flaky_proxy(mlflow_uri, refuses) as proxy:
        connection = {"conn_type": "mlflow", "host": proxy, "extra": {"max_retries": 0}}
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(connection))
        with pytest.raises(StoreUnavailableError, match="artifact store cannot be read"):
            judge(spec, second)
    assert asked
    standing = MLflowStore.connect(mlflow_uri).decisions.decision(second.reports["train"]["run_id"])
    assert standing.to_json() == second.reports["gate"]


def test_a_champion_whose_files_are_gone_is_a_rejection_that_says_so(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow_server(tmp_path / "mlflow") as address:
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": address}))
        first, second = run_loop(spec), run_loop(spec)
        model_id = first.reports["train"]["model_uri"].removeprefix("models:/")
        (folder,) = (tmp_path / "mlflow" / "artifacts").rglob(model_id)
        shutil.rmtree(folder)
        decision = judge(spec, second)
    assert decision["verdict"] == "reject"
    assert ReasonCode.CHAMPION_UNREADABLE in json.dumps(decision)


def test_runs_of_a_hand_made_dag_neither_judge_nor_promote_at_the_same_time() -> None:
    given: dict[str, Any] = {"spec": "orders.yaml", "candidate": {}}
    with DAG("by_hand", schedule=None):
        gate = EvaluateGateOperator(task_id="gate", snapshot={}, **given)
        promote = PromoteOperator(task_id="promote", decision={}, **given)
        chosen = PromoteOperator(task_id="chosen", decision={}, max_active_tis_per_dag=3, **given)
    assert [task.max_active_tis_per_dag for task in (gate, promote, chosen)] == [1, 1, 3]
