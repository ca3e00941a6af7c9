"""Candidates on a real MLflow server: whole or not at all, once for a run."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airflow_mlops.core.errors import RecordError, StoreUnavailableError, TrainingError
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop_parts import fitted_of, snapshot_of, spec_of
from tests.support.mlflow_records import codes, record
from tests.support.servers import mlflow_server

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def test_a_candidate_carries_everything_that_made_it(
    store: MLflowStore, client: Any, name: str, tmp_path: Path
) -> None:
    from mlflow.models import Model

    candidate = record(store, name)
    run = client.get_run(candidate.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["estimator"] == "sklearn.linear_model.LogisticRegression"
    assert run.data.params["seed"] == "42"
    assert run.data.metrics == pytest.approx(dict(candidate.metrics))
    assert run.data.tags["mlops.snapshot"] == "a" * 64
    assert run.data.tags["mlops.dag_id"] == "d"
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("toy", "a" * 36)
    assert json.loads(dataset.dataset.profile) == {"num_rows": snapshot_of().rows}
    assert [f"models:/{o.model_id}" for o in run.outputs.model_outputs] == [candidate.model_uri]
    files = {entry.path for entry in client.list_artifacts(candidate.run_id)}
    assert files == {
        *("candidate.json", "environment.txt", "golden", "reference_profile.json", "snapshot.json", "spec.json")
    }
    assert "scikit-learn==" in store.artifacts.read_text(candidate.run_id, "environment.txt")
    assert ModelSpec.model_validate(json.loads(store.artifacts.read_text(candidate.run_id, "spec.json"))) == spec_of()

    logged = client.get_logged_model(candidate.model_uri.removeprefix("models:/"))
    assert {m.key: m.value for m in logged.metrics} == pytest.approx(dict(candidate.metrics))
    from mlflow.artifacts import download_artifacts

    folder = Path(
        download_artifacts(
            artifact_uri=logged.artifact_location, dst_path=str(tmp_path), tracking_uri=client.tracking_uri
        )
    )
    model = Model.load(str(folder))
    assert model.signature.inputs.input_names() == ["x", "y", "city"]
    assert model.flavors["sklearn"]["serialization_format"] == "skops"
    pinned = (folder / "requirements.txt").read_text()
    assert all(f"{package}==" in pinned for package in ("scikit-learn", "numpy", "pandas", "scipy", "skops"))
    assert len(model.load_input_example(str(folder))) == 5
    assert store.candidates.candidate(candidate.run_id) == candidate


def test_recording_again_changes_nothing(store: MLflowStore, client: Any, name: str) -> None:
    candidate = record(store, name)
    assert record(store, name) == candidate
    history = client.get_metric_history(candidate.run_id, "log_loss")
    assert len(history) == 1


def test_metrics_that_are_not_finite_are_a_tag_and_stay_in_the_candidate(
    store: MLflowStore, client: Any, name: str
) -> None:
    candidate = record(store, name, metrics={"log_loss": 0.5, "roc_auc": math.nan, "f1": math.inf})
    run = client.get_run(candidate.run_id)
    assert run.data.metrics == {"log_loss": 0.5}
    assert json.loads(run.data.tags["mlops.non_finite_metrics"]) == {"roc_auc": "nan", "f1": "inf"}
    logged = client.get_logged_model(candidate.model_uri.removeprefix("models:/"))
    assert [metric.key for metric in logged.metrics] == ["log_loss"]
    back = store.candidates.candidate(candidate.run_id)
    assert math.isnan(back.metrics["roc_auc"])
    assert back.metrics["f1"] == math.inf
    assert back.digest == candidate.digest


def test_a_candidate_of_other_inputs_is_not_taken_for_this_one(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    other = snapshot_of("b" * 64)
    with pytest.raises(RecordError, match="trigger a new run"):
        store.candidates.record_candidate(
            candidate.run_id, fitted_of(), other, spec_of(), loop_run=candidate.loop_run, provenance={}
        )


def test_an_edited_candidate_is_refused(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    store.artifacts.write_text(
        candidate.run_id, "candidate.json", candidate.to_text().replace('"seed": 42', '"seed": 43')
    )
    with pytest.raises(RecordError, match="not what"):
        store.candidates.candidate(candidate.run_id)


def test_a_run_without_a_candidate_says_so(store: MLflowStore, name: str) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    store.artifacts.write_text(run_id, "candidate.json", "{")
    assert store.candidates.find_candidate(run_id) is None
    with pytest.raises(RecordError, match="has no candidate"):
        store.candidates.candidate(run_id)


def test_a_pipeline_that_cannot_be_stored_is_a_training_error_and_leaves_no_candidate(
    store: MLflowStore, client: Any, name: str
) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    local = type("Local", (), {"predict": lambda self, frame: np.zeros(len(frame))})
    with pytest.raises(TrainingError, match="cannot be stored as skops"):
        store.candidates.record_candidate(
            run_id, replace(fitted_of(), pipeline=local()), snapshot_of(), spec_of(), loop_run="d/r1", provenance={}
        )
    assert store.candidates.find_candidate(run_id) is None


def test_an_artifact_store_that_cannot_be_written_leaves_no_candidate(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "artifacts").write_text("a file where the folder should be: unwritable for root as well")
    with mlflow_server(folder) as address:
        store = MLflowStore.connect(address)
        run_id = store.runs.open_run("x", "d/r1", model="toy")
        with pytest.raises(StoreUnavailableError, match="artifact store cannot be written") as error:
            store.candidates.record_candidate(
                run_id, fitted_of(), snapshot_of(), spec_of(), loop_run="d/r1", provenance={}
            )
        assert codes(error) == {ReasonCode.STORE_UNWRITABLE}
        assert store.candidates.find_candidate(run_id) is None


def test_files_that_are_gone_are_missing_and_not_tried_again(tmp_path: Path) -> None:
    with mlflow_server(tmp_path) as address:
        store = MLflowStore.connect(address)
        candidate = record(store, "gone")
        shutil.rmtree(tmp_path / "artifacts")
        with pytest.raises(RecordError, match=r"has no readable artifact candidate\.json"):
            store.candidates.candidate(candidate.run_id)
        with pytest.raises(RecordError, match="cannot be read from MLflow") as error:
            store.load_pipeline(candidate, spec=spec_of())
        assert codes(error) == {ReasonCode.RECORD_CONFLICT}
