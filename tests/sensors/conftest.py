"""One champion for all sensors, and a folder of orders for each test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_mlops.core.scoring.score import predictions_folder
from airflow_mlops.operators import ScoreOperator
from airflow_mlops.spec import ModelSpec
from tests.support.loop import context_of, rows, run_loop, specification
from tests.support.sensor_waits import NOW, World, week

NAME = "waits"


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory, mlflow_uri: str) -> Iterator[Path]:
    """Where all tests of this folder store and record."""
    folder = tmp_path_factory.mktemp("waits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__MLOPS__STORAGE", str(folder / "storage"))
        patch.setenv("AIRFLOW__MLOPS__DATA_ROOT", str(folder))
        patch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": mlflow_uri}))
        yield folder


@pytest.fixture(scope="package")
def trained(home: Path) -> ModelSpec:
    """A champion that was trained once, and its score log of the week, put aside."""
    (home / "orders").mkdir()
    rows().to_parquet(home / "orders" / "before.parquet")
    watched = {
        "window": "7d",
        "drift": {"min_rows": 100, "report": "never"},  # a page takes seconds; one test makes it
        "performance": {"window": "7d", "min_rows": 100, "estimate": False},
    }
    gate = {"holdout": "14d", "min_rows": 100, "serving": {"mode": "off"}, "champion": {"resamples": 500}}
    values = specification("orders/", monitoring=watched, scoring={"window": "7d"}, gate=gate)
    spec = ModelSpec.model_validate({**values, "name": NAME})
    assert run_loop(spec).reports["promote"]["promoted"] is True
    week(0.0).to_parquet(home / "orders" / "after.parquet")
    ScoreOperator(task_id="score", spec=spec).execute(context_of("score-1", NOW))
    shutil.move(home / "storage" / predictions_folder(spec), home / "scored")
    return spec


@pytest.fixture
def world(trained: ModelSpec, home: Path, tmp_path: Path) -> Iterator[World]:
    (tmp_path / "orders").mkdir()
    rows().to_parquet(tmp_path / "orders" / "before.parquet")
    data = {**trained.data.model_dump(mode="json"), "source": {"path": str(tmp_path / "orders")}}
    made = World(trained.model_copy(update={"data": data}), home)
    yield made
    shutil.rmtree(made.scored, ignore_errors=True)
