"""A fresh model that serves nobody, over a real MLflow server: made when it is due, and what the gate says of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from airflow.sdk.exceptions import AirflowSkipException
from mlflow import MlflowClient

from airflow_mlops._loop_context import open_records
from airflow_mlops.core.records.retraining import RetrainDecision
from airflow_mlops.core.records.shadow import ShadowReport
from airflow_mlops.operators import RetrainOperator
from airflow_mlops.spec import ModelSpec
from tests.support.loop import AS_OF, context_of, run_loop, specification

DAY = timedelta(days=1)
BORN = AS_OF - 31 * DAY
SHADOW = {"retraining": {"on_shadow": True}}


def stream(turned: bool) -> pd.DataFrame:
    """150 days of orders. Turned: long after the first sixty, it is the distance that makes them late."""
    random = np.random.default_rng(3)
    count = 9000
    days = np.sort(random.uniform(0, 150, count))
    load, distance = random.normal(size=count), random.gamma(2.0, 10.0, size=count)
    score = np.where(turned & (days > 119), (distance - 20) / 8, load)
    frame = {
        "order_id": [f"o{i:06d}" for i in range(count)],
        "ordered_at": (pd.Timestamp(AS_OF) - pd.to_timedelta(150 - days, unit="D")).as_unit("us"),
        "load": load,
        "distance": distance,
        "city": random.choice(["Rome", "Oslo", "Bern"], size=count),
        "late": (score + 0.8 * random.normal(size=count) > 0.5).astype("int64"),
    }
    return pd.DataFrame(frame)


def served(home: Path, name: str, *, turned: bool, **changes: Any) -> ModelSpec:
    """A champion of 31 days ago, whose first look is at an age of 30."""
    stream(turned).to_parquet(home / "orders.parquet")
    spec = ModelSpec.model_validate({**specification("orders.parquet"), "name": name, **SHADOW, **changes})
    assert not run_loop(spec, BORN).skipped
    return spec


def look(spec: ModelSpec, as_of: datetime = AS_OF) -> tuple[RetrainDecision, ShadowReport | None]:
    """Decide as of an instant; what was decided, and what the gate said of a fresh model then."""
    context = context_of("r", as_of, dag_id=f"{spec.name}.monitor")
    try:
        decided = RetrainOperator(task_id="retrain", spec=spec).execute(context)
    except AirflowSkipException:
        decided = context["ti"].pushed["return_value"]
    with open_records(spec) as records:
        kept = records.windows.shadow_history(spec.experiment, spec.name, before=as_of + DAY / 24)
    decision, now = RetrainDecision.from_json(decided), [one for one in kept if one.as_of == as_of]
    assert [decision.evidence.get("shadow_digest")] == ([one.digest for one in now] or [None])
    return decision, next(iter(now), None)


def test_a_fresh_model_that_is_surely_better_is_seen_and_retrained_for(loop_home: Path, mlflow_uri: str) -> None:
    client = MlflowClient(mlflow_uri)
    spec = served(loop_home, "turned", turned=True)
    experiment = client.get_experiment_by_name(spec.experiment)
    assert experiment is not None
    before = len(client.search_runs([experiment.experiment_id]))
    decision, report = look(spec)
    assert (decision.action, decision.signal) == ("retrain", "shadow")
    assert report is not None
    assert (report.verdict, report.champion_version, report.as_of) == ("accept", 1, AS_OF)
    assert report.gain is not None
    assert report.lower is not None
    assert 0 < report.lower < report.gain
    # Nothing is registered, and no run of a training is opened: only the window's run, and the series above it.
    assert len(client.search_runs([experiment.experiment_id])) == before + 2
    assert len(client.search_model_versions(f"name='{spec.registered_model}'")) == 1
    # What is then trained as of the same instant is the model that was compared.
    judged = run_loop(spec, AS_OF).reports["gate"]
    against = next(rule for rule in judged["evaluation"]["rules"] if rule["rule"] == "champion")
    assert (judged["verdict"], against["value"], against["lower"]) == ("accept", report.gain, report.lower)


def test_a_fresh_model_that_is_no_better_calls_for_nothing_and_is_not_made_again(loop_home: Path) -> None:
    spec = served(loop_home, "steady", turned=False)
    decision, report = look(spec)
    assert report is not None
    assert report.verdict != "accept"
    assert decision.action == "wait"
    assert any("not surely better" in reason for reason in decision.reasons)
    later, made = look(spec, AS_OF + DAY / 2)
    assert made is None
    assert later.action == "wait"


def test_none_is_made_before_it_is_due_and_where_it_is_not_wanted(loop_home: Path) -> None:
    spec = served(loop_home, "young", turned=False)
    assert look(spec, BORN + 29 * DAY)[1] is None
    body = {**specification("orders.parquet"), "name": "young"}
    assert look(ModelSpec.model_validate(body))[1] is None


def test_rows_that_no_model_comes_of_are_said_and_do_not_fail(loop_home: Path) -> None:
    served(loop_home, "broken", turned=False)
    wanted = [{"expect": "between", "column": "distance", "min": 0, "max": 1}]
    strict = ModelSpec.model_validate(
        {**specification("orders.parquet"), "name": "broken", "validation": wanted, **SHADOW}
    )
    decision, report = look(strict)
    assert report is not None
    assert (report.verdict, report.gain, report.rows) == ("untrained", None, 0)
    assert "distance" in report.reasons[0]
    found = {signal.kind: signal.state for signal in decision.signals}
    assert (decision.action, found["shadow"]) == ("wait", "unknown")
