"""The store on the session's MLflow server, a client to look past it, and names of a test's own."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.stores.mlflow.store import MLflowStore


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow prints nothing, and asks a server that does not answer once more, at once."""
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")


@pytest.fixture
def store(mlflow_uri: str) -> MLflowStore:
    return MLflowStore.connect(mlflow_uri)


@pytest.fixture
def client(mlflow_uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(mlflow_uri)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of its own for each test's experiment and registered model."""
    return str(request.node.name).replace("[", "_").replace("]", "_")[:80]
