"""Batch scoring: what is written, how often, and what never is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.pipeline.features import as_features, build_pipeline
from airflow_mlops.core.pipeline.predict import plain_classes
from airflow_mlops.core.records.candidate import Champion, Feature, Task
from airflow_mlops.core.records.predictions import Predictions
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.scoring.score import score
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode, SpecError
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.builders import make_candidate, make_champion, make_spec

START = datetime(2013, 12, 1, tzinfo=UTC)
WINDOW = Window(start=START, end=START + timedelta(days=1))
FOLDER = "predictions/m/20131201T000000Z_20131202T000000Z"
FEATURES = (Feature(name="x", role="numeric"), Feature(name="c", role="categorical"))
RUN = "m.score/scheduled__2013-12-02"


def frame(rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "t": pd.to_datetime(START) + pd.to_timedelta(np.arange(rows), unit="s"),
            "x": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "c": rng.choice(np.array(["a", "b", None], dtype=object), rows),
            "unused": "never read",
            "y": rng.integers(0, 2, rows),
        }
    )


def spec(**other: Any) -> ModelSpec:
    return make_spec("sklearn.ensemble.HistGradientBoostingClassifier", **{"scoring": {"chunk_rows": 64}, **other})


def trained(labels: Any, *, version: int = 1, task: Task = "binary") -> tuple[Champion, Pipeline]:
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    rows = as_features(frame(len(labels)), FEATURES)
    pipeline = build_pipeline(spec(), FEATURES, kind(max_iter=3 + version, random_state=0)).fit(rows, labels)
    classes = () if task == "regression" else plain_classes(pipeline.classes_)
    candidate = make_candidate(START, run_id=f"r{version}", task=task, features=FEATURES, classes=classes)
    return make_champion(candidate, version), pipeline


class Recorded:
    """A store of files that tells which columns and chunks were asked for."""

    def __init__(self, path: Path, rows: pd.DataFrame, **kwargs: Any) -> None:
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), path, **kwargs)
        self._files = FileStore(str(path))
        self.asked: list[tuple[tuple[str, ...], int]] = []
        self.largest = 0
        self.description, self.schema = self._files.description, self._files.schema
        self.query, self.has_rows = self._files.query, self._files.has_rows

    def read(
        self, window: Window, time: str, columns: Sequence[str], *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        self.asked.append((tuple(columns), chunk_rows))
        for batch in self._files.read(window, time, columns, chunk_rows=chunk_rows):
            self.largest = max(self.largest, batch.num_rows)
            yield batch


@pytest.fixture
def storage(tmp_path):
    return open_storage(str(tmp_path / "storage"))


def written(storage, path: str) -> pd.DataFrame:
    return pa.Table.from_batches(list(storage.read_batches(path))).to_pandas()


def everything(tmp_path: Path) -> dict[str, bytes]:
    root = tmp_path / "storage"
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def labels(rows: int = 500) -> Any:
    return frame(rows)["y"].to_numpy()


def test_rows_carry_key_time_prediction_and_where_they_come_from(tmp_path, storage):
    champion, pipeline = trained(labels())
    rows = frame(300, seed=1)
    store = Recorded(tmp_path / "a.parquet", rows)
    result = score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    found = written(storage, f"{FOLDER}/v1.parquet")
    assert list(found) == ["id", "t", "prediction", "probability", "model_version", "model_run_id", "loop_run"]
    expected = pipeline.predict_proba(as_features(rows, FEATURES))[:, 1]
    np.testing.assert_allclose(found["probability"], expected)
    np.testing.assert_array_equal(found["prediction"], pipeline.predict(as_features(rows, FEATURES)))
    np.testing.assert_array_equal(found["id"], rows["id"])
    assert (found["t"] == rows["t"]).all()
    assert set(found["model_version"]) == {1}
    assert set(found["model_run_id"]) == {"r1"}
    assert set(found["loop_run"]) == {RUN}
    assert (result.rows, result.version, result.uri) == (300, 1, storage.uri(f"{FOLDER}/v1.parquet"))
    assert Predictions.from_json(storage.read_text(f"{FOLDER}/manifest.json")) == result


def test_only_needed_columns_are_read_in_chunks(tmp_path, storage):
    champion, pipeline = trained(labels())
    store = Recorded(tmp_path / "a.parquet", frame(300))
    score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    assert store.asked == [(("id", "t", "x", "c"), 64)]
    assert store.largest <= 64


def test_chunks_do_not_change_predictions(tmp_path, storage):
    champion, pipeline = trained(labels())
    store = Recorded(tmp_path / "a.parquet", frame(300))
    tables = []
    for chunk in (7, 1000):
        score(spec(scoring={"chunk_rows": chunk}), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
        tables.append(written(storage, f"{FOLDER}/v1.parquet"))
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize("names", [["no", "yes"], [False, True], [3.0, 7.0]])
def test_binary_classes_of_any_type_give_one_probability(tmp_path, storage, names):
    champion, pipeline = trained(np.array(names)[labels()])
    store = Recorded(tmp_path / "a.parquet", frame(100))
    score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    found = written(storage, f"{FOLDER}/v1.parquet")
    assert set(found["prediction"]) <= set(names)
    np.testing.assert_array_equal(found["probability"] > 0.5, found["prediction"] == names[1])


def test_more_classes_have_a_probability_each(tmp_path, storage):
    champion, pipeline = trained(np.array(["u", "v", "w"])[np.arange(600) % 3], task="multiclass")
    store = Recorded(tmp_path / "a.parquet", frame(100))
    score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    found = written(storage, f"{FOLDER}/v1.parquet")
    probabilities = found[["probability_u", "probability_v", "probability_w"]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.idxmax(axis=1).str.removeprefix("probability_") == found["prediction"]).all()


def test_regression_has_no_probability(tmp_path, storage):
    champion, pipeline = trained(np.linspace(0, 1, 500), task="regression")
    store = Recorded(tmp_path / "a.parquet", frame(100))
    score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    found = written(storage, f"{FOLDER}/v1.parquet")
    assert list(found) == ["id", "t", "prediction", "model_version", "model_run_id", "loop_run"]
    assert found["prediction"].dtype == "float64"


def test_again_writes_the_same_bytes_and_nothing_more(tmp_path, storage):
    champion, pipeline = trained(labels())
    store = Recorded(tmp_path / "a.parquet", frame(300))
    first = score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    before = everything(tmp_path)
    assert score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN) == first
    assert everything(tmp_path) == before
    assert sorted(before) == [f"{FOLDER}/manifest.json", f"{FOLDER}/v1.parquet"]


def test_a_newer_champion_is_of_record_and_the_older_file_stays(tmp_path, storage):
    store = Recorded(tmp_path / "a.parquet", frame(300))
    for version in (1, 2):
        champion, pipeline = trained(labels(), version=version)
        score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    assert sorted(everything(tmp_path)) == [
        f"{FOLDER}/{name}" for name in ("manifest.json", "v1.parquet", "v2.parquet")
    ]
    record = Predictions.from_json(storage.read_text(f"{FOLDER}/manifest.json"))
    assert (record.version, record.uri) == (2, storage.uri(f"{FOLDER}/v2.parquet"))
    assert set(written(storage, f"{FOLDER}/v1.parquet")["model_version"]) == {1}


def test_windows_do_not_touch_each_other(tmp_path, storage):
    champion, pipeline = trained(labels())
    store = Recorded(tmp_path / "a.parquet", frame(300))
    end = START + timedelta(seconds=100, microseconds=1)
    score(spec(), champion, pipeline, store, storage, Window(start=START, end=end), loop_run=RUN)
    score(spec(), champion, pipeline, store, storage, Window(start=end, end=WINDOW.end), loop_run=RUN)
    files = [name for name in everything(tmp_path) if name.endswith("parquet")]
    assert files[0] == "predictions/m/20131201T000000Z_20131201T000140.000001Z/v1.parquet"
    assert sorted(len(written(storage, name)) for name in files) == [101, 199]


def test_an_empty_window_is_refused_and_writes_nothing(tmp_path, storage):
    champion, pipeline = trained(labels())
    store = Recorded(tmp_path / "a.parquet", frame(300))
    later = Window(start=START + timedelta(days=5), end=START + timedelta(days=6))
    with pytest.raises(DataError) as caught:
        score(spec(), champion, pipeline, store, storage, later, loop_run=RUN)
    assert [p.code for p in caught.value.problems] == [ReasonCode.WINDOW_EMPTY]
    assert str(later) in str(caught.value)
    assert everything(tmp_path) == {}


@pytest.mark.parametrize(
    ("renamed", "codes"),
    [
        ({"x": "quite_another"}, [ReasonCode.COLUMN_MISSING]),
        ({"x": "p", "c": "q", "id": "r", "t": "s"}, [ReasonCode.COLUMN_MISSING] * 4),
    ],
)
def test_all_missing_columns_are_named_at_once(tmp_path, storage, renamed, codes):
    champion, pipeline = trained(labels())
    store = Recorded(tmp_path / "a.parquet", frame(300).rename(columns=renamed))
    with pytest.raises(DataError) as caught:
        score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    assert [p.code for p in caught.value.problems] == codes
    assert everything(tmp_path) == {}


def test_a_retyped_feature_is_refused(tmp_path, storage):
    champion, pipeline = trained(labels())
    store = Recorded(tmp_path / "a.parquet", frame(300).assign(x="text"))
    with pytest.raises(DataError) as caught:
        score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    assert [p.code for p in caught.value.problems] == [ReasonCode.COLUMN_RETYPED]
    assert everything(tmp_path) == {}


class BlowsUp:
    """A model whose output overflows for one row of the last chunk."""

    classes_ = np.array([0, 1])

    def __init__(self, at: int, width: int) -> None:
        self.at, self.width, self.seen = at, width, 0

    def _spoil(self, values: Any) -> Any:
        if self.seen <= self.at < self.seen + len(values):
            values[self.at - self.seen] = np.inf
        self.seen += len(values)
        return values


class ClassifierThatBlowsUp(BlowsUp):
    def predict_proba(self, rows: pd.DataFrame) -> Any:
        return self._spoil(np.full((len(rows), 2), 0.5))


class RegressorThatBlowsUp(BlowsUp):
    def predict(self, rows: pd.DataFrame) -> Any:
        return self._spoil(np.zeros(len(rows)))


@pytest.mark.parametrize("at", [3, 299])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_prediction_that_is_not_finite_is_refused_and_the_older_record_stays(tmp_path, storage, task, at):
    champion, pipeline = trained(labels() if task == "binary" else np.linspace(0, 1, 500), task=task)
    store = Recorded(tmp_path / "a.parquet", frame(300))
    score(spec(), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    before = everything(tmp_path)
    broken = (ClassifierThatBlowsUp if task == "binary" else RegressorThatBlowsUp)(at, 2)
    for version in (1, 2):
        broken.seen = 0
        newer = replace(champion, version=version)
        with pytest.raises(DataError) as caught:
            score(spec(), newer, broken, store, storage, WINDOW, loop_run=RUN)
        assert [p.code for p in caught.value.problems] == [ReasonCode.VALUE_NOT_FINITE]
        assert "1 predictions" in str(caught.value)
    assert everything(tmp_path) == before


def test_a_key_with_the_name_of_an_output_is_refused(tmp_path, storage):
    champion, pipeline = trained(labels())
    data = {"source": {"path": "rows/"}, "time": "t", "key": ["id", "prediction"], "label": "y"}
    store = Recorded(tmp_path / "a.parquet", frame(300).assign(prediction=1))
    with pytest.raises(SpecError, match="data.key: found 'prediction', a column that predictions carry"):
        score(spec(data=data), champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    assert everything(tmp_path) == {}
