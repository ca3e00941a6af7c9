"""The hook: what a connection becomes, and that nothing of it stays or shows."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError, StoreUnavailableError
from airflow_mlops.hooks.form import CONNECTION_TYPES
from airflow_mlops.hooks.mlflow import DEFAULTS, MLflowHook, environment, tracking_uri
from airflow_mlops.spec.problems import ReasonCode
from tests.support.servers import free_port, mlflow_server

pytestmark = [
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
SECRET = "s3cr3t-t0ken"
Connect = Callable[..., MLflowHook]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Make a connection, as an environment variable, and return its hook."""

    def make(**fields: Any) -> MLflowHook:
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", **fields}))
        return MLflowHook()

    return make


@pytest.mark.parametrize(
    ("fields", "uri"),
    [
        ({"host": "ml.example.com"}, "http://ml.example.com"),
        ({"host": "ml.example.com", "port": 5000, "schema": "https"}, "https://ml.example.com:5000"),
        ({"host": "https://ml.example.com/prefix/"}, "https://ml.example.com/prefix"),
        ({"host": "http://127.0.0.1:5000"}, "http://127.0.0.1:5000"),
        ({"host": "sqlite:////srv/mlflow.db"}, "sqlite:////srv/mlflow.db"),
    ],
)
def test_host_scheme_and_port_make_the_tracking_uri(connect: Connect, fields: dict[str, Any], uri: str) -> None:
    assert tracking_uri(connect(**fields)._connection()) == uri


def test_the_uri_form_of_a_connection_works_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "mlflow://ada:pw@127.0.0.1:5000")
    connection = MLflowHook("other")._connection()
    assert tracking_uri(connection) == "http://127.0.0.1:5000"
    assert environment(connection)["MLFLOW_TRACKING_USERNAME"] == "ada"


def test_the_pages_may_have_another_address(connect: Connect) -> None:
    assert connect(host="http://ada:pw@mlflow:5000").tracking_url == "http://mlflow:5000"
    assert connect(host="mlflow", extra={"ui_url": "https://ml.example.com/"}).tracking_url == "https://ml.example.com"


def test_the_options_become_mlflows_environment(connect: Connect) -> None:
    plain = environment(connect(host="ml")._connection())
    assert plain["MLFLOW_TRACKING_TOKEN"] is None
    assert plain["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == str(DEFAULTS["max_retries"])
    extra = {
        "token": SECRET,
        "ca_bundle": "/ca.pem",
        "client_cert": "/me.pem",
        "timeout": 5,
        "max_retries": 1,
        "backoff": 0,
    }
    full = environment(connect(host="ml", extra=extra)._connection())
    assert full["MLFLOW_TRACKING_TOKEN"] == SECRET
    assert full["MLFLOW_TRACKING_SERVER_CERT_PATH"] == "/ca.pem"
    assert full["MLFLOW_TRACKING_CLIENT_CERT_PATH"] == "/me.pem"
    assert [full[f"MLFLOW_HTTP_REQUEST_{name}"] for name in ("TIMEOUT", "MAX_RETRIES", "BACKOFF_FACTOR")] == [
        "5",
        "1",
        "0",
    ]
    user = environment(connect(host="ml", login="ada", password="pw", extra={"verify_tls": False})._connection())
    assert (user["MLFLOW_TRACKING_USERNAME"], user["MLFLOW_TRACKING_PASSWORD"]) == ("ada", "pw")
    assert user["MLFLOW_TRACKING_INSECURE_TLS"] == "true"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, "a connection without host"),
        ({"host": "ml", "login": "ada", "extra": {"token": SECRET}}, "a token and a user"),
        ({"host": "ml", "extra": {"verify_tls": False, "ca_bundle": "/ca.pem"}}, "TLS verification off"),
    ],
)
def test_contradictions_are_refused_without_the_secret(connect: Connect, fields: dict[str, Any], found: str) -> None:
    with pytest.raises(RecordError, match=found) as error:
        environment(connect(**fields)._connection())
    assert SECRET not in str(error.value)
    assert "mlflow_default" in str(error.value)


