"""Broken inputs, each through the real operators against a champion that serves: one clear sentence, and nothing moved.

Every case says which stage refuses and what its sentence must name. After each, the champion is the one from before, no
snapshot is half written, and no MLflow run is left running. Broken specification files have a corpus of their own in
`tests/spec/broken`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException
from mlflow import MlflowClient

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.spec import ModelSpec, ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop import AS_OF, Run, rows, run_loop, specification, unwritable

Change = Callable[[pd.DataFrame], Any]


@dataclass(frozen=True)
class Case:
    """A broken input and the refusal that it must end in."""

    code: ReasonCode
    names: str
    """Regular expression that the sentence must match: field and what was found."""
    change: Change = lambda frame: None
    """Breaks the good rows; what it returns, if anything, replaces them."""
    spec: dict[str, Any] = field(default_factory=dict)
    """Parts of the specification that differ."""
    write: Callable[[pd.DataFrame, Path], str] | None = None
    """Writes the rows in another way; returns the path for the specification."""


def parquet(frame: pd.DataFrame, home: Path) -> str:
    frame.to_parquet(home / "broken.parquet")
    return "broken.parquet"


def truncated(frame: pd.DataFrame, home: Path) -> str:
    whole = home / parquet(frame, home)
    whole.write_bytes(whole.read_bytes()[:-300])
    return whole.name


def other_encoding(frame: pd.DataFrame, home: Path) -> str:
    frame["city"] = "Malmö"
    frame.to_csv(home / "broken.csv", index=False, encoding="latin-1")
    return "broken.csv"


def duplicated_header(frame: pd.DataFrame, home: Path) -> str:
    text = frame.to_csv(index=False).replace("distance", "load", 1)
    (home / "broken.csv").write_text(text)
    return "broken.csv"


def mixed_zones(frame: pd.DataFrame, home: Path) -> str:
    times = frame["ordered_at"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    frame["ordered_at"] = np.where(np.arange(len(frame)) % 2, times, times + "+02:00")
    frame.to_csv(home / "broken.csv", index=False)
    return "broken.csv"


def ragged(frame: pd.DataFrame, home: Path) -> str:
    (home / "broken.csv").write_text(frame.to_csv(index=False) + "o9,2026-02-28T00:00:00Z,1\n")
    return "broken.csv"


def two_schemas(frame: pd.DataFrame, home: Path) -> str:
    (home / "parts").mkdir()
    frame[:1500].to_parquet(home / "parts" / "a.parquet")
    frame[1500:].assign(load="high").to_parquet(home / "parts" / "b.parquet")
    return "parts/"


def nothing(frame: pd.DataFrame, home: Path) -> str:
    return "nowhere/orders.parquet"


def rename(old: str, new: str) -> Change:
    return lambda frame: frame.rename(columns={old: new})


def put(column: str, value: Any, every: int = 1) -> Change:
    def change(frame: pd.DataFrame) -> None:
        frame.loc[frame.index[::every], column] = value

    return change


def retyped(frame: pd.DataFrame) -> None:
    frame["load"] = frame["load"].map("{:.3f} kg".format)


def shifted(days: int) -> Change:
    def change(frame: pd.DataFrame) -> None:
        frame["ordered_at"] += timedelta(days=days)

    return change


def leaking(frame: pd.DataFrame) -> None:
    frame["distance"] = frame["late"] * 10 + 0.001 * frame["distance"]


def no_times(frame: pd.DataFrame) -> None:
    frame["ordered_at"] = "yesterday"


def with_estimator(path: str, **parameters: Any) -> dict[str, Any]:
    return {"training": {"estimator": path, "parameters": parameters}}


LOGISTIC = "sklearn.linear_model.LogisticRegression"
CASES = {
    "renamed feature column": Case(ReasonCode.COLUMN_RENAMED, "load.*loading", rename("load", "loading")),
    "missing feature column": Case(ReasonCode.COLUMN_MISSING, "city", lambda f: f.drop(columns="city")),
    "renamed time column": Case(
        ReasonCode.COLUMN_RENAMED,
        "ordered_at.*did you mean 'order_at'",
        rename("ordered_at", "order_at"),
    ),
    "missing label column": Case(ReasonCode.COLUMN_MISSING, "data.label.*late", lambda f: f.drop(columns="late")),
    "missing key column": Case(ReasonCode.COLUMN_RENAMED, "data.key.*order_id", lambda f: f.drop(columns="order_id")),
    "retyped feature column": Case(ReasonCode.COLUMN_RETYPED, "load", retyped),
    "column of nothing": Case(ReasonCode.ROWS_QUARANTINED, "distance.*all of", put("distance", np.nan)),
    "duplicated column": Case(ReasonCode.COLUMN_DUPLICATED, "load", write=duplicated_header),
    "truncated parquet": Case(ReasonCode.SOURCE_UNREADABLE, r"broken\.parquet", write=truncated),
    "csv in another encoding": Case(ReasonCode.SOURCE_UNREADABLE, r"broken\.csv.*encoding", write=other_encoding),
    "csv with a short line": Case(ReasonCode.SOURCE_UNREADABLE, r"broken\.csv", write=ragged),
    "files of two schemas": Case(ReasonCode.COLUMN_RETYPED, r"load.*b\.parquet|b\.parquet.*load", write=two_schemas),
    "source that is not there": Case(ReasonCode.SOURCE_MISSING, "nowhere/orders", write=nothing),
    "empty window": Case(ReasonCode.WINDOW_EMPTY, "2025-12-31.*2026-03-01", shifted(-400)),
    "future timestamps": Case(ReasonCode.WINDOW_EMPTY, "2026-03-01", shifted(400)),
    "mixed time zones": Case(ReasonCode.TIME_INVALID, "ordered_at", write=mixed_zones),
    "times that are none": Case(ReasonCode.TIME_INVALID, "ordered_at", no_times),
    "a single class": Case(ReasonCode.LABEL_SINGLE_CLASS, "late", put("late", 1)),
    "no labels": Case(ReasonCode.LABELS_MISSING, "late", lambda f: f.assign(late=pd.array([None] * len(f), "Int64"))),
    "infinite values": Case(ReasonCode.VALUE_NOT_FINITE, "load", put("load", np.inf, every=50)),
    "duplicate keys": Case(ReasonCode.KEY_DUPLICATED, "order_id", put("order_id", "o1", every=10)),
    "a broken expectation": Case(
        ReasonCode.EXPECTATION_FAILED,
        "distance",
        put("distance", -5.0, every=3),
        {"validation": [{"expect": "between", "column": "distance", "min": 0}]},
    ),
    "unknown estimator": Case(
        ReasonCode.ESTIMATOR_INVALID,
        "did you mean 'sklearn.linear_model.LogisticRegression'",
        spec=with_estimator("sklearn.linear_model.LogisticRegresion"),
    ),
    "estimator of a package that is not installed": Case(
        ReasonCode.IMPORT_FAILED, "no_such_package", spec=with_estimator("no_such_package.Forest")
    ),
    "estimator that is none": Case(
        ReasonCode.ESTIMATOR_INVALID, "sklearn.utils.Bunch", spec=with_estimator("sklearn.utils.Bunch")
    ),
    "estimator of a package that is not allowed": Case(
        ReasonCode.IMPORT_NOT_ALLOWED, "pathlib.Path", spec=with_estimator("pathlib.Path")
    ),
    "estimator without predict_proba": Case(
        ReasonCode.ESTIMATOR_INVALID, "predict_proba", spec=with_estimator("sklearn.svm.LinearSVC")
    ),
    "unknown parameter": Case(
        ReasonCode.ESTIMATOR_INVALID, "max_itre.*did you mean 'max_iter'", spec=with_estimator(LOGISTIC, max_itre=5)
    ),
    "parameter out of range": Case(ReasonCode.ESTIMATOR_INVALID, "'C'", spec=with_estimator(LOGISTIC, C=-1.0)),
    "three rows": Case(ReasonCode.HOLDOUT_TOO_SMALL, "rows", lambda f: f[-3:]),
}


@dataclass
class Served:
    """A model that serves, and how its world looked before the broken input came."""

    home: Path
    name: str
    store: MLflowStore
    client: MlflowClient
    first: Run

    def spec(self, path: str, **parts: Any) -> ModelSpec:
        return ModelSpec.model_validate({**specification(path, **parts), "name": self.name})

    def versions(self) -> int:
        return len(self.client.search_model_versions(f"name='{self.name}'"))


@pytest.fixture
def served(loop_home: Path, mlflow_uri: str, request: pytest.FixtureRequest) -> Served:
    name = "bad_" + re.sub(r"\W+", "_", request.node.name.lower()).strip("_")[-50:]
    rows().to_parquet(loop_home / "good.parquet")
    spec = ModelSpec.model_validate({**specification("good.parquet"), "name": name})
    first = run_loop(spec)
    assert first.reports["promote"]["promoted"] is True
    return Served(loop_home, name, MLflowStore.connect(mlflow_uri), MlflowClient(mlflow_uri), first)


def assert_untouched(served: Served) -> None:
    assert served.store.registry.alias(served.name, "champion") == 1
    assert served.store.registry.alias(served.name, "previous") is None
    assert served.versions() == 1
    snapshots = served.home / "storage" / "snapshots" / served.name
    assert not [path for path in snapshots.rglob("*") if ".staging" in path.name or ".tmp" in path.name]
    for folder in snapshots.iterdir():
        assert json.loads((folder / "manifest.json").read_text())["fingerprint"] == folder.name
    experiment = served.client.get_experiment_by_name(served.name)
    assert not served.client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")


def assert_a_sentence(text: str, case: Case) -> None:
    assert f"[{case.code}]" in text, text
    assert re.search(case.names, text), text
    for part in (": found ", "; allowed: "):
        assert part in text, text
    assert "Traceback" not in text


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(CASES) >= 25


@pytest.mark.parametrize("name", CASES)
def test_broken_input_ends_in_one_clear_sentence(served: Served, name: str) -> None:
    case = CASES[name]
    frame = rows(seed=5)
    changed = case.change(frame)
    path = (case.write or parquet)(frame if changed is None else changed, served.home)
    with pytest.raises(AirflowFailException) as refused:
        run_loop(served.spec(path, **case.spec))
    assert_a_sentence(str(refused.value), case)
    assert_untouched(served)


def test_a_label_that_leaks_through_a_feature_is_rejected_by_the_gate(served: Served) -> None:
    frame = rows(seed=5)
    leaking(frame)
    run = run_loop(served.spec(parquet(frame, served.home)))
    assert run.reports["gate"]["verdict"] == "reject"
    assert "distance" in run.skipped
    failed = [rule["code"] for rule in run.reports["gate"]["evaluation"]["rules"] if rule["verdict"] == "reject"]
    assert ReasonCode.LABEL_LEAKAGE in failed
    assert served.store.registry.alias(served.name, "champion") == 1


def test_mlflow_away_is_said_and_tried_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    away = {"conn_type": "mlflow", "host": "http://127.0.0.1:9", "extra": {"max_retries": 1, "backoff": 0}}
    with monkeypatch.context() as patch, pytest.raises(StoreUnavailableError) as refused:
        patch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(away))
        run_loop(served.spec("good.parquet"))
    assert_a_sentence(str(refused.value), Case(ReasonCode.STORE_UNAVAILABLE, "http://127.0.0.1:9.*mlflow_default"))
    assert_untouched(served)


def test_a_storage_that_is_no_folder_is_said(served: Served) -> None:
    with unwritable(served.home / "storage"), pytest.raises((AirflowFailException, ConnectionError)) as refused:
        run_loop(served.spec("good.parquet"), AS_OF - timedelta(days=1))
    # Whose folder it is is written there before anything else.
    assert_a_sentence(str(refused.value), Case(ReasonCode.STORE_UNWRITABLE, "storage.*Not a directory"))
    assert_untouched(served)
