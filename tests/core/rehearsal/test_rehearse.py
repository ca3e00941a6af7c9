"""A rehearsal says what the first training run would, and keeps nothing."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlops.core.rehearsal import Rehearsal, newest_as_of, rehearse
from airflow_mlops.spec import ModelSpec, parse_spec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.storage.storage import open_storage
from tests.support import tables

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def specification(path: Path, **parts: Any) -> ModelSpec:
    data = {"source": {"path": str(path)}, "time": "signup_time", "key": "customer_id", "label": "churned"}
    training = {"estimator": "sklearn.linear_model.LogisticRegression", **parts.pop("training", {})}
    return parse_spec({"name": "m", "owner": "o", "data": data, "training": training, **parts})


def rehearsed(frame: pd.DataFrame, folder: Path, **parts: Any) -> Rehearsal:
    path = tables.write(frame, folder / "table.parquet")
    spec, store = specification(path, **parts), FileStore(str(path))
    as_of = newest_as_of(spec, store, NOW)
    return rehearse(spec, store, open_storage(str(folder / "storage")), as_of=as_of, now=NOW)


def test_it_goes_to_the_gate_and_names_the_leak(tmp_path: Path) -> None:
    found = rehearsed(tables.churn(2000), tmp_path)
    assert found.problems == ()
    assert found.decision is not None
    assert found.decision.verdict.value == "reject"
    assert "refund" in found.reason


def test_an_error_of_the_estimator_is_what_training_would_say(tmp_path: Path) -> None:
    found = rehearsed(tables.churn(2000), tmp_path, training={"parameters": {"solver": "no_such"}})
    assert found.snapshot is not None
    assert found.candidate is None
    assert len(found.problems) == 1
    assert "no_such" in str(found.problems[0])


def test_rows_that_break_an_expectation_stop_it_at_validation(tmp_path: Path) -> None:
    asked = [{"expect": "between", "columns": ["usage"], "min": 0}]
    found = rehearsed(tables.churn(2000), tmp_path, validation=asked)
    assert found.snapshot is not None
    assert found.candidate is None
    assert ReasonCode.EXPECTATION_FAILED in {problem.code for problem in found.problems}


def test_a_label_that_is_missing_is_told_before_anything_is_read(tmp_path: Path) -> None:
    found = rehearsed(tables.churn(500).drop(columns=["churned"]), tmp_path)
    assert found.snapshot is None
    assert "churned" in str(found.problems[0])


def test_as_of_reaches_as_far_as_labels_are_known(tmp_path: Path) -> None:
    path = tables.write(tables.churn(300), tmp_path / "table.parquet")
    store = FileStore(str(path))
    last = tables.churn(300)["signup_time"].max().to_pydatetime()
    assert newest_as_of(specification(path), store, NOW) > last
    early = datetime(2024, 2, 1, tzinfo=UTC)
    assert newest_as_of(specification(path), store, early) == early


@pytest.mark.parametrize("wanted", ["storage", "table.parquet"])
def test_nothing_else_is_written_than_the_callers_folder(wanted: str, tmp_path: Path) -> None:
    rehearsed(tables.churn(1500), tmp_path)
    assert wanted in {path.name for path in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 2