def test_a_missing_connection_says_how_to_add_it() -> None:
    with pytest.raises(RecordError, match="AIRFLOW_CONN_NOWHERE") as error, MLflowHook("nowhere").records():
        pass
    assert {problem.code for problem in error.value.problems} == {ReasonCode.STORE_UNAVAILABLE}


def test_a_session_leaves_everything_as_it_was(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "before")
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    before, uris = dict(os.environ), (mlflow.get_tracking_uri(), mlflow.get_registry_uri())
    hook = connect(host="ml", login="ada", password=SECRET, extra={"registry_uri": "http://registry"})
    before["AIRFLOW_CONN_MLFLOW_DEFAULT"] = os.environ["AIRFLOW_CONN_MLFLOW_DEFAULT"]
    with hook.session():
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] == SECRET
        assert "MLFLOW_TRACKING_TOKEN" not in os.environ
        assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == ("http://ml", "http://registry")
    with pytest.raises(ZeroDivisionError), hook.session():
        raise ZeroDivisionError
    assert dict(os.environ) == before
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == uris
    mlflow.set_tracking_uri("http://pinned")
    with hook.session():
        assert mlflow.get_tracking_uri() == "http://ml"
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == ("http://pinned", "http://pinned")
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]


def test_sessions_that_overlap_leave_everything_as_it_was(connect: Connect) -> None:
    """As threads of one task do: whoever ends last must not bring back what the other had set."""
    hook = connect(host="ml")
    before = dict(os.environ)
    first, second = hook.session(), hook.session()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ["MLFLOW_REGISTRY_URI"] == "http://ml"
    second.__exit__(None, None, None)
    assert dict(os.environ) == before


@pytest.mark.mlflow
def test_a_working_connection_answers_and_keeps_records(connect: Connect, tmp_path: Path) -> None:
    with mlflow_server(tmp_path) as address:
        hook = connect(host=address)
        assert hook.test_connection() == (True, f"MLflow answers at {address} (connection 'mlflow_default')")
        with hook.records() as records:
            run_id = records.runs.open_run("x", "d/r1", model="toy")
            assert records.run_url(run_id) == f"{address}/#/experiments/1/runs/{run_id}"
        with hook.session():
            assert hook.get_conn().get_run(run_id).data.tags["mlops.loop_run"] == "d/r1"


@pytest.mark.server
def test_mlflow_away_names_address_connection_and_tries_and_no_secret(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    extra = {"token": SECRET, "max_retries": 1, "backoff": 0}
    hook = connect(host=f"http://ada:{SECRET}@127.0.0.1:{port}", extra=extra)
    with caplog.at_level(logging.DEBUG):
        answered, said = hook.test_connection()
        with pytest.raises(StoreUnavailableError) as error, hook.records() as records:
            records.runs.open_run("x", "d/r1", model="toy")
    assert not answered
    for text in (said, str(error.value)):
        assert f"http://127.0.0.1:{port} (connection 'mlflow_default') in 2 tries" in text
        assert SECRET not in text
    assert SECRET not in "".join(record.getMessage() for record in caplog.records if "mlops" in record.name)


def test_the_form_asks_for_what_the_hook_reads() -> None:
    (form,) = CONNECTION_TYPES
    assert form["hook-class-name"] == f"{MLflowHook.__module__}.{MLflowHook.__name__}"
    assert form["connection-type"] == MLflowHook.conn_type
    fields = {"registry_uri", "token", "ui_url", "verify_tls", "ca_bundle", "client_cert", *DEFAULTS}
    assert set(form["conn-fields"]) == fields
    assert {name: form["conn-fields"][name]["schema"]["default"] for name in DEFAULTS} == DEFAULTS
