"""The real thing: PostgreSQL, MLflow and Airflow's four processes; a run over the REST API; the result in MLflow."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime

from airflow_mlops.core.records.decision import Verdict
from dev.stack.airflow_api import run_path
from dev.stack.process import family, start_mark
from dev.stack.services import NAMES
from tests.stack.live import AS_OF, Live


def test_a_run_over_the_api_makes_a_champion_that_mlflow_knows(live: Live) -> None:
    run = live.train("first")
    assert run["state"] == "success"
    assert set(live.task_states("small.train", "first").values()) == {"success"}

    (run_id,) = live.mlflow_runs("small", "first")
    champion = live.records.registry.champion("small")
    assert champion is not None
    assert (champion.version, champion.run_id) == (1, run_id)
    assert champion.candidate.as_of == AS_OF
    assert live.records.decisions.decision(run_id).verdict is Verdict.ACCEPT

    path = f"{run_path('small.train', 'first')}/taskInstances"
    links = live.runs.api.get(f"{path}/train/links")["extra_links"]
    assert links["MLflow run"] == live.records.run_url(run_id)
    assert live.runs.api.get(f"{path}/promote/links")["extra_links"]["Model version"] == live.records.version_url(
        "small", 1
    )


def test_the_same_model_again_is_not_promoted_and_that_is_no_failure(live: Live) -> None:
    live.train("first")
    run = live.train("second")
    assert run["state"] == "success"
    assert live.task_states("small.train", "second")["promote"] == "skipped"
    (run_id,) = live.mlflow_runs("small", "second")
    assert live.records.decisions.decision(run_id).verdict is not Verdict.ACCEPT
    assert live.records.registry.alias("small", "champion") == 1


def test_scoring_and_monitoring_run(live: Live) -> None:
    live.train("first")
    for loop, task in (("score", "score"), ("monitor", "drift")):
        live.runs.wait_for_dag(f"small.{loop}")
        live.runs.trigger(f"small.{loop}", "once", {"as_of": AS_OF.isoformat()})
        report = live.runs.result(f"small.{loop}", "once", task)
        assert report["rows"] == 600
    assert [
        report.champion_version
        for report in live.records.windows.drift_history("small", "small", before=datetime.max.replace(tzinfo=UTC))
    ] == [1]


def test_a_second_up_reuses_the_stack(live: Live) -> None:
    before = live.state
    again = live.command("up")
    assert again.returncode == 0
    assert again.stdout.startswith("already up")
    assert live.state == before


def test_a_killed_process_is_noticed_and_up_repairs_the_stack(live: Live) -> None:
    live.train("first")
    before = live.state
    pids = {service.name: service.pid for service in before.services}
    assert set(pids) == set(NAMES)
    os.kill(pids["scheduler"], signal.SIGKILL)
    os.kill(pids["postgres"], signal.SIGKILL)
    while any(start_mark(pids[name]) for name in ("scheduler", "postgres")):
        os.sched_yield()
    status = live.command("status")
    assert status.returncode == 1
    dead = {line.split()[0] for line in status.stdout.splitlines() if "DEAD" in line}
    assert dead >= {"postgres", "scheduler"}  # on a busy machine another one has ended by now, without its database

    repaired = live.command("up")
    assert repaired.returncode == 0, repaired.stderr
    assert (live.state.airflow_port, live.state.password) == (before.airflow_port, before.password)
    assert all(service.alive for service in live.state.services)
    assert [service for service in before.services if service.alive or family(service)] == []
    assert live.records.registry.alias("small", "champion") == 1
    assert live.train("after the kill".replace(" ", "_"))["state"] == "success"
