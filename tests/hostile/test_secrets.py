"""A canary in every credential field of every kind of connection, and every word that is written searched for it.

Every stage runs against servers that fail and that answer by half: what is raised (with its whole chain), logged,
printed, returned, stored, and what Airflow's own task log says must not hold the canary in any form.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_mlops._loop_context import consequences, open_records
from airflow_mlops.hooks.mlflow import MLflowHook
from airflow_mlops.notifications import loop_event, tell
from airflow_mlops.operators import (
    DataValidationOperator,
    EvaluateGateOperator,
    PromoteOperator,
    RollbackOperator,
    ScoreOperator,
    SnapshotOperator,
    TrainOperator,
)
from airflow_mlops.sensors import DriftSensor
from airflow_mlops.spec import ModelSpec
from tests.support.loop import Run, context_of, judge_loop, promote_run, rows, specification
from tests.support.misbehaving import misbehaving
from tests.support.proxies import CUT, flaky_proxy
from tests.support.servers import free_port, mlflow_server

pytestmark = [
    pytest.mark.server,
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
CANARY = "kNry/7@x:9 Z%q"
"""Holds what breaks addresses."""
BARE = "kNry7x9Zq-bare"
"""For where a space cannot stand."""
FORMS = {
    form
    for word in (CANARY, BARE)
    for form in (
        word,
        quote(word, safe=""),
        quote(word),
        quote(quote(word, safe=""), safe=""),
        json.dumps(word)[1:-1],
        base64.b64encode(word.encode()).decode()[:-4],
        base64.b64encode(f"ada:{word}".encode()).decode()[4:-4],
        word.encode().hex(),
        word[:6],
    )
}


class Watch:
    """Everything that was said in a test."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self._caplog, self._capfd = caplog, capfd
        self.texts: list[str] = []

    def run(self, what: Callable[[], Any]) -> BaseException | None:
        """Run it; keep what it returns or raises. Airflow logs the chain of what is raised."""
        try:
            self.texts.append(repr(what()))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is searched
            self.texts.append("".join(traceback.format_exception(error)))
            return error
        return None

    def files(self, folder: Path) -> None:
        self.texts += [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]

    def found(self) -> list[str]:
        """Return what of the canary was said, with the words around it."""
        out, err = self._capfd.readouterr()
        logged = "\n".join(logging.Formatter("%(message)s").format(record) for record in self._caplog.records)
        said = [*self.texts, out, err, logged, self._caplog.text]
        # A traceback shows lines of code, and those of this test name no canary.
        return [text[max(text.find(form) - 200, 0) :][:400] for text in said for form in FORMS if form in text]


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[Watch]:
    with caplog.at_level(logging.DEBUG):
        yield Watch(caplog, capfd)


QUICK = {"timeout": 1, "max_retries": 1, "backoff": 0}


def mlflow_connections(address: str) -> dict[str, dict[str, Any]]:
    """A connection for each field that can hold a credential, and each way of writing it."""
    scheme, _, place = address.partition("://")
    encoded = quote(CANARY, safe="")
    return {
        "password": {"host": address, "login": "ada", "password": CANARY, "extra": QUICK},
        "token": {"host": address, "extra": {**QUICK, "token": BARE}},
        "user-info": {"host": f"{scheme}://ada:{encoded}@{place}", "extra": QUICK},
        "user-info as it is": {"host": f"{scheme}://ada:{CANARY.replace(' ', '')}@{place}", "extra": QUICK},
        "a user that is a token": {"host": f"{scheme}://{BARE}@{place}", "extra": QUICK},
        "registry": {"host": address, "extra": {**QUICK, "registry_uri": f"{scheme}://ada:{encoded}@{place}"}},
        "pages": {"host": address, "extra": {**QUICK, "ui_url": f"{scheme}://ada:{encoded}@{place}"}},
        "a query": {"host": f"{address}/?token={BARE}", "extra": QUICK},
        "another scheme": {"host": f"weird://ada:{encoded}@{place}", "extra": QUICK},
        "a database": {"host": f"postgresql+psycopg2://ada:{encoded}@{place}/x", "extra": QUICK},
        "a database without a driver": {"host": f"mssql+pymssql://ada:{encoded}@{place}/x", "extra": QUICK},
        "no port": {"host": f"{scheme}://ada:{encoded}@127.0.0.1:port", "extra": QUICK},
        "two": {"host": f"{scheme}://ada:{encoded}@{place}", "login": "bob", "password": BARE, "extra": QUICK},
        "no JSON": {"host": address, "password": CANARY, "login": "ada", "extra": QUICK},
    }


