"""Refusals are one sentence with a reason, and are not tried again: nothing hostile ends as a library's own error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.operators import DataValidationOperator, EvaluateGateOperator, SnapshotOperator, TrainOperator
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop import context_of, judge_loop, promote_run, rows, specification

pytestmark = [
    pytest.mark.mlflow,
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def spec_of(name: str, path: str = "orders.parquet", **changes: object) -> ModelSpec:
    return ModelSpec.model_validate({**specification(path), "name": name, **changes})


def test_a_stored_model_that_is_none_is_a_refusal(loop_home: Path, mlflow_uri: str, tmp_path: Path) -> None:
    import skops.io

    rows().to_parquet(loop_home / "orders.parquet")
    spec = spec_of("raw_dict")
    run = judge_loop(spec)
    uri = run.reports["train"]["model_uri"]
    store = MLflowStore.connect(mlflow_uri)
    folder = store.download_model(uri, str(tmp_path / "model"))
    (folder / "model.skops").write_bytes(skops.io.dumps({"a": 1}))
    store._client.log_model_artifacts(uri.removeprefix("models:/"), str(folder))
    gate = EvaluateGateOperator(
        task_id="gate", spec=spec, snapshot=run.reports["snapshot"], candidate=run.reports["train"]
    )
    with pytest.raises(AirflowFailException, match=r"found .*; allowed: .*\["):
        gate.execute(context_of(run.run_id))


def test_a_date_that_no_calendar_has_in_a_column_without_a_role(loop_home: Path) -> None:
    frame = rows()
    columns = {name: pa.array(frame[name]) for name in frame.columns}
    columns["d"] = pa.array(np.full(len(frame), 2**31 - 1, dtype=np.int32)).cast(pa.date32())
    pq.write_table(pa.table(columns), loop_home / "dates.parquet")
    spec, context = spec_of("raw_dates", "dates.parquet", features={}), context_of("d")

    def check() -> None:
        taken = SnapshotOperator(task_id="snapshot", spec=spec).execute(context)
        DataValidationOperator(task_id="validate", spec=spec, snapshot=taken).execute(context)

    with pytest.raises(AirflowFailException, match=r"column d: found a date outside of the years 1 to 9999, in .*"):
        check()


def test_promoting_what_was_replaced_says_so_and_is_not_tried_again(
    loop_home: Path, monkeypatch: pytest.MonkeyPatch, mlflow_uri: str
) -> None:
    """The training was cleared after the specification had changed: its model is deleted, and MLflow answers 500."""
    import json

    rows().to_parquet(loop_home / "orders.parquet")
    spec = spec_of("raw_replaced")
    run = judge_loop(spec)
    other = spec_of("raw_replaced", training={"estimator": "sklearn.tree.DecisionTreeClassifier"})
    TrainOperator(task_id="train", spec=other, snapshot=run.reports["snapshot"]).execute(context_of(run.run_id))
    connection = {"conn_type": "mlflow", "host": mlflow_uri, "extra": {"max_retries": 0}}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(connection))
    with pytest.raises(AirflowFailException) as caught:
        promote_run(spec, run, context_of(run.run_id))
    assert "it answers other requests" in str(caught.value) or "[record_conflict]" in str(caught.value)
