"""Whole DAG runs by Airflow's own task runner and database, with a real MLflow server: `dag.test()`.

`dag.test` runs every task in this process, and triggers inline; tests/stack has the real scheduler and triggerer.
"""

import json
import shutil
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk import DAG

from airflow_mlops.dags import model_asset, retrain_asset
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop import AS_OF, rows, specification

NEXT = AS_OF + timedelta(days=7)
BROKEN = AS_OF - timedelta(days=300)
"""As of this time the rows have one key for all of them."""
ALONE = """
from airflow.sdk import DAG

from airflow_mlops.operators import DataValidationOperator

for name, minimum in {"sound": 0, "broken": 1000}.items():
    with DAG(f"alone_{name}", schedule=None):
        DataValidationOperator(
            task_id="check",
            source="orders.csv",
            expectations=[
                {"expect": "unique", "column": "order_id"},
                {"expect": "in_set", "column": "city", "values": ["Rome", "Oslo", "Bern"]},
                {"expect": "between", "column": "distance", "min": minimum},
            ],
        )
"""
"""A DAG file that holds validation only."""


class Ran:
    """A finished DAG run, as Airflow's database tells it."""

    def __init__(self, dag: DAG, **conf: Any) -> None:
        self.run = dag.test(logical_date=None, run_conf=conf or None)
        # Read at once: the next `dag.test` of a run without logical date clears what this one left.
        self.state = str(self.run.state)
        self.tasks = {ti.task_id: str(ti.state) for ti in self.run.get_task_instances()}
        self.xcoms = self._xcoms()
        self.events = self._events()

    def _xcoms(self) -> dict[tuple[str, str], Any]:
        """Everything that was pushed, as it stands in the database: JSON, by task and key."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        wanted = select(XComModel).where(XComModel.dag_id == self.run.dag_id, XComModel.run_id == self.run.run_id)
        with create_session() as session:
            return {(x.task_id, x.key): _plain(x.value) for x in session.scalars(wanted)}

    def returned(self, task_id: str) -> Any:
        return self.xcoms[task_id, "return_value"]

    def links(self, task_id: str) -> dict[str, str]:
        """Addresses of a task's buttons, by class."""
        return {
            key.removeprefix("_link_"): value
            for (task, key), value in self.xcoms.items()
            if task == task_id and key.startswith("_link_")
        }

    def _events(self) -> dict[str, Any]:
        """The asset events that this run emitted: name of the asset, and the extra."""
        from airflow.models.asset import AssetEvent
        from airflow.utils.session import create_session
        from sqlalchemy import select

        wanted = select(AssetEvent).where(AssetEvent.source_run_id == self.run.run_id)
        with create_session() as session:
            found = [e for e in session.scalars(wanted) if e.source_dag_id == self.run.dag_id]
            return {event.asset.name: event.extra for event in found}


def _plain(value: Any) -> Any:
    """Return what a reader without Airflow's serialiser reads: no class names in it."""
    assert "__classname__" not in json.dumps(value, allow_nan=False)
    return value


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, airflow_home: Path, mlflow_uri: str) -> Iterator[Path]:
    with warnings.catch_warnings():
        # What libraries say while they are imported is theirs; `dag.test` imports Airflow's API server.
        warnings.simplefilter("ignore")
        import_module("airflow.api_fastapi.execution_api.app")
    folder = tmp_path_factory.mktemp("dag-test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__MLOPS__STORAGE", str(folder / "storage"))
        patch.setenv("AIRFLOW__MLOPS__DATA_ROOT", str(folder))
        patch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": mlflow_uri}))
        yield folder


