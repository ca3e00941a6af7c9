"""Two versions for one run of the loop: its MLflow run is deleted, and then its tasks are cleared."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop import context_of as context
from tests.support.loop import promote_run, rows, run_loop, specification

pytestmark = [
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def test_a_run_that_was_deleted_and_cleared_is_found_in_the_registry(loop_home: Path, mlflow_uri: str) -> None:
    rows(1500).to_parquet(loop_home / "orders.parquet")
    spec = ModelSpec.model_validate(specification("orders.parquet", name="deleted_and_cleared"))
    store = MLflowStore.connect(mlflow_uri)
    run = run_loop(spec, run_id="same")
    deleted = run.reports["train"]["run_id"]
    before = store.trail.events(spec.name)
    store._client.delete_run(deleted)
    with pytest.raises(AirflowFailException, match="already registered deleted_and_cleared version 1") as error:
        run_loop(spec, run_id="same")
    assert "which is deleted; allowed: one version of a loop run from the same inputs; restore" in str(error.value)
    versions = [version.version for version in store._client.search_model_versions(f"name = '{spec.name}'")]
    assert [int(version) for version in versions] == [1]
    assert store.trail.events(spec.name) == before
    store._client.restore_run(deleted)
    promote_run(spec, run, context("same"))
    assert (run.reports["promote"]["version"], run.reports["promote"]["promoted"]) == (1, True)
    assert run_loop(spec, run_id="same").reports["promote"]["version"] == 1
