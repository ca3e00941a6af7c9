"""Somebody deletes or renames what serves: no stage takes it for a model that never had a champion."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.cli.rollback import rollback
from airflow_mlops.cli.status import status
from airflow_mlops.operators import (
    EvaluateGateOperator,
    PerformanceOperator,
    ScoreOperator,
    SnapshotOperator,
)
from airflow_mlops.sensors import DriftSensor
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop import AS_OF, context_of, judge_loop, promote_run, rows, run_loop, specification

LOSSES: dict[str, Callable[[Any, str], None]] = {
    "alias": lambda client, model: client.delete_registered_model_alias(model, "champion"),
    "version": lambda client, model: client.delete_model_version(model, "1"),
    "name": lambda client, model: client.rename_registered_model(model, f"{model}_2"),
    "model": lambda client, model: client.delete_registered_model(model),
}


def specified(home: Path, request: pytest.FixtureRequest) -> ModelSpec:
    rows(days=90).to_parquet(home / "orders.parquet")
    name = "lost_" + "".join(c if c.isalnum() else "_" for c in str(request.node.name).lower())[-40:]
    monitoring = {"window": "7d", "drift": {"min_rows": 50}}
    return ModelSpec.model_validate({**specification("orders.parquet"), "name": name, "monitoring": monitoring})


@pytest.mark.parametrize("loss", LOSSES)
def test_a_champion_that_is_missing_stops_every_stage_with_the_way_back(
    loop_home: Path, request: pytest.FixtureRequest, mlflow_uri: str, capsys: pytest.CaptureFixture[str], loss: str
) -> None:
    store, spec = MLflowStore.connect(mlflow_uri), specified(loop_home, request)
    run_loop(spec, AS_OF - timedelta(days=9))
    waiting = judge_loop(spec, AS_OF - timedelta(days=2))
    events = store.trail.events(spec.registered_model)
    LOSSES[loss](store._client, spec.registered_model)
    given = {"spec": spec, "snapshot": waiting.reports["snapshot"], "candidate": waiting.reports["train"]}
    stages: list[Callable[[], Any]] = [
        lambda: SnapshotOperator(task_id="snapshot", spec=spec).execute(context_of("next")),
        lambda: EvaluateGateOperator(task_id="gate", **given).execute(context_of(waiting.run_id)),
        lambda: promote_run(spec, waiting, context_of(waiting.run_id)),
        lambda: ScoreOperator(task_id="score", spec=spec).execute(context_of("s", dag_id="x.score")),
        lambda: PerformanceOperator(task_id="p", spec=spec).execute(context_of("p", dag_id="x.monitor")),
        lambda: DriftSensor(task_id="d", spec=spec).execute(context_of("d", dag_id="x.monitor")),
    ]
    assert len(stages) == 6
    for stage in stages:
        with pytest.raises(AirflowFailException, match=r"champion_missing|audit_broken"):
            stage()
    with pytest.raises(SystemExit):
        status(Namespace(models=[spec.registered_model], json=True, conn_id="mlflow_default"))
    said = capsys.readouterr().out
    assert "champion_missing" in said or "audit_broken" in said
    after = MLflowStore.connect(mlflow_uri)
    if loss != "model":
        assert after.trail.events(spec.registered_model) == events
    assert after.registry.version_of(spec.registered_model, waiting.reports["train"]["run_id"]) is None


def test_the_way_back_after_an_alias_was_deleted(
    loop_home: Path, request: pytest.FixtureRequest, mlflow_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store, spec = MLflowStore.connect(mlflow_uri), specified(loop_home, request)
    run_loop(spec, AS_OF - timedelta(days=9))
    store._client.delete_registered_model_alias(spec.registered_model, "champion")
    asked = {"model": spec.registered_model, "to": 1, "reason": "the alias was deleted", "json": False}
    rollback(Namespace(**asked, conn_id="mlflow_default"))
    assert "version 1 serves again" in capsys.readouterr().out
    assert ScoreOperator(task_id="s", spec=spec).execute(context_of("s", dag_id="x.score"))["version"] == 1
    run_loop(spec, AS_OF - timedelta(days=1))
    kinds = [event.kind for event in store.trail.events(spec.registered_model)]
    assert kinds[:5] == ["promoting", "promoted", "moved_by_hand", "rolling_back", "rolled_back"]
