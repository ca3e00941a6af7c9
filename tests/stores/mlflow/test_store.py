"""MLflowStore against a real MLflow server."""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_mlops.core.errors import RecordError, StaleDecisionError, StoreUnavailableError, TrainingError
from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.core.promotion.promote import promote
from airflow_mlops.core.promotion.registration import provenance_tags
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode, Refusal
from airflow_mlops.stores.mlflow.errors import said
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop_parts import AS_OF, decision_of, fitted_of, snapshot_of, spec_of
from tests.support.proxies import CUT, DOWNLOAD, LISTING, flaky_proxy
from tests.support.servers import free_port, mlflow_server

pytestmark = [
    pytest.mark.mlflow,
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")


@pytest.fixture
def store(uri: str) -> MLflowStore:
    return MLflowStore.connect(uri)


@pytest.fixture
def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of its own for each test's experiment and registered model."""
    return str(request.node.name).replace("[", "_").replace("]", "_")[:80]


def inputs_of(fingerprint: str = "a" * 64) -> str:
    return f"{fingerprint}/{spec_of().fingerprint}"


def record(store: MLflowStore, name: str, loop: str = "r1", *, days: int = 0, **fields: Any) -> Candidate:
    snapshot = replace(snapshot_of(), as_of=AS_OF + timedelta(days=days))
    loop_run = f"{name}.train/{loop}"
    run_id = store.runs.open_run(name, loop_run, model="toy", inputs=inputs_of(), tags={"mlops.try_number": "1"})
    fitted = replace(fitted_of(), **fields)
    profile = build_profile("toy", fitted.train_frame, fitted.features, fitted.train)
    return store.candidates.record_candidate(
        run_id, fitted, snapshot, spec_of(), loop_run=loop_run, provenance={"mlops.dag_id": "d"}, profile=profile
    )


def codes(error: pytest.ExceptionInfo[Any]) -> set[ReasonCode]:
    return {problem.code for problem in error.value.problems}


# runs ------------------------------------------------------------------------------------------


def test_a_loop_run_has_one_run_however_often_it_is_opened(store: MLflowStore, client: Any, name: str) -> None:
    first = store.runs.open_run(name, "d/r1", model="toy", inputs="i", tags={"mlops.try_number": "1"})
    assert store.runs.open_run(name, "d/r1", model="toy", inputs="i", tags={"mlops.try_number": "2"}) == first
    assert store.runs.open_run(name, "d/r1", model="toy") == first
    assert store.runs.open_run(name, "d/it's", model="toy", inputs="i") not in (first, "")
    run = client.get_run(first)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == "r1"
    tags = {key: value for key, value in run.data.tags.items() if key.startswith("mlops.")}
    assert tags == {"mlops.loop_run": "d/r1", "mlops.model": "toy", "mlops.inputs": "i", "mlops.try_number": "2"}


def test_two_models_of_one_loop_run_in_one_experiment_have_a_run_each(
    store: MLflowStore, client: Any, name: str
) -> None:
    first = store.runs.open_run(name, "d/r1", model="late", inputs="i")
    second = store.runs.open_run(name, "d/r1", model="early", inputs="j")
    assert second != first
    assert store.runs.open_run(name, "d/r1", model="late", inputs="i") == first
    assert store.runs.open_run(name, "d/r1", model="early", inputs="j") == second
    stages = [client.get_run(run_id).info.lifecycle_stage for run_id in (first, second)]
    assert stages == ["active", "active"]


def test_inputs_may_be_known_later_and_then_hold(store: MLflowStore, client: Any, name: str) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    assert store.runs.open_run(name, "d/r1", model="toy", inputs="i") == run_id
    assert client.get_run(run_id).data.tags["mlops.inputs"] == "i"


def test_other_inputs_replace_a_run_that_registered_nothing(store: MLflowStore, client: Any, name: str) -> None:
    candidate = record(store, name)
    other = store.runs.open_run(name, candidate.loop_run, model="toy", inputs="other")
    assert other != candidate.run_id
    assert client.get_run(candidate.run_id).info.lifecycle_stage == "deleted"
    experiment = client.get_experiment_by_name(name).experiment_id
    assert client.search_logged_models([experiment]) == []
    assert store.candidates.find_candidate(other) is None


def test_other_inputs_are_refused_once_a_version_is_registered(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    store.registry.register(name, candidate, {})
    with pytest.raises(RecordError, match="trigger a new run") as error:
        store.runs.open_run(name, candidate.loop_run, model="toy", inputs="other")
    assert codes(error) == {ReasonCode.RECORD_CONFLICT}
    assert f"{name} version 1" in str(error.value)


def test_of_doubled_runs_the_earliest_stays(store: MLflowStore, client: Any, name: str) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    experiment = client.get_experiment_by_name(name).experiment_id
    late = client.create_run(experiment, tags={"mlops.loop_run": "d/r1", "mlops.model": "toy"}).info.run_id
    assert store.runs.open_run(name, "d/r1", model="toy") == run_id
    assert client.get_run(late).info.lifecycle_stage == "deleted"


def test_two_first_runs_at_once_share_the_experiment(uri: str, client: Any, name: str) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda n=n: found.append(MLflowStore.connect(uri).runs.open_run(name, f"d/{n}", model="toy"))
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 4
    assert len({client.get_run(run_id).info.experiment_id for run_id in found}) == 1


def test_a_deleted_experiment_is_a_clear_refusal(store: MLflowStore, client: Any, name: str) -> None:
    store.runs.open_run(name, "d/r1", model="toy")
    client.delete_experiment(client.get_experiment_by_name(name).experiment_id)
    with pytest.raises(RecordError, match="is deleted"):
        store.runs.open_run(name, "d/r2", model="toy")


def test_a_failure_ends_the_run_with_its_reason_and_a_retry_clears_it(
    store: MLflowStore, client: Any, name: str
) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    refusal = TrainingError(
        Problem(code=ReasonCode.TRAINING_FAILED, field="training", found="no luck", allowed="luck", fix="go on")
    )
    with pytest.raises(TrainingError, match="no luck"), store.runs.failing(run_id):
        raise refusal
    run = client.get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["mlops.failure"] == f"TrainingError: {refusal}"
    assert store.runs.open_run(name, "d/r1", model="toy") == run_id
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert "mlops.failure" not in run.data.tags


@pytest.mark.parametrize("kind", [ValueError, AirflowTaskTimeout, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_work_ends_the_run_and_its_words_are_not_kept(
    store: MLflowStore, client: Any, name: str, kind: type[BaseException]
) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    with pytest.raises(kind), store.runs.failing(run_id):
        raise kind("could not convert string to float: 'Ada Lovelace'")
    run = client.get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["mlops.failure"] == kind.__name__


def test_a_failure_stays_the_failure_when_mlflow_is_away_as_well() -> None:
    store = MLflowStore.connect(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ZeroDivisionError) as error, store.runs.failing("f" * 32):
        raise ZeroDivisionError
    (note,) = error.value.__notes__
    assert "could not be marked as FAILED" in note


@pytest.mark.parametrize(
    "text",
    [
        "cannot get https://s3.example.com/b/k?X-Amz-Signature=SECRET&a='b') now",
        "HTTPSConnectionPool(host='s3', port=443): Max retries exceeded with url: /b/k?sig=SECRET (Caused by x)",
        "no answer from https://ada:SECRET@ml.example.com/",
        "no answer from https://ada:p@SECRET@ml.example.com/",
    ],
)
def test_no_key_of_an_address_is_said(text: str) -> None:
    assert "SECRET" not in said(OSError(text))
    assert said(OSError(text)).startswith(text[:10])


def test_text_comes_back_byte_for_byte(store: MLflowStore, name: str) -> None:
    run_id, text = store.runs.open_run(name, "d/r1", model="toy"), "a\r\nb\nŁódź ✓\n"
    store.artifacts.write_text(run_id, "deep/er/x.txt", text)
    assert store.artifacts.read_text(run_id, "deep/er/x.txt") == text


@pytest.mark.parametrize(
    ("run", "missing"), [("known", r"no readable artifact x\.json"), ("f" * 32, "no run ffff")], ids=["file", "run"]
)
def test_what_is_not_there_is_a_refusal(store: MLflowStore, name: str, run: str, missing: str) -> None:
    known = store.runs.open_run(name, "d/r1", model="toy")
    with pytest.raises(RecordError, match=missing):
        store.artifacts.read_text(known if run == "known" else run, "x.json")


# candidates ------------------------------------------------------------------------------------------


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


# loading ------------------------------------------------------------------------------------------


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
        store.load_pipeline(candidate.model_uri, spec=spec_of())
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
        store.load_pipeline(candidate.model_uri, spec=spec_of())
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
        store.load_pipeline(candidate.model_uri, spec=spec_of())
    assert codes(error) == {ReasonCode.RECORD_CONFLICT}


def test_a_model_that_is_gone_is_a_refusal(store: MLflowStore) -> None:
    with pytest.raises(RecordError, match="models:/m-"):
        store.load_pipeline("models:/m-" + "0" * 32, spec=spec_of())


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


# decisions, versions, drift ------------------------------------------------------------------------------------------


def test_a_decision_comes_back_and_an_edited_one_does_not(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    with pytest.raises(RecordError, match="has no decision"):
        store.decisions.decision(candidate.run_id)
    rejected = decision_of(candidate, None, Verdict.REJECT)
    store.decisions.record_decision(candidate.run_id, rejected, page_html="<p>no</p>")
    assert store.decisions.decision(candidate.run_id, expected=rejected) == rejected
    with pytest.raises(StaleDecisionError) as error:
        store.decisions.decision(candidate.run_id, expected=decision_of(candidate, None))
    assert codes(error) == {ReasonCode.DECISION_MISMATCH}
    store.artifacts.write_text(candidate.run_id, "gate/decision.json", rejected.to_text().replace("reject", "accept"))
    with pytest.raises(RecordError, match="not what") as changed:
        store.decisions.decision(candidate.run_id)
    assert codes(changed) == {ReasonCode.RECORD_CONFLICT}


def test_promotion_on_the_real_registry(store: MLflowStore, client: Any, name: str) -> None:
    assert store.registry.champion(name) is None
    assert store.registry.alias(name, "champion") is None
    candidates = [record(store, name, f"r{n}", days=n) for n in range(3)]
    for number, verdict in enumerate([Verdict.ACCEPT, Verdict.ACCEPT, Verdict.REJECT]):
        decision = decision_of(candidates[number], number or None, verdict)
        options: dict[str, Any] = {
            "registered_model": name,
            "by": "airflow:d/r",
            "now": AS_OF,
            "tags": {"mlops.dag_id": "d"},
        }
        done = promote(decision, candidates[number], store.registry, store.trail, **options)
        assert promote(decision, candidates[number], store.registry, store.trail, **options) == done
    champion = store.registry.champion(name)
    assert champion is not None
    assert (champion.version, champion.candidate) == (2, candidates[1])
    assert client.get_registered_model(name).aliases == {"champion": "2", "previous": "1"}
    statuses = [store.registry.version_tags(name, number)["mlops.status"] for number in (1, 2, 3)]  # type: ignore[index]
    assert statuses == ["previous", "champion", "rejected"]
    assert store.registry.version_tags(name, 4) is None
    assert store.registry.version_tags(name, 2)["mlops.dag_id"] == "d"  # type: ignore[index]


def test_a_deleted_champion_leaves_no_champion(store: MLflowStore, client: Any, name: str) -> None:
    candidate = record(store, name)
    promote(
        decision_of(candidate, None), candidate, store.registry, store.trail, registered_model=name, by="t", now=AS_OF
    )
    client.delete_model_version(name, "1")
    assert store.registry.champion(name) is None
    later = record(store, name, "r2", days=1)
    with pytest.raises(StaleDecisionError, match="no champion serves now"):
        promote(decision_of(later, 1), later, store.registry, store.trail, registered_model=name, by="t", now=AS_OF)


def test_a_champion_that_the_loop_did_not_make_is_a_clear_refusal(store: MLflowStore, client: Any, name: str) -> None:
    client.create_registered_model(name)
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    client.create_model_version(name, source=f"{client.get_run(run_id).info.artifact_uri}/model", run_id=run_id)
    client.set_registered_model_alias(name, "champion", "1")
    with pytest.raises(RecordError, match="training record cannot be read") as error:
        store.registry.champion(name)
    assert codes(error) == {ReasonCode.CHAMPION_UNREADABLE}


def test_no_champion_says_what_to_do(store: MLflowStore) -> None:
    spec = spec_of().model_copy(update={"name": "never_trained"})
    with pytest.raises(RecordError, match=r"run never_trained\.train") as error:
        store.require_champion(spec)
    assert codes(error) == {ReasonCode.NO_CHAMPION}


def versions(client: Any, name: str) -> list[int]:
    return sorted(int(found.version) for found in client.search_model_versions(f"name = '{name}'"))


def again(client: Any, name: str, candidate: Candidate, tags: Mapping[str, str]) -> None:
    """Register a version past the store: a request that is sent again, or a person."""
    client.create_model_version(
        name,
        source=candidate.model_uri,
        run_id=candidate.run_id,
        model_id=candidate.model_uri.removeprefix("models:/"),
        tags=dict(tags),
    )


def test_of_a_doubled_registration_the_first_version_stays(store: MLflowStore, client: Any, name: str) -> None:
    candidate = record(store, name)
    tags = {**provenance_tags(decision_of(candidate, None), candidate), "mlops.status": "candidate"}
    assert store.registry.register(name, candidate, tags) == 1
    again(client, name, candidate, tags)
    assert store.registry.version_of(name, candidate.run_id) == 1
    assert versions(client, name) == [1, 2]  # to read deletes nothing
    assert store.registry.register(name, candidate, tags) == 1
    assert versions(client, name) == [1]


@pytest.mark.parametrize(
    "changed",
    [
        {"mlops.decision_digest": "other"},
        {"mlops.decision_digest": None},
        {"mlops.loop_run": "other"},
        {"mlops.status": "rolled_back"},
        "alias",
    ],
    ids=["digest", "no_digest", "loop_run", "served", "alias"],
)
def test_a_version_of_somebody_else_is_never_deleted(store: MLflowStore, client: Any, name: str, changed: Any) -> None:
    candidate = record(store, name)
    tags = {**provenance_tags(decision_of(candidate, None), candidate), "mlops.status": "candidate"}
    assert store.registry.register(name, candidate, tags) == 1
    other = {**tags, **({} if changed == "alias" else changed)}
    again(client, name, candidate, {key: value for key, value in other.items() if value is not None})
    if changed == "alias":
        client.set_registered_model_alias(name, "champion", "1")
        client.set_registered_model_alias(name, "shadow", "2")
    with pytest.raises(RecordError, match="versions 1, 2 of") as error:
        store.registry.register(name, candidate, tags)
    assert codes(error) == {ReasonCode.RECORD_CONFLICT}
    assert versions(client, name) == [1, 2]


def test_of_several_versions_the_one_that_an_alias_points_at_is_the_runs(
    store: MLflowStore, client: Any, name: str
) -> None:
    candidate = record(store, name)
    store.registry.register(name, candidate, {})
    for _ in range(2):
        again(client, name, candidate, {})
    assert store.registry.version_of(name, candidate.run_id) == 1
    client.set_registered_model_alias(name, "previous", "2")
    assert store.registry.version_of(name, candidate.run_id) == 2
    client.set_registered_model_alias(name, "champion", "3")
    assert store.registry.version_of(name, candidate.run_id) == 3


def test_a_version_that_was_made_from_another_model_is_not_taken_for_the_one_that_was_judged(
    store: MLflowStore, client: Any, name: str
) -> None:
    candidate, other = record(store, name), record(store, name, "r2")
    client.create_registered_model(name)
    another = other.model_uri.removeprefix("models:/")
    client.create_model_version(name, source=other.model_uri, run_id=candidate.run_id, model_id=another)
    with pytest.raises(RecordError, match="made from another model than the one that this run trained") as error:
        promote(
            decision_of(candidate, None),
            candidate,
            store.registry,
            store.trail,
            registered_model=name,
            by="t",
            now=AS_OF,
        )
    assert codes(error) == {ReasonCode.RECORD_CONFLICT}
    assert store.registry.alias(name, "champion") is None
    assert store.trail.events(name) == ()


def test_a_double_that_another_try_deletes_at_the_same_moment_is_no_failure(
    store: MLflowStore, client: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = record(store, name)
    tags = {**provenance_tags(decision_of(candidate, None), candidate), "mlops.status": "candidate"}
    store.registry.register(name, candidate, tags)
    again(client, name, candidate, tags)
    seen = store.registry._versions_of(name, candidate.run_id)
    client.delete_model_version(name, "2")
    monkeypatch.setattr(store.registry, "_versions_of", lambda *_: seen)
    assert store.registry.register(name, candidate, tags) == 1
    assert versions(client, name) == [1]


def test_registering_says_nothing_on_stderr(store: MLflowStore, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = record(store, name)
    capsys.readouterr()
    store.registry.register(name, candidate, {})
    assert capsys.readouterr().err == ""


def test_the_profile_comes_back(store: MLflowStore, name: str) -> None:
    fitted, candidate = fitted_of(), record(store, name)
    assert store.lineage.profile(candidate.run_id) == build_profile(
        "toy", fitted.train_frame, fitted.features, fitted.train
    )


def test_addresses_are_those_of_the_pages_and_hide_credentials(uri: str, client: Any, name: str) -> None:
    seen = MLflowStore.connect(uri, ui_url="https://ada:secret@ml.example.com/")
    run_id = seen.runs.open_run(name, "d/r1", model="toy")
    experiment = client.get_experiment_by_name(name).experiment_id
    assert seen.run_url(run_id) == f"https://ml.example.com/#/experiments/{experiment}/runs/{run_id}"
    assert seen.artifact_url(run_id, "gate/decision.html").endswith(f"/runs/{run_id}/artifacts/gate/decision.html")
    assert seen.version_url("a b", 3) == "https://ml.example.com/#/models/a%20b/versions/3"


# away ------------------------------------------------------------------------------------------


def test_mlflow_away_names_address_and_tries_and_no_secret() -> None:
    port = free_port()
    store = MLflowStore.connect(f"http://ada:secret@127.0.0.1:{port}")
    with pytest.raises(StoreUnavailableError) as error:
        store.runs.open_run("x", "d/r1", model="toy")
    assert codes(error) == {ReasonCode.STORE_UNAVAILABLE}
    assert f"http://127.0.0.1:{port}" in str(error.value)
    assert "secret" not in str(error.value)
    assert isinstance(error.value, ConnectionError)


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


@pytest.mark.parametrize(
    "refused",
    [{DOWNLOAD: 503}, {DOWNLOAD: CUT}, {DOWNLOAD: 503, LISTING: 503}, {LISTING: 503}, {LISTING: 403}],
    ids=["download", "cut_off", "both", "listing", "forbidden"],
)
def test_an_artifact_that_cannot_be_had_now_is_not_called_missing(
    uri: str, client: Any, name: str, refused: dict[str, int]
) -> None:
    candidate = record(MLflowStore.connect(uri), name)
    records = MLflowStore.connect(uri)
    promote(
        decision_of(candidate, None),
        candidate,
        records.registry,
        records.trail,
        registered_model=name,
        by="t",
        now=AS_OF,
    )

    def refuses(method: str, path: str) -> int | None:
        return next((how for start, how in refused.items() if method == "GET" and path.startswith(start)), None)

    with flaky_proxy(uri, refuses) as proxy:
        store = MLflowStore.connect(proxy)
        for read in (
            lambda: store.artifacts.read_text(candidate.run_id, "candidate.json"),
            lambda: store.candidates.candidate(candidate.run_id),
            lambda: store.registry.champion(name),
            lambda: store.load_pipeline(candidate.model_uri, spec=spec_of()),
        ):
            with pytest.raises(StoreUnavailableError) as error:
                read()
            assert codes(error) == {ReasonCode.STORE_UNAVAILABLE}
            assert proxy in str(error.value)
    assert MLflowStore.connect(uri).registry.champion(name) is not None


def test_files_that_are_gone_are_missing_and_not_tried_again(tmp_path: Path) -> None:
    with mlflow_server(tmp_path) as address:
        store = MLflowStore.connect(address)
        candidate = record(store, "gone")
        shutil.rmtree(tmp_path / "artifacts")
        with pytest.raises(RecordError, match=r"has no readable artifact candidate\.json"):
            store.candidates.candidate(candidate.run_id)
        with pytest.raises(RecordError, match="cannot be read from MLflow") as error:
            store.load_pipeline(candidate.model_uri, spec=spec_of())
        assert codes(error) == {ReasonCode.RECORD_CONFLICT}


def test_a_folder_is_no_text(store: MLflowStore, name: str) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    store.artifacts.write_text(run_id, "gate/x.txt", "x")
    with pytest.raises(RecordError, match="no readable artifact gate"):
        store.artifacts.read_text(run_id, "gate")


def test_every_refusal_is_one_sentence_with_field_found_allowed_and_fix() -> None:
    with pytest.raises(Refusal) as error:
        MLflowStore.connect(f"http://127.0.0.1:{free_port()}").registry.champion("x")
    (problem,) = error.value.problems
    assert all([problem.field, problem.found, problem.allowed, problem.fix])
