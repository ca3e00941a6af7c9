"""Who may write to the storage changes rows after they were hashed: every reader asks for their fingerprint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.snapshot import KnownFaults, read_snapshot
from airflow_mlops.core.snapshot.fingerprint import fingerprint
from airflow_mlops.operators import (
    DataValidationOperator,
    EvaluateGateOperator,
    PerformanceOperator,
    ScoreOperator,
    TrainOperator,
)
from airflow_mlops.operators.drift import observed
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.mlflow.lineage import SNAPSHOT, SNAPSHOT_SEAL
from airflow_mlops.stores.mlflow.store import MLflowStore
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.loop import AS_OF, Run, context_of, judge_loop, promote_run, rows, run_loop, specification
from tests.support.taken_snapshots import Place
from tests.support.tampering import rewrite_sealed


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


HARD = {"holdout": "14d", "min_rows": 100, "serving": {"mode": "off"}}


def specified(home: Path, request: pytest.FixtureRequest, **changes: Any) -> ModelSpec:
    rows(days=90).to_parquet(home / "orders.parquet")
    name = "alt_" + "".join(c if c.isalnum() else "_" for c in str(request.node.name).lower())[-40:]
    return ModelSpec.model_validate({**specification("orders.parquet"), "name": name, "gate": HARD, **changes})


def data_file(run: Run) -> Path:
    return Path(run.reports["snapshot"]["uri"].removeprefix("file://")) / "data.parquet"


def flatter(file: Path, spec: ModelSpec, store: MLflowStore, run: Run) -> None:
    """Change the labels to what the candidate says of them, but for a few, so that it looks better than it is."""
    table = pq.read_table(file)
    frame = table.to_pandas()
    said = store.load_pipeline(run.reports["train"]["model_uri"], spec=spec).predict(
        frame[["load", "distance", "city"]].astype({"load": float, "distance": float})
    )
    said = np.where(np.random.default_rng(0).random(len(said)) < 0.03, 1 - said, said)
    place = table.schema.get_field_index("late")
    pq.write_table(table.set_column(place, "late", pa.array(said).cast(table.schema.field("late").type)), file)


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(AirflowFailException, match="snapshot_altered"):
        yield


def test_rows_that_were_made_to_flatter_are_judged_by_nobody(
    loop_home: Path, request: pytest.FixtureRequest, mlflow_uri: str
) -> None:
    store = MLflowStore.connect(mlflow_uri)
    spec = specified(loop_home, request, gate={**HARD, "absolute": [{"metric": "accuracy", "min": 0.9}]})
    run = judge_loop(spec)
    assert run.reports["gate"]["verdict"] == "reject"
    flatter(data_file(run), spec, store, run)
    given = {"spec": spec, "snapshot": run.reports["snapshot"]}
    with refused():
        EvaluateGateOperator(task_id="gate", candidate=run.reports["train"], **given).execute(context_of(run.run_id))
    with refused():
        DataValidationOperator(task_id="validate", **given).execute(context_of("other"))
    with refused():
        TrainOperator(task_id="train", **given).execute(context_of("other"))
    promote_run(spec, run, context_of(run.run_id))
    assert not run.reports["promote"]["promoted"]
    assert store.registry.alias(spec.registered_model, "champion") is None


def test_a_gate_is_not_given_the_rows_of_another_snapshot(loop_home: Path, request: pytest.FixtureRequest) -> None:
    spec = specified(loop_home, request)
    first, second = judge_loop(spec), judge_loop(spec, AS_OF - timedelta(days=5))
    assert first.reports["snapshot"]["fingerprint"] != second.reports["snapshot"]["fingerprint"]
    gate = EvaluateGateOperator(
        task_id="gate", spec=spec, snapshot=second.reports["snapshot"], candidate=first.reports["train"]
    )
    with refused():
        gate.execute(context_of(first.run_id))


@pytest.mark.parametrize("with_manifest", [False, True])
def test_what_watches_the_champion_does_not_watch_it_by_altered_rows(
    loop_home: Path, request: pytest.FixtureRequest, mlflow_uri: str, with_manifest: bool
) -> None:
    """Also when the manifest was made to fit: the candidate's record knows the rows."""
    store = MLflowStore.connect(mlflow_uri)
    spec = specified(loop_home, request, monitoring={"window": "7d", "drift": {"min_rows": 50}})
    run = run_loop(spec, AS_OF - timedelta(days=9))
    assert run.reports["promote"]["promoted"]
    for days in (7, 6, 5, 4, 3, 2, 1):
        at = AS_OF - timedelta(days=days)
        ScoreOperator(task_id="score", spec=spec).execute(context_of(f"s{days}", at, dag_id=f"{spec.name}.score"))
    file = data_file(run)
    flatter(file, spec, store, run)
    if with_manifest:
        table = pq.read_table(file)
        manifest = file.with_name("manifest.json")
        content = json.loads(manifest.read_text())
        manifest.write_text(json.dumps(content | {"fingerprint": fingerprint(table.to_batches(), table.schema)}))
    storage = open_storage(str(loop_home / "storage"))
    with refused():
        PerformanceOperator(task_id="performance", spec=spec).execute(context_of("p", dag_id=f"{spec.name}.monitor"))
    champion = store.require_champion(spec)
    with pytest.raises(RecordError, match="snapshot_altered"):
        KnownFaults.of_champion(champion, storage, seed=0)
    with pytest.raises(RecordError, match="snapshot_altered"):
        observed(spec, AS_OF, FileStore(str(loop_home / "orders.parquet")), storage)


