"""A drifted window arrives while a sensor waits; it wakes, the event schedules training, the gate decides."""

from __future__ import annotations

import time
from datetime import timedelta

from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.retraining import RetrainDecision
from dev.stack.airflow_api import run_path
from tests.stack.live import AS_OF, Live, write_rows

LATER = AS_OF + timedelta(days=10)


def wait_for(live: Live, run_id: str, state: str) -> None:
    """Wait until the sensor's task is in a state; the stack's own time limit of a test ends what never comes."""
    while live.task_states("drifting.monitor", run_id)["drift"] != state:
        time.sleep(0.5)


def test_a_drifted_window_wakes_the_sensor_and_causes_one_training(live: Live) -> None:
    for loop in ("train", "monitor"):
        live.runs.wait_for_dag(f"drifting.{loop}")
    first = live.runs.trigger("drifting.train", "first", {"as_of": AS_OF.isoformat()})
    assert first["state"] == "success"
    assert live.records.registry.alias("drifting", "champion") == 1

    live.runs.start("drifting.monitor", "waits", {"as_of": LATER.isoformat()})
    wait_for(live, "waits", "deferred")
    write_rows(live.home.data / "drifting", days=10, until=LATER, shift=1.5, name="later")
    run = live.runs.follow("drifting.monitor", "waits")
    assert run["state"] == "success"

    report = DriftReport.from_json(live.runs.result("drifting.monitor", "waits", "drift"))
    assert report.verdict == "drift"
    assert report.rows == 600
    decision = RetrainDecision.from_json(live.runs.result("drifting.monitor", "waits", "retrain"))
    assert (decision.action, decision.signal) == ("retrain", "input_drift")

    caused = live.runs.caused("drifting.monitor", "waits")
    assert caused["state"] == "success"
    (run_id,) = live.mlflow_runs("drifting", str(caused["dag_run_id"]))
    judged = live.records.decisions.decision(run_id)
    assert judged.as_of == LATER
    assert (live.records.registry.alias("drifting", "champion") == 2) is (judged.verdict is Verdict.ACCEPT)

    # the whole chain can be walked from the run pages
    links = live.runs.api.get(f"{run_path('drifting.monitor', 'waits')}/taskInstances/drift/links")["extra_links"]
    seen = links["MLflow run"].rpartition("/")[2]
    assert DriftReport.from_json(live.records.artifacts.read_text(seen, "monitoring/drift.json")) == report
    assert RetrainDecision.from_json(live.records.artifacts.read_text(seen, "monitoring/retraining.json")) == decision
    assert live.records.artifacts.read_text(seen, "monitoring/drift.html").lstrip().startswith("<!DOCTYPE html>")
    holder = live.records.retraining_log.claim("drifting", decision.key, "another.train/run")
    assert holder == f"drifting.train/{caused['dag_run_id']}"


def test_the_same_window_again_causes_no_second_training(live: Live) -> None:
    assert [kept.action for kept in live.records.retraining_log.decisions("drifting")] == ["retrain"]
    again = live.runs.trigger("drifting.monitor", "again", {"as_of": LATER.isoformat()})
    assert again["state"] == "success"
    assert [kept.action for kept in live.records.retraining_log.decisions("drifting")] == ["retrain"]
    runs = live.runs.api.get("/dags/drifting.train/dagRuns")["dag_runs"]
    served = [run for run in runs if "snapshot" in live.task_states("drifting.train", run["dag_run_id"])]
    trained = [run for run in served if live.task_states("drifting.train", run["dag_run_id"])["train"] == "success"]
    assert len(trained) == 2
