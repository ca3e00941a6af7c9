"""The whole loop with everything in S3, beside the same loop on a local disk: the same decision, the same predictions.

Rows, snapshot, reports, predictions, score log and the witness of the audit trail go through Airflow's connection; the
model and what MLflow keeps, through an MLflow server whose artifacts are in the same S3.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from airflow_mlops.config import open_configured_storage
from airflow_mlops.core.ports import Storage
from airflow_mlops.operators import PerformanceOperator, ScoreOperator
from airflow_mlops.operators.drift import observed
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from airflow_mlops.stores.open_source import open_source
from tests.support.loop import AS_OF, Run, context_of, rows, run_loop, specification
from tests.support.s3 import LOGIN, PASSWORD, boto, unfinished
from tests.support.servers import mlflow_server

LATER = AS_OF + timedelta(days=14)
NAME = "orders_in_s3"


@pytest.fixture
def in_s3(
    bucket: str, moto: str, mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Configuration of an Airflow that has nothing on its disk, with an MLflow server that has its artifacts in S3."""
    name = bucket.partition("@")[2]
    servers = {
        "AWS_ACCESS_KEY_ID": LOGIN,
        "AWS_SECRET_ACCESS_KEY": PASSWORD,
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": moto,
    }
    for variable, value in servers.items():
        monkeypatch.setenv(variable, value)
    with mlflow_server(tmp_path / "mlflow", ["--artifacts-destination", f"s3://{name}/artifacts"]) as address:
        for variable in servers:  # they are the server's: a worker has its connections
            monkeypatch.delenv(variable)
        yield {
            "AIRFLOW__MLOPS__STORAGE": f"{bucket}/mlops",
            "AIRFLOW__MLOPS__DATA_ROOT": f"{bucket}/data",
            "AIRFLOW_CONN_MLFLOW_DEFAULT": json.dumps({"conn_type": "mlflow", "host": address}),
        }


@dataclass
class Seen:
    """What a loop did."""

    run: Run
    scored: dict[str, Any]
    drift: Any
    performance: dict[str, Any]
    predictions: pa.Table
    version: int


def played(spec: ModelSpec, home: str, uri: str) -> Seen:
    """Train, judge, promote, score and monitor."""
    run = run_loop(spec, run_id="r1")
    scored = ScoreOperator(task_id="score", spec=spec).execute(context_of("s1", LATER))
    performance = PerformanceOperator(task_id="performance", spec=spec).execute(context_of("m1", LATER))
    storage = open_configured_storage()
    store = open_source(spec.data.source, data_root=home)
    drift = observed(spec, LATER, store, storage).report
    champion = MLflowStore.connect(uri).registry.champion(spec.name)
    assert champion is not None
    return Seen(run, scored, drift, performance, predictions_of(storage, scored["uri"]), champion.version)


def predictions_of(storage: Storage, uri: str) -> pa.Table:
    """What was predicted; which MLflow run made it is another one in each MLflow."""
    (path,) = [uri.removeprefix(f"{storage.root}/")]
    return pa.Table.from_batches(storage.read_batches(path)).drop_columns(["model_run_id"])


def differing(one: Any, other: Any, at: str = "") -> list[str]:
    """Paths of what two reports say differently."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [
            path for name in one if name not in ELSEWHERE for path in differing(one[name], other[name], f"{at}.{name}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [path for place, pair in pairs for path in differing(*pair, f"{at}[{place}]")]
    return [] if one == other else [f"{at}: {one!r} and {other!r}"]


ELSEWHERE = frozenset(
    (
        *("uri", "report_uri", "report_url", "source", "query", "model_uri"),
        *("run_id", "candidate_run_id", "model_id", "model_digest"),  # the model's files name its MLflow run
        *("extracted_at", "decided_at"),
    )
)
"""Fields that tell of places, of times, and of one MLflow."""


def test_the_loop_in_s3_is_the_loop_on_a_disk(
    loop_home: Path, mlflow_uri: str, in_s3: dict[str, str], moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = rows(1400, seed=2, days=15)
    later["ordered_at"] += timedelta(days=14)
    orders = pd.concat([rows(), later[later["ordered_at"] >= AS_OF].assign(order_id=lambda f: "n" + f["order_id"])])
    orders.to_parquet(loop_home / "orders.parquet", index=False)
    spec = ModelSpec.model_validate({**specification("orders.parquet"), "name": NAME, "scoring": {"window": "14d"}})
    disk = played(spec, str(loop_home), mlflow_uri)

    name = in_s3["AIRFLOW__MLOPS__STORAGE"].partition("@")[2].partition("/")[0]
    client = boto(moto)
    client.upload_file(str(loop_home / "orders.parquet"), name, "data/orders.parquet")
    before = sorted(path for path in loop_home.rglob("*") if "mlflow" not in path.parts)
    for variable, value in in_s3.items():
        monkeypatch.setenv(variable, value)
    there = json.loads(in_s3["AIRFLOW_CONN_MLFLOW_DEFAULT"])["host"]
    s3 = played(spec, in_s3["AIRFLOW__MLOPS__DATA_ROOT"], there)

    assert s3.run.reports["snapshot"]["fingerprint"] == disk.run.reports["snapshot"]["fingerprint"]
    assert s3.run.reports["snapshot"]["uri"].startswith(in_s3["AIRFLOW__MLOPS__STORAGE"])
    assert differing(s3.run.reports["validate"], disk.run.reports["validate"]) == []
    assert s3.run.reports["gate"]["verdict"] == disk.run.reports["gate"]["verdict"] == "accept"
    assert s3.run.reports["promote"]["promoted"] is disk.run.reports["promote"]["promoted"] is True
    assert s3.run.reports["train"]["metrics"] == disk.run.reports["train"]["metrics"]
    assert differing(s3.run.reports["gate"], disk.run.reports["gate"]) == []
    assert s3.version == disk.version == 1
    assert s3.predictions.num_rows > 1000
    assert s3.predictions.equals(disk.predictions)
    assert differing(s3.drift.to_json(), disk.drift.to_json()) == []
    assert differing(s3.performance, disk.performance) == []

    assert sorted(path for path in loop_home.rglob("*") if "mlflow" not in path.parts) == before
    listed = [item["Key"] for item in client.list_objects_v2(Bucket=name)["Contents"]]
    assert {key.split("/")[0] for key in listed} == {"data", "mlops", "artifacts"}
    assert {key.split("/")[1] for key in listed if key.startswith("mlops/")} >= {"snapshots", "predictions", "audit"}
    assert any(key.endswith(".skops") for key in listed if key.startswith("artifacts/"))
    assert not unfinished(moto, name)
