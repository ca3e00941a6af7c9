"""The performance of a champion through the real operators, a real MLflow server and real files."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.config import open_configured_storage
from airflow_mlops.core.records.fault import FaultySpan
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.operators import ScoreOperator
from airflow_mlops.operators.drift import observed
from airflow_mlops.operators.performance import PerformanceOperator, performed
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from airflow_mlops.stores.open_source import open_source
from tests.support.loop import AS_OF, context_of, rows, run_loop, specification

LATER = AS_OF + timedelta(days=14)


@pytest.fixture
def spec(loop_home: Path, request: pytest.FixtureRequest) -> ModelSpec:
    rows().to_parquet(loop_home / "orders.parquet")
    name = "p_" + "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[-40:]
    body = {**specification("orders.parquet"), "name": name, "scoring": {"window": "14d"}}
    return ModelSpec.model_validate(body)


def arrived(home: Path, wrong: float = 0.0) -> pd.DataFrame:
    """Two more weeks of orders, with a share of the outcomes the other way round."""
    later = rows(1400, seed=2, days=15)
    later["ordered_at"] += timedelta(days=14)
    later = later[later["ordered_at"] >= AS_OF]
    later["order_id"] = "n" + later["order_id"]
    flipped = np.random.default_rng(3).random(len(later)) < wrong
    later["late"] = np.where(flipped, 1 - later["late"], later["late"])
    pd.concat([rows(), later]).to_parquet(home / "orders.parquet")
    return later


def performance(spec: ModelSpec) -> tuple[PerformanceOperator, dict[str, Any]]:
    operator = PerformanceOperator(task_id="performance", spec=spec)
    return operator, operator.execute(context_of("monitor-1", LATER))


def test_a_champion_that_keeps_its_promise(spec: ModelSpec, loop_home: Path, mlflow_uri: str) -> None:
    run_loop(spec)
    later = arrived(loop_home)
    ScoreOperator(task_id="score", spec=spec).execute(context_of("score-1", LATER))
    operator, body = performance(spec)
    report = PerformanceReport.from_json(body)
    assert (report.verdict, report.matched, report.coverage) == ("ok", len(later), 1.0), report.reasons
    assert report.flow is not None
    assert (report.flow.rows, report.flow.predicted) == (len(later), len(later))
    assert report.baseline_gain is not None
    assert report.drop is not None
    assert not any("cannot be predicted again" in reason for reason in report.reasons)
    assert not any("its holdout rows give" in reason for reason in report.reasons)
    assert "/runs/" in operator.run_url
    assert operator.version_url
    store = MLflowStore.connect(mlflow_uri)
    kept = store.windows.performance_history(spec.experiment, spec.name, before=LATER + timedelta(days=1))
    assert kept == (report,)


def test_a_champion_that_decays(spec: ModelSpec, loop_home: Path) -> None:
    run_loop(spec)
    arrived(loop_home, wrong=0.3)
    ScoreOperator(task_id="score", spec=spec).execute(context_of("score-1", LATER))
    report, url = performed(spec, LATER, open_configured_storage())
    assert report.verdict == "decay"
    assert url


def test_without_a_score_log_nothing_is_known_and_nothing_fails(spec: ModelSpec, loop_home: Path) -> None:
    run_loop(spec)
    arrived(loop_home)
    _, body = performance(spec)
    assert body["verdict"] == "unknown"
    assert "nothing was scored" in body["reasons"][0]


def test_rows_that_the_look_at_drift_found_broken_are_not_looked_for_again(spec: ModelSpec, loop_home: Path) -> None:
    run_loop(spec)
    later = arrived(loop_home)
    ScoreOperator(task_id="score", spec=spec).execute(context_of("score-1", LATER))
    store = open_source(spec.data.source, data_root=str(loop_home))
    seen = observed(spec, LATER, store, open_configured_storage()).report
    assert seen.quarantined == ()
    column = seen.columns[0].column
    broken = FaultySpan(
        column=column, cause="unit_change", start=LATER - timedelta(days=2), end=LATER, words="broken", rows=9
    )
    told = replace(seen, quarantined=(broken,))
    operator = PerformanceOperator(task_id="performance", spec=spec, drift=told.to_json())
    report = PerformanceReport.from_json(operator.execute(context_of("monitor-1", LATER)))
    assert 0 < report.matched < len(later)
    assert any("are left out: a feature is broken" in reason for reason in report.reasons)
    earlier = replace(told, as_of=LATER - timedelta(days=1))
    scanned, _ = performed(spec, LATER, open_configured_storage(), earlier)
    assert scanned.matched == len(later), "what was seen as of another instant is looked for again"


def test_without_a_champion_it_is_refused_in_one_sentence(spec: ModelSpec) -> None:
    with pytest.raises(AirflowFailException, match=r"no version under the alias.*run .*\.train"):
        performance(spec)
