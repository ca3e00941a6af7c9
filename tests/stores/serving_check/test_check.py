"""The serving check: a real stored model in a real fresh interpreter."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError, StoreUnavailableError
from airflow_mlops.core.gate.rules.serving import require_serving
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.evidence import ServingReport
from airflow_mlops.core.training.fit import Fitted, fit
from airflow_mlops.core.training.golden_batch import as_numbers
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.artifacts import download
from airflow_mlops.stores.mlflow.lineage import GOLDEN_SEAL, LOCK
from airflow_mlops.stores.mlflow.queries import get_run
from airflow_mlops.stores.mlflow.store import MLflowStore
from airflow_mlops.stores.model_files import loader as serving_child
from airflow_mlops.stores.model_files.lock import clean, read_lock
from airflow_mlops.stores.serving_check import environment as serving_environment
from airflow_mlops.stores.serving_check.check import ServingCheck, check_serving, start_serving_check
from tests.support.loop_parts import fitted_of, frame_of, snapshot_of, spec_of
from tests.support.servers import free_port

pytestmark = [
    pytest.mark.mlflow,
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
HISTOGRAM = "sklearn.ensemble.HistGradientBoostingClassifier"
LOGISTIC = "sklearn.linear_model.LogisticRegression"


@pytest.fixture
def store(mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> MLflowStore:
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return MLflowStore.connect(mlflow_uri)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).replace("[", "_").replace("]", "_")[:80]


def record(store: MLflowStore, name: str, fitted: Fitted | None = None, spec: ModelSpec | None = None) -> Candidate:
    run_id = store.runs.open_run(name, f"{name}/r", model="toy")
    return store.candidates.record_candidate(
        run_id, fitted or fitted_of(), snapshot_of(), spec or spec_of(), loop_run=f"{name}/r", provenance={}
    )


def folder_of(store: MLflowStore, candidate: Candidate, tmp_path: Path) -> Path:
    """The model's files, where MLflow keeps them cannot be edited through its API: edit a copy, and put it back."""
    return store.download_model(candidate.model_uri, str(tmp_path))


def put_back(store: MLflowStore, candidate: Candidate, folder: Path) -> Candidate:
    """Return the candidate as one that was trained before digests were recorded: what is left is to try the model."""
    store._client.log_model_artifacts(candidate.model_uri.removeprefix("models:/"), str(folder))
    return replace(candidate, model_digest="")


def with_serving(spec: ModelSpec, **rule: Any) -> ModelSpec:
    return spec.model_copy(update={"gate": {"holdout": "20d", "serving": rule}})


def retrained(**training: Any) -> tuple[ModelSpec, Fitted]:
    spec = spec_of(**training)
    return spec, fit(spec, snapshot_of(), frame_of())


# the golden batch ------------------------------------------------------------------------------------------


def test_the_golden_batch_is_what_the_trained_pipeline_said(store: MLflowStore, name: str) -> None:
    fitted, candidate = fitted_of(), record(store, name)
    golden = store.lineage.golden(candidate.run_id)
    assert len(golden.rows) == 200
    assert golden.record.output == "probabilities"
    assert (golden.record.features, golden.record.classes) == (fitted.features, fitted.classes)
    _, numbers = as_numbers(predict(fitted.pipeline, golden.rows, fitted))
    assert [list(row) for row in golden.record.predictions] == numbers.tolist()  # bit for bit
    assert set(golden.rows["x"]) <= set(fitted.holdout_frame["x"])


@pytest.mark.parametrize("edit", ["rows", "predictions", "gone", "cut"])
def test_an_edited_golden_batch_is_refused_and_fails_the_check(
    store: MLflowStore, name: str, tmp_path: Path, edit: str
) -> None:
    candidate = record(store, name)
    if edit == "rows":
        other = record(store, f"{name}_other", fitted_of(seed=5))
        uri = f"{get_run(store._client, other.run_id).info.artifact_uri}/golden"
        rows = download(store._client, uri, str(tmp_path), lambda why: RecordError([])) / "rows.parquet"
        store._client.log_artifact(candidate.run_id, str(rows), "golden")
    elif edit == "gone":
        store._client.delete_tag(candidate.run_id, GOLDEN_SEAL)
    else:
        text = store.artifacts.read_text(candidate.run_id, "golden/predictions.json")
        store.artifacts.write_text(
            candidate.run_id, "golden/predictions.json", text[:90] if edit == "cut" else text.replace("0.1", "0.2", 1)
        )
    with pytest.raises(RecordError):
        store.lineage.golden(candidate.run_id)
    report = check_serving(store, candidate, spec_of())
    assert report.failure is not None
    assert "golden" in report.failure
    assert math.isnan(report.max_difference)


