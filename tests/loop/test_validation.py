"""DataValidationOperator in a model's loop: a real snapshot, and a real MLflow server that keeps the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.core.records.validation import ValidationReport
from airflow_mlops.core.snapshot.take import take_snapshot
from airflow_mlops.operators import DataValidationOperator
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.open_source import open_source
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.servers import mlflow_server

pytestmark = pytest.mark.mlflow
AS_OF = datetime(2013, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


def model(**changed: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "flight_delay",
            "owner": "ops",
            "data": {"source": {"path": "f.parquet"}, "time": "at", "key": "id", "label": "late", "window": "60d"},
            "features": {"numeric": ["distance"]},
            "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
            **changed,
        }
    )


def snapshot(home: Path, spec: ModelSpec, **changed: Any) -> dict[str, Any]:
    rows = {"at": pd.date_range("2013-02-01", periods=300, freq="h", tz="UTC"), "id": range(300)}
    frame = pd.DataFrame({**rows, "late": np.arange(300) % 2, "distance": np.linspace(1.0, 9.0, 300), **changed})
    frame.to_parquet(home / "f.parquet")
    store = open_source(spec.data.source, data_root=str(home))
    return take_snapshot(spec, AS_OF, store, open_storage(str(home / "mlops")), now=AS_OF).to_json()


def context(run_id: str) -> dict[str, Any]:
    ti = SimpleNamespace(dag_id="flight_delay.train", run_id=run_id, task_id="validate", try_number=1, map_index=-1)
    return {"ti": ti, "dag_run": SimpleNamespace(run_type="manual", run_after=AS_OF), "params": {}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> Path:
    monkeypatch.setenv("AIRFLOW__MLOPS__STORAGE", str(tmp_path / "mlops"))
    monkeypatch.setenv("AIRFLOW__MLOPS__DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": server}))
    return tmp_path


def only_run(server: str, run_id: str) -> Any:
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name("flight_delay")
    assert experiment is not None
    (run,) = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == run_id]
    return run


def test_a_sound_snapshot_leaves_its_report_in_the_loop_runs_only_mlflow_run(home: Path, server: str) -> None:
    spec = model()
    taken = snapshot(home, spec)
    for _ in range(2):  # a retry resumes the run
        operator = DataValidationOperator(task_id="validate", spec=spec, snapshot=taken)
        report = ValidationReport.from_json(operator.execute(context("good")) or {})
    assert report.passed
    assert report.rows == 300
    run = only_run(server, "good")
    assert run.info.run_id in operator.run_url
    assert operator.report_url
    client = mlflow.MlflowClient(server)
    assert {item.path for item in client.list_artifacts(run.info.run_id, "validation")} == {
        "validation/report.html",
        "validation/report.json",
    }


def test_a_bad_snapshot_fails_after_its_report_is_kept(home: Path, server: str) -> None:
    spec = model()
    operator = DataValidationOperator(task_id="validate", spec=spec, snapshot=snapshot(home, spec, distance=np.inf))
    with pytest.raises(AirflowFailException, match=r"300 of 300 rows \(100 %\) are infinite"):
        operator.execute(context("bad"))
    run = only_run(server, "bad")
    assert run.info.status == "FAILED"
    assert operator.report_url
    assert (home / "mlops/reports/validation/flight_delay.train/bad/validate.html").is_file()


def test_mlflow_away_is_tried_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = model()
    taken = snapshot(home, spec)
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", '{"conn_type": "mlflow", "host": "http://127.0.0.1:9"}')
    with pytest.raises(ConnectionError):
        DataValidationOperator(task_id="validate", spec=spec, snapshot=taken).execute(context("away"))
