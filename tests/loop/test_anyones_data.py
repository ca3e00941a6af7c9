"""The whole loop on data that nobody here has seen: text labels, boosted models, dates, MLflow's own way to call."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.core.records.predictions import Predictions
from airflow_mlops.operators import PerformanceOperator, ScoreOperator
from airflow_mlops.sensors import DriftSensor
from airflow_mlops.spec import ModelSpec
from tests.support.loop import AS_OF, context_of, judge_loop, rows, run_loop, specification

NEXT = AS_OF + timedelta(days=7)
BOOSTERS: dict[str, dict[str, Any]] = {
    "xgboost.XGBClassifier": {"n_estimators": 60, "n_jobs": 1},
    "lightgbm.LGBMClassifier": {"n_estimators": 60, "n_jobs": 1},
    "catboost.CatBoostClassifier": {"iterations": 60, "thread_count": 1},
}


def anyones(seed: int = 1) -> pd.DataFrame:
    """Orders with a week to come: text labels by hour and load, integers, truth values with gaps, dates, ids."""
    frame = rows(2500, seed)
    later = rows(700, seed + 1, days=8)
    later["ordered_at"] += timedelta(days=7)
    later["order_id"] = "n" + later["order_id"]
    frame = pd.concat([frame, later], ignore_index=True)
    rng = np.random.default_rng(seed)
    frame["items"] = rng.integers(0, 9, len(frame))
    frame["vip"] = pd.array(rng.random(len(frame)) < 0.5, dtype="boolean")
    frame.loc[::11, "vip"] = pd.NA
    frame["shop"] = 100 + rng.integers(1, 4, len(frame))
    frame["signed_up"] = (frame["ordered_at"] - pd.to_timedelta(rng.integers(1, 900, len(frame)), "D")).dt.date
    night = frame["ordered_at"].dt.hour < 6
    bad = frame["load"] + 2.5 * night + 0.8 * rng.normal(size=len(frame)) > 1.2
    return frame.drop(columns="late").assign(state=np.where(bad, "fraud", "legit"))


def spec_of(home: Path, name: str, **changes: Any) -> ModelSpec:
    body = specification("any.parquet", **{"scoring": {"window": "7d"}, **changes})
    body["data"] = {**body["data"], "label": "state", "positive": "fraud"}
    body["features"] = {
        "numeric": ["load", "items", "vip"],
        "categorical": ["city", "shop"],
        "calendar": {"ordered_at": ["hour", "weekday"], "signed_up": ["age_days"]},
        **changes.get("features", {}),
    }
    body["monitoring"] = {"window": "7d", "drift": {"min_rows": 100, "report": "never"}}
    return ModelSpec.model_validate({**body, "name": name})


@pytest.fixture
def home(loop_home: Path) -> Path:
    anyones().to_parquet(loop_home / "any.parquet", index=False)
    return loop_home


@pytest.mark.parametrize("estimator", BOOSTERS)
def test_each_boosted_model_goes_through_the_whole_loop(home: Path, mlflow_uri: str, estimator: str) -> None:
    name = estimator.partition(".")[0] + "_any"
    training = {"estimator": estimator, "parameters": BOOSTERS[estimator], "early_stopping": {"rows": "10 %"}}
    gate = {"holdout": "14d", "min_rows": 100}  # with a fresh interpreter that loads what was stored
    spec = spec_of(home, name, training=training, gate=gate)
    run = run_loop(spec)
    assert run.reports["gate"]["verdict"] == "accept", run.reports["gate"]["reasons"]
    assert run.reports["train"]["positive"] == "fraud"
    assert "chosen on the newest 10%" in run.reports["train"]["parameters"]["chosen_rounds"]
    made = Predictions.from_json(ScoreOperator(task_id="score", spec=spec).execute(context_of("s", NEXT)))
    scored = pd.read_parquet(made.uri.removeprefix("file://"))
    assert made.probability_of == "fraud"
    truth = anyones().set_index("order_id").loc[scored["order_id"], "state"]
    assert scored["probability"][(truth == "fraud").to_numpy()].mean() > 0.5
    assert ((scored["probability"] > 0.5) == (scored["prediction"] == "fraud")).all()
    drift = DriftSensor(task_id="drift", spec=spec, wait_for="window").poke(context_of("m", NEXT)).xcom_value
    assert drift["verdict"] == "ok"
    assert {"ordered_at", "signed_up"}.isdisjoint(column["column"] for column in drift["columns"])
    found = PerformanceOperator(task_id="performance", spec=spec).execute(context_of("m", NEXT))
    assert found["verdict"] in {"ok", "unknown"}, found["reasons"]


def test_the_logged_model_takes_a_frame_of_the_sources_own_types(home: Path, mlflow_uri: str) -> None:
    spec = spec_of(home, "own_types")
    run = run_loop(spec)
    assert run.reports["promote"]["promoted"], run.reports["gate"]["reasons"]
    mlflow.set_tracking_uri(mlflow_uri)
    served = mlflow.pyfunc.load_model("models:/own_types@champion")
    sklearn = mlflow.sklearn.load_model("models:/own_types@champion")
    columns = ["load", "items", "vip", "city", "shop", "ordered_at", "signed_up"]
    frame = pd.read_parquet(home / "any.parquet")[columns].head(40)
    assert (str(frame["items"].dtype), str(frame["shop"].dtype)) == ("int64", "int64")
    expected = served.predict(frame)
    assert set(expected) <= {"fraud", "legit"}
    odd = {
        "nullable": frame.convert_dtypes(),
        "floats": frame.astype({"items": float, "vip": float}),
        "objects": frame.astype({"vip": object, "items": object}),
        "texts of dates": frame.assign(
            ordered_at=frame["ordered_at"].map(pd.Timestamp.isoformat), signed_up=frame["signed_up"].map(str)
        ),
        "categories": frame.astype({"city": "category", "shop": "category"}),
        "more columns in another order": frame[columns[::-1]].assign(more=1),
    }
    for how, same in odd.items():
        np.testing.assert_array_equal(served.predict(same), expected, err_msg=how)
    gaps = frame.assign(items=None, vip=pd.NA, city=None, signed_up=pd.NaT)
    assert len(served.predict(gaps)) == len(gaps)
    assert sklearn.predict_proba(frame).shape == (40, 2)


def test_the_card_says_how_it_is_called_and_which_class_is_positive(home: Path, mlflow_uri: str) -> None:
    run = run_loop(spec_of(home, "carded"))
    client = mlflow.MlflowClient(mlflow_uri)
    path = client.download_artifacts(run.reports["train"]["run_id"], "model_card.md")
    card = Path(path).read_text()
    assert "How to call it" in card
    assert "models:/carded@champion" in card.replace("\\", "")
    assert "fraud (positive)" in card.replace("\\", "")
    assert "are about 'fraud'" in card.replace("\\", "").replace("&#x27;", "'").replace("&#39;", "'")


def test_two_texts_of_which_none_is_evident_stop_the_loop_with_both_named(home: Path, mlflow_uri: str) -> None:
    spec = spec_of(home, "unnamed")
    body = spec.model_dump(mode="json", exclude_unset=True)
    del body["data"]["positive"]
    with pytest.raises(AirflowFailException, match="'fraud' .* 'legit' .*data.positive"):
        judge_loop(ModelSpec.model_validate(body))


def test_labels_of_another_source_are_joined_and_one_that_comes_later_is_not_known(home: Path, mlflow_uri: str) -> None:
    frame = pd.read_parquet(home / "any.parquet")
    outcomes = frame[["order_id", "state"]].assign(known_on=frame["ordered_at"] + timedelta(days=1))
    outcomes.to_parquet(home / "outcomes.parquet", index=False)
    frame.drop(columns="state").to_parquet(home / "any.parquet", index=False)
    spec = spec_of(home, "joined")
    body = spec.model_dump(mode="json", exclude_unset=True)
    body["data"] |= {"labels": {"source": {"path": "outcomes.parquet"}, "time": "known_on"}, "label_delay": "1d"}
    spec = ModelSpec.model_validate(body)
    run = run_loop(spec)
    assert run.reports["promote"]["promoted"], run.reports["gate"]["reasons"]
    assert run.reports["snapshot"]["unlabelled"] == 0
    ScoreOperator(task_id="score", spec=spec).execute(context_of("s", NEXT))
    found = PerformanceOperator(task_id="performance", spec=spec).execute(context_of("m", NEXT + timedelta(days=1)))
    assert found["matched"] > 300
