"""The whole store on a real MLflow server: models that are loaded only when they may be, and addresses of pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop_parts import fitted_of, snapshot_of, spec_of
from tests.support.mlflow_records import codes, record

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.mark.parametrize(
    "estimator",
    ["sklearn.linear_model.LogisticRegression", "sklearn.ensemble.HistGradientBoostingClassifier"],
)
def test_a_loaded_pipeline_predicts_what_the_trained_one_did(store: MLflowStore, name: str, estimator: str) -> None:
    spec, fitted = spec_of(estimator), fitted_of(estimator)
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    candidate = store.candidates.record_candidate(run_id, fitted, snapshot_of(), spec, loop_run="d/r1", provenance={})
    loaded = store.load_pipeline(candidate.model_uri, spec=spec)
    frame = fitted.holdout_frame
    np.testing.assert_array_equal(loaded.predict_proba(frame), fitted.pipeline.predict_proba(frame))
    # the estimator of today's specification may be another one than the champion's
    assert store.load_pipeline(candidate.model_uri, spec=spec_of()) is not None


def replant(client: Any, model_uri: str, folder: Path) -> None:
    client.log_model_artifacts(model_uri.removeprefix("models:/"), str(folder))


def of_before(candidate: Candidate) -> Candidate:
    """The candidate as one that was trained before digests were recorded: what is left is the audit."""
    return replace(candidate, model_digest="")


def test_a_model_that_names_its_own_trusted_types_is_not_believed(
    store: MLflowStore, client: Any, name: str, tmp_path: Path
) -> None:
    import yaml
    from mlflow.artifacts import download_artifacts

    candidate = record(store, name)
    location = client.get_logged_model(candidate.model_uri.removeprefix("models:/")).artifact_location
    folder = Path(download_artifacts(artifact_uri=location, dst_path=str(tmp_path), tracking_uri=client.tracking_uri))
    content = yaml.safe_load((folder / "MLmodel").read_text())
    content["flavors"]["sklearn"]["skops_trusted_types"] = ["os.system"]
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    replant(client, candidate.model_uri, folder)
    with pytest.raises(RecordError, match=r"os\.system") as error:
        store.load_pipeline(of_before(candidate), spec=spec_of())
    assert codes(error) == {ReasonCode.TYPE_UNTRUSTED}


@pytest.mark.parametrize("format_", ["cloudpickle", "pickle"])
def test_a_pickle_in_place_of_the_model_is_never_opened(
    store: MLflowStore, client: Any, name: str, tmp_path: Path, format_: str
) -> None:
    import pickle

    import yaml

    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "went off"),))  # type: ignore[return-value]

    candidate = record(store, name)
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    flavor = {"pickled_model": "model.pkl", "serialization_format": format_}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"sklearn": flavor}}))
    replant(client, candidate.model_uri, folder)
    with pytest.raises(RecordError, match="runs code") as error:
        store.load_pipeline(of_before(candidate), spec=spec_of())
    assert codes(error) == {ReasonCode.TYPE_UNTRUSTED}
    assert not (tmp_path / "went off").exists()


def test_cloudpickle_works_where_the_specification_asks_for_it(
    store: MLflowStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(format="cloudpickle")
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    candidate = store.candidates.record_candidate(
        run_id, fitted_of(), snapshot_of(), spec, loop_run="d/r1", provenance={}
    )
    frame = fitted_of().holdout_frame
    loaded = store.load_pipeline(candidate.model_uri, spec=spec)
    np.testing.assert_array_equal(loaded.predict(frame), fitted_of().pipeline.predict(frame))
    with pytest.raises(RecordError, match="runs code"):
        store.load_pipeline(candidate.model_uri, spec=spec_of())
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    with pytest.raises(RecordError, match="MLFLOW_ALLOW_PICKLE_DESERIALIZATION"):
        store.load_pipeline(candidate.model_uri, spec=spec)


@pytest.mark.parametrize(
    "content",
    [
        ("model.skops", b"PK no zip"),
        ("MLmodel", b"flavors: [sklearn]"),
        ("MLmodel", b"flavors: {sklearn: {pickled_model: ../../etc/passwd, serialization_format: skops}}"),
        ("MLmodel", b"\xff\xfe"),
    ],
)
def test_a_broken_model_folder_is_a_refusal(
    store: MLflowStore, client: Any, name: str, tmp_path: Path, content: tuple[str, bytes]
) -> None:
    candidate = record(store, name)
    (tmp_path / content[0]).write_bytes(content[1])
    replant(client, candidate.model_uri, tmp_path)
    with pytest.raises(RecordError) as error:
        store.load_pipeline(of_before(candidate), spec=spec_of())
    assert codes(error) == {ReasonCode.RECORD_CONFLICT}


def test_a_model_that_is_gone_is_a_refusal(store: MLflowStore) -> None:
    with pytest.raises(RecordError, match="models:/m-"):
        store.load_pipeline("models:/m-" + "0" * 32, spec=spec_of())


def test_no_champion_says_what_to_do(store: MLflowStore) -> None:
    spec = spec_of().model_copy(update={"name": "never_trained"})
    with pytest.raises(RecordError, match=r"run never_trained\.train") as error:
        store.require_champion(spec)
    assert codes(error) == {ReasonCode.NO_CHAMPION}


def test_addresses_are_those_of_the_pages_and_hide_credentials(mlflow_uri: str, client: Any, name: str) -> None:
    seen = MLflowStore.connect(mlflow_uri, ui_url="https://ada:secret@ml.example.com/")
    run_id = seen.runs.open_run(name, "d/r1", model="toy")
    experiment = client.get_experiment_by_name(name).experiment_id
    assert seen.run_url(run_id) == f"https://ml.example.com/#/experiments/{experiment}/runs/{run_id}"
    assert seen.artifact_url(run_id, "gate/decision.html").endswith(f"/runs/{run_id}/artifacts/gate/decision.html")
    assert seen.version_url("a b", 3) == "https://ml.example.com/#/models/a%20b/versions/3"