def test_what_made_a_candidate_comes_back(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    assert store.lineage.spec_of(candidate.run_id) == spec_of()
    assert store.lineage.snapshot_of(candidate.run_id) == snapshot_of()
    import sklearn

    assert store.lineage.environment_of(candidate.run_id)["scikit-learn"] == sklearn.__version__
    made = store.lineage.circumstances_of(candidate.run_id)
    assert made.python == ".".join(map(str, sys.version_info[:3]))
    assert len(str(made.code)) == 64


def test_an_edited_specification_is_refused(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    text = store.artifacts.read_text(candidate.run_id, "spec.json")
    store.artifacts.write_text(candidate.run_id, "spec.json", text.replace('"seed": 42', '"seed": 43'))
    with pytest.raises(RecordError, match=r"spec\.json"):
        store.lineage.spec_of(candidate.run_id)


def test_a_version_leads_to_its_candidate(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    version = store.registry.register(name, candidate, {})
    assert store.candidates.candidate_of(name, version) == candidate
    with pytest.raises(RecordError, match="no such version") as error:
        store.candidates.candidate_of(name, 7)
    assert error.value.problems[0].code is ReasonCode.VERSION_MISSING


# the check ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "training",
    [{"estimator": HISTOGRAM}, {"estimator": LOGISTIC, "format": "cloudpickle"}],
    ids=["skops", "cloudpickle"],
)
def test_a_stored_model_serves_what_was_recorded(store: MLflowStore, name: str, training: Any) -> None:
    spec = spec_of(**training)
    fitted = fit(spec, snapshot_of(), frame_of())
    candidate = record(store, name, fitted, spec)
    report = check_serving(store, candidate, spec)
    assert report.failure is None
    assert report.max_difference <= 1e-12
    assert (report.rows, report.environment, report.model_uri) == (200, "current", candidate.model_uri)
    numbers = [report.load_seconds, *report.row_ms, *report.batch_ms, report.size_bytes]
    assert all(number > 0 for number in numbers)
    assert report.row_ms[0] <= report.row_ms[1]
    assert report.python == ".".join(map(str, sys.version_info[:3]))
    assert ServingReport.from_json(report.to_text()) == report
    require_serving(report, spec.gate.serving, "toy version 1")


def test_a_model_that_was_swapped_differs(store: MLflowStore, name: str, tmp_path: Path) -> None:
    candidate, other = record(store, name), record(store, f"{name}_other", fitted_of(seed=5))
    candidate = put_back(store, candidate, folder_of(store, other, tmp_path))
    report = check_serving(store, candidate, spec_of())
    assert report.failure is None
    assert report.max_difference > 1e-3
    with pytest.raises(RecordError, match="differ") as error:
        require_serving(report, spec_of().gate.serving, "toy version 1")
    assert [problem.code for problem in error.value.problems] == [ReasonCode.SERVING_DIFFERS]


def test_a_model_file_that_was_cut_off_fails(store: MLflowStore, name: str, tmp_path: Path) -> None:
    candidate = record(store, name)
    folder = folder_of(store, candidate, tmp_path)
    (folder / "model.skops").write_bytes((folder / "model.skops").read_bytes()[:500])
    candidate = put_back(store, candidate, folder)
    report = check_serving(store, candidate, spec_of())
    assert report.failure == (
        "the stored model cannot be loaded in a fresh interpreter: a model.skops that skops cannot read (BadZipFile)"
    )


def test_a_type_that_nobody_reviewed_is_not_loaded(store: MLflowStore, name: str, tmp_path: Path) -> None:
    import skops.io

    candidate = record(store, name)
    folder = folder_of(store, candidate, tmp_path)
    mark = tmp_path / "ran"
    skops.io.dump(Opener(mark), folder / "model.skops")
    candidate = put_back(store, candidate, folder)
    report = check_serving(store, candidate, spec_of())
    assert report.failure is not None
    assert f"asks for {__name__.rpartition('.')[2]}" in report.failure or "Opener" in report.failure
    assert "nobody has reviewed" in report.failure
    assert not mark.exists()


class Opener:
    """Leaves a mark when its state is set: what an unaudited load would run."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __getstate__(self) -> dict[str, Any]:
        return {"mark": self.mark}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Path(state["mark"]).touch()


def test_pickle_that_the_specification_does_not_ask_for_is_not_loaded(store: MLflowStore, name: str) -> None:
    spec, fitted = retrained(estimator=LOGISTIC, format="cloudpickle")
    candidate = record(store, name, fitted, spec)
    report = check_serving(store, candidate, spec_of())
    assert report.failure is not None
    assert "cloudpickle, which runs code" in report.failure


def test_a_deleted_model_fails_and_mlflow_away_raises(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    away = MLflowStore.connect(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailableError):
        start_serving_check(away, candidate, spec_of())
    store._client.delete_logged_model(candidate.model_uri.removeprefix("models:/"))
    report = check_serving(store, candidate, spec_of())
    assert report.failure is not None
    assert "cannot be read from MLflow" in report.failure


# the interpreter ------------------------------------------------------------------------------------------


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_whoever_leaves_early_stops_the_interpreter(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    with start_serving_check(store, candidate, spec_of()) as check:
        pid, folder = check.pid, Path(check._folder.name)  # type: ignore[union-attr]
        assert pid is not None
        assert alive(pid)
    assert not alive(pid)
    assert not folder.exists()
    assert check.report().failure == "the serving check was stopped before it gave an answer"


def test_an_interpreter_that_is_killed_is_a_failure(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    with start_serving_check(store, candidate, spec_of()) as check:
        assert check.pid is not None
        os.kill(check.pid, 9)
        report = check.report()
        assert report.failure == "the fresh interpreter ended by signal 9 before it gave an answer"
        assert check.report() is report


def test_a_model_without_an_answer_in_time_is_a_failure(store: MLflowStore, name: str) -> None:
    report = check_serving(store, record(store, name), spec_of(), seconds=0.01)
    assert report.failure == "the stored model gave no answer within 0.01 seconds"


@pytest.fixture
def job(store: MLflowStore, name: str, tmp_path: Path) -> Iterator[Path]:
    """A job's folder as the parent writes it, to be run by hand."""
    check = ServingCheck(replace(_EMPTY), seconds=60)
    check.start(store, record(store, name), spec_of())
    assert check._folder is not None
    shutil.copytree(check._folder.name, tmp_path / "job")
    check.stop()
    (tmp_path / "job" / "result.json").unlink(missing_ok=True)
    yield tmp_path / "job"


_EMPTY = ServingReport(
    model_uri="",
    environment="current",
    rows=0,
    max_difference=math.nan,
    load_seconds=0,
    row_ms=(0, 0),
    batch_ms=(0, 0),
    size_bytes=0,
    python="",
)


def run_child(job: Path, **changes: Any) -> dict[str, Any]:
    settings = json.loads((job / "job.json").read_text())
    file = next((job / "model").rglob("model.skops"))
    (job / "job.json").write_text(json.dumps({**settings, "file": str(file), **changes}))
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", str(Path(serving_child.__file__)), str(job)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    result: dict[str, Any] = json.loads((job / "result.json").read_text())
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    return {**result, "imported": imported}


def test_the_interpreter_imports_neither_airflow_nor_mlflow_nor_this_package(job: Path) -> None:
    result = run_child(job)
    assert "failure" not in result
    tops = {module.partition(".")[0] for module in result["imported"]}
    assert not tops & {"airflow", "airflow_mlops", "mlflow", "pydantic", "yaml"}


def test_no_secret_reaches_the_interpreter(
    store: MLflowStore, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    monkeypatch.setenv("AIRFLOW_CONN_X", "s3cret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    seen = clean(home=tmp_path)
    assert set(seen) <= {"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "HOME"}
    with start_serving_check(store, record(store, name), spec_of()) as check:
        environment = b""
        while not environment and check.pid is not None:  # empty until the new program has taken over
            environment = Path(f"/proc/{check.pid}/environ").read_bytes()
    assert b"s3cret" not in environment
    assert b"PYTHONPATH" not in environment
    assert b"OMP_NUM_THREADS=1" in environment


MODULE = '''
import socket, time
from sklearn.base import BaseEstimator, TransformerMixin

class Base(BaseEstimator, TransformerMixin):
    def fit(self, X, y=None):
        self.mean_ = X["x"].mean()
        return self

class Caller(Base):
    def transform(self, X):
        if hasattr(self, "mean_") and len(X) == 200:
            socket.create_connection(("127.0.0.1", 9), timeout=1)
        return X

class Skewed(Base):
    """Uses the mean of the batch: right on many rows, wrong on one alone."""
    def transform(self, X):
        return X.assign(x=X["x"] - X["x"].mean())

class Raiser(Base):
    def transform(self, X):
        if len(X) == 1:
            raise ValueError("could not read Ada Lovelace")
        return X
'''


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("Caller", "it asks for the network (socket."),
        ("Raiser", "cannot score the golden batch in a fresh interpreter: ValueError"),
        ("Skewed", None),
    ],
)
def test_a_transformer_of_the_teams_own(
    store: MLflowStore, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, says: str | None
) -> None:
    module = f"own_{kind.lower()}"
    (tmp_path / f"{module}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = f"{module}.{kind}"
    spec = spec_of(trusted_types=(path,)).model_copy(
        update={"features": {"numeric": ["x", "y"], "categorical": ["city"], "transformer": path}}
    )
    fitted = fit(spec, snapshot_of(), frame_of())
    if kind == "Caller":
        monkeypatch.setattr(sys.modules[module].Caller, "transform", lambda self, frame: frame)  # type: ignore[attr-defined]
    report = check_serving(store, record(store, name, fitted, spec), spec)
    if says is None:
        assert report.failure is None
        assert report.max_difference > 1e-3
    else:
        assert report.failure is not None
        assert says in report.failure
        assert "Ada" not in report.failure


# a fresh environment ------------------------------------------------------------------------------------------


def test_what_was_recorded_is_installed_and_not_what_the_stored_model_says(
    store: MLflowStore, name: str, tmp_path: Path
) -> None:
    """Who may write to MLflow may change the model's own requirements.txt: nobody reads it."""
    spec = with_serving(spec_of(), environment="fresh")
    candidate = record(store, name, spec=spec)
    folder = folder_of(store, candidate, tmp_path)
    (folder / "requirements.txt").write_text("scikit-learn==1.6.0\nnot-ours==6.6.6\n")
    (folder / "python_env.yaml").write_text("python: 2.7.18\n")
    put_back(store, candidate, folder)
    version, lines = read_lock(store.lineage.lock_of(candidate))
    assert version == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert {line.partition("==")[0] for line in lines} >= {"scikit-learn", "numpy", "pandas", "scipy", "skops"}
    assert all("--hash=sha256:" in line for line in lines)
    installed = store.lineage.environment_of(candidate.run_id)
    assert {line.split()[0] for line in lines} <= {f"{name}=={version}" for name, version in installed.items()}


def test_a_lock_that_was_changed_is_refused(store: MLflowStore, name: str) -> None:
    spec = with_serving(spec_of(), environment="fresh")
    candidate = record(store, name, spec=spec)
    text = store.lineage.lock_of(candidate)
    line = f"not-ours==6.6.6 --hash=sha256:{'0' * 64}\n"
    store.artifacts.write_text(candidate.run_id, LOCK, text + line)
    report = check_serving(store, candidate, spec)
    assert report.failure is not None
    assert "requirements.lock of MLflow run" in report.failure
    assert "not what was recorded when the model was trained" in report.failure


def test_a_candidate_without_a_lock_says_what_to_do(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    assert candidate.requirements is None
    report = check_serving(store, candidate, with_serving(spec_of(), environment="fresh"))
    assert report.failure is not None
    assert "recorded without hashes" in report.failure


def test_an_environment_that_somebody_else_could_write_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert serving_environment.private(folder) == folder
    folder.chmod(0o777)
    with pytest.raises(serving_environment.CannotBuildError, match="this user alone"):
        serving_environment.private(folder)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(serving_environment.CannotBuildError, match="this user alone"):
        serving_environment.private(tmp_path / "link")


def test_without_a_package_index_the_check_fails_with_one_sentence(
    store: MLflowStore, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nowhere = f"http://ada:s3cret@127.0.0.1:{free_port()}/simple"
    for variable in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for variable, value in {
        "INDEX_URL": nowhere,
        "DEFAULT_INDEX": nowhere,
        "NO_CACHE_DIR": "1",
        "RETRIES": "0",
    }.items():
        monkeypatch.setenv(f"PIP_{variable}", value)
    monkeypatch.setenv("UV_DEFAULT_INDEX", nowhere)
    monkeypatch.setenv("UV_NO_CACHE", "1")
    spec = with_serving(spec_of(), environment="fresh")
    candidate = record(store, name, spec=spec)
    report = check_serving(store, candidate, spec)
    assert report.failure is not None
    assert report.environment == "fresh"
    assert "no hashes of the model's packages could be had when it was trained: " in report.failure
    assert "s3cret" not in report.failure
    assert "\n" not in report.failure
    assert list(tmp_path.glob("airflow-mlops-serving-*/*")) == []  # nothing half made is kept


def test_a_model_serves_in_an_environment_of_its_own_requirements(
    store: MLflowStore, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spec = with_serving(spec_of(), environment="fresh")
    candidate = record(store, name, spec=spec)
    report = check_serving(store, candidate, spec)
    assert report.failure is None
    assert report.max_difference <= 1e-12
    (made,) = tmp_path.glob("airflow-mlops-serving-*/*")
    names = {path.name for path in made.glob("lib/python*/site-packages/*")}
    assert {"sklearn", "skops", "numpy"} <= names
    assert not names & {"mlflow", "airflow", "airflow_mlops", "pydantic"}
    begun = made.stat().st_mtime_ns
    assert check_serving(store, candidate, spec).failure is None
    assert made.stat().st_mtime_ns == begun  # built once
