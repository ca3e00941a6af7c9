"""The loop through the real operators, a real MLflow server and real files."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_mlops.operators import PromoteOperator, RetrainOperator, ScoreOperator
from airflow_mlops.sensors import DriftSensor
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop import AS_OF, context_of, rows, run_loop, specification


@pytest.fixture
def spec(loop_home: Path, request: pytest.FixtureRequest) -> ModelSpec:
    rows().to_parquet(loop_home / "orders.parquet")
    name = "m_" + "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[-40:]
    return ModelSpec.model_validate({**specification("orders.parquet"), "name": name})


@pytest.fixture
def store(mlflow_uri: str) -> MLflowStore:
    return MLflowStore.connect(mlflow_uri)


def test_first_model_is_promoted_and_the_registry_says_why(spec: ModelSpec, store: MLflowStore) -> None:
    run = run_loop(spec)
    assert run.reports["validate"]["passed"]
    assert run.reports["gate"]["verdict"] == "accept"
    assert run.reports["promote"]["promoted"] is True
    champion = store.registry.champion(spec.name)
    assert champion is not None
    assert champion.version == run.reports["promote"]["version"] == 1
    assert champion.candidate.loop_run == f"orders.train/{run.run_id}"
    tags = store.registry.version_tags(spec.name, 1)
    assert tags["mlops.snapshot"] == run.reports["snapshot"]["fingerprint"]
    assert tags["mlops.dag_run_id"] == run.run_id


def test_the_same_run_again_changes_nothing(spec: ModelSpec, store: MLflowStore) -> None:
    first = run_loop(spec, run_id="again")
    second = run_loop(spec, run_id="again")
    assert second.reports["snapshot"]["fingerprint"] == first.reports["snapshot"]["fingerprint"]
    assert second.reports["train"]["run_id"] == first.reports["train"]["run_id"]
    assert second.reports["train"]["model_uri"] == first.reports["train"]["model_uri"]
    assert second.reports["gate"] == first.reports["gate"]
    assert second.reports["promote"] == first.reports["promote"]
    assert store.registry.alias(spec.name, "champion") == 1
    assert store.registry.version_tags(spec.name, 2) is None


def test_a_candidate_that_is_no_better_ends_as_skipped_and_the_champion_stays(
    spec: ModelSpec, store: MLflowStore
) -> None:
    run_loop(spec)
    second = run_loop(spec)
    assert second.reports["gate"]["verdict"] in {"reject", "inconclusive"}
    assert second.reports["promote"]["promoted"] is False
    assert "champion" in second.skipped
    assert store.registry.alias(spec.name, "champion") == 1
    assert store.registry.version_tags(spec.name, 2)["mlops.status"] in {"rejected", "inconclusive"}


def test_overrides_of_the_trigger_form_reach_every_stage(spec: ModelSpec, store: MLflowStore) -> None:
    run = run_loop(spec, overrides={"training.parameters.C": 0.5, "training.seed": 7})
    assert run.reports["train"]["parameters"]["C"] == 0.5
    assert run.reports["train"]["seed"] == 7
    with pytest.raises(AirflowFailException, match="did you mean 'seed'"):
        run_loop(spec, overrides={"training.sed": 7})


def test_a_decision_altered_on_its_way_is_refused(spec: ModelSpec, store: MLflowStore) -> None:
    run = run_loop(spec)
    worse = run_loop(spec)
    forged = {**worse.reports["gate"], "verdict": "accept"}
    operator = PromoteOperator(task_id="promote", spec=spec, candidate=worse.reports["train"], decision=forged)
    with pytest.raises(AirflowFailException, match="decision"):
        operator.execute(context_of(worse.run_id))
    assert store.registry.alias(spec.name, "champion") == run.reports["promote"]["version"]


def test_scoring_writes_predictions_of_the_champion_once(spec: ModelSpec, loop_home: Path) -> None:
    run_loop(spec)
    scoring = ScoreOperator(task_id="score", spec=spec)
    first = scoring.execute(context_of("score-1"))
    again = scoring.execute(context_of("score-2"))
    assert first["uri"] == again["uri"]
    day = rows()["ordered_at"] >= AS_OF - timedelta(days=1)
    assert first["rows"] == again["rows"] == day.sum() > 0
    table = pq.read_table(first["uri"].removeprefix("file://")).to_pandas()
    wanted = {"order_id", "ordered_at", "prediction", "probability", "model_version", "model_run_id"}
    assert wanted <= set(table.columns)
    assert table["order_id"].is_unique
    assert table["probability"].between(0, 1).all()
    assert set(table["model_version"]) == {1}


def test_scoring_without_a_champion_is_refused_in_one_sentence(spec: ModelSpec) -> None:
    with pytest.raises(AirflowFailException, match=r"no version under the alias.*run .*\.train"):
        ScoreOperator(task_id="score", spec=spec).execute(context_of("score-1"))


DRIFT = {"min_rows": 100, "violations": 1, "of": 1, "report": "never"}


def monitored(spec: ModelSpec) -> ModelSpec:
    return spec.model_copy(
        update={
            "monitoring": {"window": "7d", "drift": {"min_rows": 100, "violations": 1}},
            "retraining": {"cooldown": "1d"},
        }
    )


def shifted(home: Path, change: float) -> None:
    """Another week of rows after AS_OF, with `load` moved by `change`."""
    later = rows(700, seed=2, days=8)
    later["ordered_at"] += timedelta(days=7)
    later["order_id"] = "n" + later["order_id"]
    later["load"] += change
    if change:  # another shape, and not another unit: that would look like a fault of the pipeline
        later["distance"] = np.random.default_rng(3).gamma(2.0 + 4 * change, 3.0, size=len(later))
    pd.concat([rows(), later]).to_parquet(home / "orders.parquet")


def test_drift_is_seen_and_asks_for_a_retraining(spec: ModelSpec, loop_home: Path, store: MLflowStore) -> None:
    spec = monitored(spec)
    run_loop(spec)
    shifted(loop_home, 2.0)
    context = context_of("monitor-1", AS_OF + timedelta(days=7))
    report = DriftSensor(task_id="drift", spec=spec).execute(context)
    assert report["verdict"] == "drift"
    decision = RetrainOperator(task_id="retrain", spec=spec, report=report).execute(context)
    assert decision["action"] == "retrain"
    history = store.windows.drift_history(spec.experiment, spec.name, before=AS_OF + timedelta(days=30))
    assert [seen.verdict for seen in history] == ["drift"]


def test_without_drift_there_is_nothing_to_do(spec: ModelSpec, loop_home: Path) -> None:
    spec = monitored(spec)
    run_loop(spec)
    shifted(loop_home, 0.0)
    context = context_of("monitor-1", AS_OF + timedelta(days=7))
    report = DriftSensor(task_id="drift", spec=spec, wait_for="window").execute(context)
    assert report["verdict"] == "ok"
    with pytest.raises(AirflowSkipException, match="no retraining"):
        RetrainOperator(task_id="retrain", spec=spec, report=report).execute(context)
    assert DriftSensor(task_id="drift", spec=spec).poke(context).is_done is False


def test_broken_data_is_not_drift(spec: ModelSpec, loop_home: Path) -> None:
    spec = monitored(spec)
    run_loop(spec)
    shifted(loop_home, 2.0)
    pd.read_parquet(loop_home / "orders.parquet").rename(columns={"load": "loading"}).to_parquet(
        loop_home / "orders.parquet"
    )
    context = context_of("monitor-1", AS_OF + timedelta(days=7))
    report = DriftSensor(task_id="drift", spec=spec, wait_for="window").execute(context)
    assert report["verdict"] == "invalid"
    with pytest.raises(AirflowSkipException):
        RetrainOperator(task_id="retrain", spec=spec, report=report).execute(context)


def test_a_feature_taken_out_of_the_specification_leaves_the_champion_comparable(
    spec: ModelSpec, store: MLflowStore
) -> None:
    run_loop(spec)
    fewer = spec.model_copy(update={"features": {"numeric": ["load"], "categorical": ["city"]}})
    second = run_loop(fewer)
    assert "distance" in {column["name"] for column in second.reports["snapshot"]["columns"]}
    assert [feature["name"] for feature in second.reports["train"]["features"]] == ["load", "city"]
    rules = {rule["rule"]: rule for rule in second.reports["gate"]["evaluation"]["rules"]}
    assert rules["champion"]["code"] != "champion_unreadable"
    assert rules["champion"]["value"] is not None


def test_expectations_may_name_columns_that_are_no_features(spec: ModelSpec) -> None:
    checks = [
        {"expect": "not_null", "column": "distance"},
        {"expect": "compare", "left": "distance", "op": ">", "right": "distance", "severity": "warning"},
    ]
    narrow = spec.model_copy(update={"features": {"numeric": ["load"]}, "validation": checks})
    run = run_loop(narrow)
    assert run.reports["validate"]["passed"] is True
    assert {check["column"] for check in run.reports["validate"]["checks"]} >= {"distance"}
    assert [feature["name"] for feature in run.reports["train"]["features"]] == ["load"]


def test_an_expectation_of_key_and_feature_together_keeps_broken_data_from_being_drift(
    spec: ModelSpec, loop_home: Path
) -> None:
    spec = monitored(spec).model_copy(
        update={"validation": [{"expect": "not_null", "columns": ["order_id", "load"], "mostly": 0.9}]}
    )
    run_loop(spec)
    shifted(loop_home, 2.0)
    broken = pd.read_parquet(loop_home / "orders.parquet")
    broken.loc[broken["ordered_at"] >= AS_OF, "load"] = None
    broken.loc[broken.index[-5:], "load"] = 9.0
    broken.to_parquet(loop_home / "orders.parquet")
    context = context_of("monitor-1", AS_OF + timedelta(days=7))
    report = DriftSensor(task_id="drift", spec=spec, wait_for="window").execute(context)
    assert report["verdict"] == "invalid"


def test_overrides_and_who_triggered_stand_in_the_tags(spec: ModelSpec, store: MLflowStore) -> None:
    run_loop(spec, overrides={"training.seed": 7})
    assert store.registry.version_tags(spec.name, 1)["mlops.overrides"] == '{"training.seed": 7}'
    for locked in ("gate", "validation", "data.label_delay"):
        with pytest.raises(AirflowFailException, match="the specification's own value"):
            run_loop(spec, overrides={locked: []})


def test_a_snapshot_that_was_changed_after_it_was_written_is_not_trained_on(spec: ModelSpec, loop_home: Path) -> None:
    run_loop(spec)
    (file,) = (loop_home / "storage" / "snapshots" / spec.name).glob("*/data.parquet")
    frame = pd.read_parquet(file)
    frame.loc[0, "load"] += 1.0
    schema = pq.read_schema(file)
    file.unlink()
    pq.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), file)
    with pytest.raises(AirflowFailException, match="fingerprint"):
        run_loop(spec)