@pytest.fixture(scope="module")
def spec(home: Path) -> ModelSpec:
    """A model with rows up to its as-of time, a week of other rows after it, and broken rows long before."""
    before, after = rows(), rows(700, seed=2, days=8)
    after["ordered_at"] += timedelta(days=7)
    after["order_id"] = "n" + after["order_id"]
    after["load"] += 2.0
    # Another shape, and not another unit: that would look like a fault of the pipeline.
    after["distance"] = np.random.default_rng(3).gamma(10.0, 3.0, size=len(after))
    (home / "orders").mkdir()
    before.to_parquet(home / "orders" / "before.parquet")
    after.to_parquet(home / "orders" / "after.parquet")
    broken = rows(700, seed=3)
    broken["ordered_at"] -= AS_OF - BROKEN
    broken["order_id"] = "twice"
    broken.to_parquet(home / "orders" / "broken.parquet")
    before.head(200).to_csv(home / "orders.csv", index=False)
    monitoring = {"window": "7d", "drift": {"min_rows": 100, "violations": 1}}
    parts = {"monitoring": monitoring, "retraining": {"cooldown": "1d"}, "name": "dag_test"}
    return ModelSpec.model_validate({**specification("orders/"), **parts})


@pytest.fixture(scope="module")
def dags(spec: ModelSpec, airflow_home: Path) -> Iterator[dict[str, DAG]]:
    """The DAGs of a DAGs folder with this repository's DAG file, one specification, and validation alone."""
    folder = airflow_home / "dags"
    (folder / "models").mkdir()
    (folder / "models" / "dag_test.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json", exclude_unset=True)))
    shutil.copy(Path(__file__).parents[2] / "dags" / "continuous_training.py", folder)
    (folder / "alone.py").write_text(ALONE)
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors
    yield dict(bag.dags)
    for file in ("continuous_training.py", "alone.py", "models/dag_test.yaml"):
        (folder / file).unlink()
    (folder / "models").rmdir()


@pytest.fixture(scope="module")
def store(mlflow_uri: str) -> MLflowStore:
    return MLflowStore.connect(mlflow_uri)


@pytest.fixture(scope="module")
def trained(dags: dict[str, DAG]) -> Ran:
    return Ran(dags["dag_test.train"], as_of=AS_OF.isoformat())


def test_the_training_dag_makes_a_champion(trained: Ran, spec: ModelSpec, store: MLflowStore) -> None:
    assert trained.state == "success"
    assert trained.tasks == dict.fromkeys(["snapshot", "validate", "train", "gate", "promote"], "success")
    champion = store.registry.champion(spec.name)
    assert champion is not None
    assert champion.candidate.loop_run == f"{spec.name}.train/{trained.run.run_id}"
    assert champion.candidate.as_of == AS_OF
    tags = store.registry.version_tags(spec.name, champion.version)
    assert tags is not None
    assert tags["mlops.dag_run_id"] == trained.run.run_id
    assert tags["mlops.task_id"] == "promote"


def test_reports_go_through_xcom_as_plain_json(trained: Ran) -> None:
    kinds = {task: trained.returned(task)["kind"] for task in trained.tasks}
    assert kinds == {
        "snapshot": "Snapshot",
        "validate": "ValidationReport",
        "train": "Candidate",
        "gate": "GateDecision",
        "promote": "PromotionRecord",
    }
    assert datetime.fromisoformat(trained.returned("gate")["as_of"]) == AS_OF
    assert trained.returned("promote")["promoted"] is True
    assert "o000001" not in json.dumps([list(trained.xcoms.values())])  # a key of a row: data stays out of XCom


def test_task_pages_link_to_what_was_made(trained: Ran, mlflow_uri: str) -> None:
    run_id = trained.returned("train")["run_id"]
    links = {task: trained.links(task) for task in trained.tasks}
    for task in ("validate", "train", "gate", "promote"):
        assert links[task]["MLflowRunLink"].startswith(mlflow_uri)
        assert links[task]["MLflowRunLink"].endswith(f"/runs/{run_id}")
    for task in ("validate", "gate", "promote"):
        assert run_id in links[task]["ReportLink"]
    assert links["promote"]["ModelVersionLink"] == f"{mlflow_uri}/#/models/dag_test/versions/1"
    assert links["snapshot"] == {}


def test_promotion_is_an_event_of_the_models_asset(trained: Ran, spec: ModelSpec) -> None:
    events = trained.events
    assert set(events) == {model_asset(spec).name}
    assert events[model_asset(spec).name]["version"] == 1