KINDS = tuple(mlflow_connections("http://h"))


@pytest.mark.parametrize("how", ["hang", "drop", "cut", "half_json", "html", "500", "401", "302", "garbage"])
def test_no_failure_of_mlflow_says_a_secret(how: str, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 0
    with misbehaving(how) as server:
        for connection in mlflow_connections(server.address).values():
            monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", **connection}))

            def look() -> Any:
                with MLflowHook().records() as records:
                    return records.registry.champion("x")

            def look_as_a_task() -> Any:
                with consequences(), open_records(None) as records:
                    return records.runs.open_run("x", "d/r", model="x")

            failures += watch.run(look) is not None
            watch.run(look_as_a_task)
            watch.run(lambda: MLflowHook().test_connection())
            watch.run(lambda: MLflowHook().tracking_url)
            monkeypatch.delenv("AIRFLOW_CONN_MLFLOW_DEFAULT")
    assert failures == len(KINDS)
    assert watch.found() == []


SQL = {
    "nobody there": {"conn_type": "postgres", "host": "127.0.0.1", "login": "ada", "password": CANARY, "schema": "x"},
    "as a uri": f"postgresql://ada:{quote(CANARY, safe='')}@127.0.0.1:1/x?sslmode={BARE}",
    "an option": {
        "conn_type": "postgres",
        "host": "127.0.0.1",
        "login": "ada",
        "password": CANARY,
        "schema": "x",
        "extra": {"sslmode": "require", "sslkey": f"/{BARE}", "options": f"-c token={BARE}"},
    },
    "another database": f"nosuchdb://ada:{quote(CANARY, safe='')}@h/x",
    "no address": {"conn_type": "nosuchdb", "host": f"h?password={BARE}", "login": "ada", "password": CANARY},
    "mysql": {"conn_type": "mysql", "host": "127.0.0.1", "login": "ada", "password": CANARY},
    "a file": {"conn_type": "sqlite", "host": f"/nowhere/x.db?password={BARE}", "password": CANARY},
}


@pytest.mark.parametrize("kind", SQL)
def test_no_failure_of_a_database_says_a_secret(
    kind: str, watch: Watch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__MLOPS__STORAGE", str(tmp_path / "storage"))
    given = SQL[kind]
    if isinstance(given, dict):
        given = json.dumps({"port": free_port(), **given})
    monkeypatch.setenv("AIRFLOW_CONN_W", given)
    spec = of_source({"conn_id": "w", "table": "orders"})
    snapshot = SnapshotOperator(task_id="snapshot", spec=spec)
    assert watch.run(lambda: snapshot.execute(context_of("r"))) is not None
    watch.files(tmp_path)
    assert watch.found() == []


def test_a_database_that_refuses_the_password_says_none(
    watch: Watch, postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sqlalchemy as sa

    monkeypatch.setenv("AIRFLOW__MLOPS__STORAGE", str(tmp_path / "storage"))
    url = sa.make_url(postgres_url)
    connection = {
        "conn_type": "postgres",
        "login": "nobody_there",
        "password": CANARY,
        "schema": url.database,
        "host": url.query.get("host") or url.host,
        "port": url.port,
    }
    monkeypatch.setenv("AIRFLOW_CONN_W", json.dumps(connection))
    spec = of_source({"conn_id": "w", "table": "orders"})
    assert watch.run(lambda: SnapshotOperator(task_id="s", spec=spec).execute(context_of("r"))) is not None
    assert watch.found() == []


@pytest.mark.parametrize("how", ["hang", "cut", "html", "500", "401", "302", "garbage"])
def test_no_failure_of_an_object_store_says_a_secret(
    how: str, watch: Watch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """S3 by Airflow's connection: as a source, and as the storage."""
    with misbehaving(how) as server:
        extra = {
            "endpoint_url": server.address,
            "region_name": "us-east-1",
            "aws_session_token": BARE,
            "config_kwargs": {"connect_timeout": 1, "read_timeout": 1, "retries": {"max_attempts": 0}},
        }
        connection = {"conn_type": "aws", "login": "AKIAIOSFODNN7EXAMPLE", "password": CANARY, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__MLOPS__STORAGE", "s3://store@bucket/mlops")
        spec = of_source({"path": "s3://store@bucket/orders"})
        assert watch.run(lambda: SnapshotOperator(task_id="s", spec=spec).execute(context_of("r"))) is not None
    assert watch.found() == []


WEBHOOKS: dict[str, dict[str, Any]] = {
    "password": {"login": "ada", "password": CANARY},
    "bearer": {"password": BARE},
    "path": {"path": f"/services/T0/{BARE}"},
    "query": {"path": f"/x?token={BARE}"},
    "header": {"extra": {"X-Api-Key": BARE}},
    "wrong header": {"extra": {"X-Any": f"{BARE}\nX"}},
    "user-info": {"user": f"ada:{quote(CANARY, safe='')}@"},
}


@pytest.mark.parametrize("how", ["drop", "cut", "html_500", "401", "302", "garbage"])
def test_no_failure_of_a_webhook_says_a_secret(how: str, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModelSpec.model_validate({**specification("x"), "notifications": [{"conn_id": "w", "events": ["promoted"]}]})
    told = []
    with misbehaving(how) as server:
        for fields in WEBHOOKS.values():
            given = dict(fields)
            place = server.address.removeprefix("http://")
            host = f"http://{given.pop('user', '')}{place}{given.pop('path', '')}"
            monkeypatch.setenv("AIRFLOW_CONN_W", json.dumps({"conn_type": "http", "host": host, **given}))
            watch.run(lambda: told.append(tell(spec, loop_event(spec, "promoted"), context_of("r"))))
    assert len(told) == len(WEBHOOKS)
    assert watch.found() == []


def of_source(source: dict[str, Any], **changes: Any) -> ModelSpec:
    whole = specification("x", **changes)
    return ModelSpec.model_validate({**whole, "data": {**whole["data"], "source": source}})


# -- the whole loop ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("own-mlflow")
    with mlflow_server(folder) as address:
        yield address, folder


STAGES = ("snapshot", "validate", "train", "gate", "promote", "score", "rollback", "drift")


def stage_of(name: str, spec: ModelSpec, run: Run) -> Any:
    seen = run.reports
    made = {
        "snapshot": lambda: SnapshotOperator(task_id="t", spec=spec),
        "validate": lambda: DataValidationOperator(task_id="t", spec=spec, snapshot=seen["snapshot"]),
        "train": lambda: TrainOperator(task_id="t", spec=spec, snapshot=seen["snapshot"]),
        "gate": lambda: EvaluateGateOperator(
            task_id="t", spec=spec, snapshot=seen["snapshot"], candidate=seen["train"]
        ),
        "promote": lambda: PromoteOperator(
            task_id="t", spec=spec, snapshot=seen["snapshot"], candidate=seen["train"], decision=seen["gate"]
        ),
        "score": lambda: ScoreOperator(task_id="t", spec=spec),
        "rollback": lambda: RollbackOperator(task_id="t", spec=spec, reason=f"see https://ada:{BARE}@wiki/x"),
        "drift": lambda: DriftSensor(task_id="t", spec=spec, wait_for="window"),
    }
    return made[name]()


@pytest.mark.mlflow
def test_every_stage_with_servers_that_fail_and_answer_by_half(
    own_server: tuple[str, Path], watch: Watch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A whole loop through a proxy, with a canary in every connection; then each stage again while it fails."""
    address, folder = own_server
    rows().to_parquet(tmp_path / "orders.parquet")
    monkeypatch.setenv("AIRFLOW__MLOPS__STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("AIRFLOW__MLOPS__DATA_ROOT", str(tmp_path))
    failing: dict[str, Any] = {"how": None, "after": 0}

    def refuses(method: str, path: str) -> int | None:
        failing["after"] -= 1
        return failing["how"] if failing["after"] < 0 else None

    notifications = [{"conn_id": "w", "events": ["promoted", "rejected", "accepted"]}]
    name = "canary"
    spec = ModelSpec.model_validate({**specification("orders.parquet", notifications=notifications), "name": name})
    monkeypatch.setenv(
        "AIRFLOW_CONN_W",
        json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{free_port()}/{BARE}", "password": CANARY}),
    )
    with flaky_proxy(address, refuses) as proxy:
        place = proxy.removeprefix("http://")
        connection = {"host": f"http://ada:{quote(CANARY, safe='')}@{place}", "extra": {**QUICK, "timeout": 20}}
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", **connection}))
        run = judge_loop(spec)
        promote_run(spec, run, context_of(run.run_id))
        watch.texts.append(json.dumps(run.reports, default=str))
        assert run.reports["promote"]["promoted"]
        failed = 0
        for stage in STAGES:
            for how in (500, CUT):
                for after in (0, 2):
                    failing.update(how=how, after=after)
                    again = context_of(f"{run.run_id}-{stage}-{how}-{after}", dag_id=f"{name}.train")
                    task = stage_of(stage, spec, run)
                    failed += watch.run(lambda: (task.poke if stage == "drift" else task.execute)(again)) is not None  # noqa: B023
        failing.update(how=None)
    assert failed > len(STAGES)
    watch.files(folder)
    watch.files(tmp_path)
    assert watch.found() == []


DAG_FILE = """
from airflow.sdk import DAG

from airflow_mlops.operators import RollbackOperator, SnapshotOperator
from airflow_mlops.spec import ModelSpec

data = {"source": {"conn_id": "w", "table": "orders"}, "time": "t", "key": "k", "label": "y"}
training = {"estimator": "sklearn.linear_model.LogisticRegression"}
spec = ModelSpec.model_validate({"name": "canary_logs", "owner": "tests", "data": data, "training": training})
with DAG("canary_logs", schedule=None) as dag:
    SnapshotOperator(task_id="snapshot", spec=spec)
    RollbackOperator(task_id="rollback", spec=spec, reason="a reason")
"""
TASK = """
import sys, warnings
warnings.simplefilter("ignore")
from airflow.dag_processing.dagbag import BundleDagBag
bag = BundleDagBag(dag_folder=sys.argv[1], bundle_path=sys.argv[1], bundle_name="dags-folder")
assert not bag.import_errors, bag.import_errors
run = bag.dags["canary_logs"].test(logical_date=None)
print("STATE", run.state, [(ti.task_id, str(ti.state)) for ti in run.get_task_instances()])
"""


@pytest.mark.parametrize("how", ["cut", "500"])
def test_airflows_task_logs_hold_no_secret(how: str, airflow_home: Path, watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "canary_logs.py").write_text(DAG_FILE)
    with misbehaving(how) as server:
        place = server.address.removeprefix("http://")
        mlflow = {"conn_type": "mlflow", "host": f"http://ada:{quote(CANARY, safe='')}@{place}", "extra": QUICK}
        port = int(place.rpartition(":")[2])
        database = {"conn_type": "postgres", "host": "127.0.0.1", "port": port, "login": "ada", "password": CANARY}
        done = subprocess.run(
            [sys.executable, "-c", TASK, str(tmp_path / "dags")],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
                "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
                "AIRFLOW_CONN_MLFLOW_DEFAULT": json.dumps(mlflow),
                "AIRFLOW_CONN_W": json.dumps({**database, "schema": "x"}),
            },
        )
    assert "STATE failed" in done.stdout, done.stderr[-3000:]
    assert "('snapshot', 'failed')" in done.stdout
    assert "('rollback', 'failed')" in done.stdout
    assert "no usable answer from" in done.stdout + done.stderr
    watch.texts += [done.stdout, done.stderr]
    watch.files(tmp_path)
    assert watch.found() == []