def test_a_refit_does_not_learn_from_altered_rows(
    loop_home: Path, request: pytest.FixtureRequest, mlflow_uri: str
) -> None:
    store = MLflowStore.connect(mlflow_uri)
    training = {"estimator": "sklearn.linear_model.LogisticRegression", "refit": True}
    spec = specified(loop_home, request, training=training)
    run = judge_loop(spec)
    file, run_id = data_file(run), run.reports["train"]["run_id"]
    flatter(file, spec, store, run)
    table = pq.read_table(file)
    mark = fingerprint(table.to_batches(), table.schema)
    # The run's copy of the manifest is made to fit, and its plain seal, too.
    fit = {"fingerprint": mark}
    rewrite_sealed(store, run_id, SNAPSHOT, SNAPSHOT_SEAL, lambda text: json.dumps(json.loads(text) | fit))
    promote_run(spec, run, context_of(run.run_id))
    (reason,) = [text for text in run.reports["promote"]["reasons"] if text.startswith("not refitted")]
    assert "snapshot_altered" in reason
    assert run.reports["promote"]["version"] == 1


# byte by byte ---------------------------------------------------------------------------------------------------------


def assert_read_or_refused(place: Place, choose: Callable[[int], list[int]], seed: int) -> int:
    """Flip a bit of each chosen byte of the rows' file: what is read is what was taken, or nothing is."""
    rng, snapshot = np.random.default_rng(seed), place.take()
    file, taken = Path(snapshot.data_uri.removeprefix("file://")), read_snapshot(snapshot, place.storage)
    honest, noticed = file.read_bytes(), set[int]()
    for at in choose(len(honest)):
        content = bytearray(honest)
        content[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(content)
        try:
            found = read_snapshot(snapshot, place.storage)
        except (RecordError, DataError) as refusal:
            noticed.add(at)
            codes = {problem.code for problem in refusal.problems}
        else:
            codes = set() if found.equals(taken) else {ReasonCode.RECORD_CONFLICT}
        assert codes <= {ReasonCode.SNAPSHOT_ALTERED, ReasonCode.SOURCE_UNREADABLE}, at
    return len(noticed)


def test_a_changed_byte_of_the_rows_file_changes_nothing_or_is_refused(place: Place) -> None:
    rng = np.random.default_rng(3)
    assert assert_read_or_refused(place, lambda size: rng.choice(size, 300, replace=False).tolist(), seed=3) > 200


@pytest.mark.chaos
def test_a_changed_byte_of_the_rows_file_changes_nothing_or_is_refused_every_one(place: Place) -> None:
    assert assert_read_or_refused(place, lambda size: list(range(size)), seed=4) > 5_000