def test_the_same_data_again_is_no_promotion_and_no_failure(
    trained: Ran, dags: dict[str, DAG], spec: ModelSpec, store: MLflowStore
) -> None:
    again = Ran(dags["dag_test.train"], as_of=AS_OF.isoformat())
    assert again.state == "success"
    assert again.tasks == {**dict.fromkeys(["snapshot", "validate", "train", "gate"], "success"), "promote": "skipped"}
    assert again.returned("snapshot")["fingerprint"] == trained.returned("snapshot")["fingerprint"]
    assert again.returned("promote")["promoted"] is False
    assert store.registry.alias(spec.name, "champion") == 1
    assert again.links("promote")["ReportLink"]
    assert again.events == {}


def test_broken_data_ends_the_training_dag_before_training(trained: Ran, dags: dict[str, DAG]) -> None:
    failed = Ran(dags["dag_test.train"], as_of=BROKEN.isoformat())
    assert failed.state == "failed"
    assert failed.tasks == {
        "snapshot": "success",
        "validate": "failed",
        "train": "upstream_failed",
        "gate": "upstream_failed",
        "promote": "upstream_failed",
    }
    assert failed.links("validate")["ReportLink"]


def test_scoring_and_monitoring_follow_the_champion(
    trained: Ran, dags: dict[str, DAG], spec: ModelSpec, mlflow_uri: str
) -> None:
    scored = Ran(dags["dag_test.score"], as_of=NEXT.isoformat())
    assert (scored.state, scored.tasks) == ("success", {"score": "success"})
    assert scored.returned("score")["version"] == 1
    watched = Ran(dags["dag_test.monitor"], as_of=NEXT.isoformat())
    assert watched.state == "success"
    assert watched.tasks == {"drift": "success", "performance": "success", "retrain": "success"}
    assert watched.returned("drift")["verdict"] == "drift"
    assert watched.returned("retrain")["action"] == "retrain"
    assert watched.links("drift")["MLflowRunLink"].startswith(mlflow_uri)
    assert watched.links("drift")["ModelVersionLink"].endswith("/dag_test/versions/1")
    event = watched.events[retrain_asset(spec).name]
    assert datetime.fromisoformat(event["as_of"]) == NEXT


def test_a_monitor_that_waits_is_resumed_when_rows_arrive(
    trained: Ran, dags: dict[str, DAG], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sensor defers, its trigger fires once a file is there, and the task goes on from where it was."""
    from airflow_mlops.triggers.shared_polls import PollAnswer
    from airflow_mlops.triggers.window import WindowTrigger

    monitor, later = dags["dag_test.monitor"], NEXT + timedelta(days=7)
    monkeypatch.setattr(monitor.get_task("drift"), "poke_interval", 0.01)
    arriving = pd.read_parquet(home / "orders" / "after.parquet")
    arriving["ordered_at"] += timedelta(days=7)
    arriving["order_id"] = "l" + arriving["order_id"]
    looks: list[bool] = []
    really = WindowTrigger.look

    async def look(self: WindowTrigger) -> PollAnswer:
        found = await really(self)
        looks.append(bool(found.value))
        if len(looks) == 2:
            arriving.to_parquet(home / "orders" / "later.parquet")
        return found

    monkeypatch.setattr(WindowTrigger, "look", look)
    ran = Ran(monitor, as_of=later.isoformat())
    assert looks == [False, False, True]
    assert ran.state == "success"
    assert ran.returned("drift")["verdict"] == "drift"


@pytest.mark.parametrize(("name", "state"), [("alone_sound", "success"), ("alone_broken", "failed")])
def test_validation_alone_needs_no_model_and_no_mlflow(
    dags: dict[str, DAG], home: Path, monkeypatch: pytest.MonkeyPatch, name: str, state: str
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_MLFLOW_DEFAULT")
    ran = Ran(dags[name])
    assert (ran.state, ran.tasks) == (state, {"check": state})
    report = Path(ran.links("check")["ReportLink"].removeprefix("file://"))
    assert report.is_relative_to(home / "storage")
    assert "not fit to be used" in report.read_text() or state == "success"
    if state == "success":
        body = ran.returned("check")
        assert (body["passed"], body["rows"]) == (True, 200)
