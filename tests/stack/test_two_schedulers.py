"""The same event many times, and two schedulers that take it: it is trained on once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_mlops.core.promotion.verify import verify_trail
from dev.stack import services
from dev.stack.airflow_api import Json
from dev.stack.process import spawn, stop
from tests.stack.live import AS_OF, Live

KEY = "small/v1/told four times"
SECONDS = 120


@pytest.fixture(scope="module")
def both(live: Live) -> Iterator[Live]:
    """The stack with a second scheduler, of the same database and with an executor of its own."""
    home, state = live.home, live.state
    command = [sys.executable, "-m", *services.AIRFLOW["scheduler"]]
    second = spawn("scheduler-2", command, services.airflow(home, state), home.log("scheduler-2"), home.root)
    try:
        deadline = time.monotonic() + SECONDS
        while len(_schedulers(live)) < 2:
            assert second.alive, second.ending
            assert time.monotonic() < deadline, "the second scheduler did not come up"
            time.sleep(1)
        yield live
        assert second.alive, second.ending
    finally:
        stop([second], seconds=20)


def _schedulers(live: Live) -> list[Json]:
    jobs = live.runs.api.get("/jobs", job_type="SchedulerJob", job_state="running", is_alive="true")["jobs"]
    return list(jobs)


def _caused(live: Live) -> list[Json]:
    """The training runs that asset events caused."""
    runs = live.runs.api.get("/dags/small.train/dagRuns", run_type="asset_triggered")["dag_runs"]
    return list(runs)


def _tell(live: Live, times: int) -> None:
    """Deliver the event at once, so many times."""
    (asset,) = live.runs.api.get("/assets", name_pattern="small.retrain")["assets"]
    body = {"asset_id": asset["id"], "extra": {"as_of": AS_OF.isoformat(), "key": KEY, "reasons": ["a test asks"]}}
    with ThreadPoolExecutor(times) as pool:
        answers = list(pool.map(lambda _: live.runs.api.post("/assets/events", body), range(times)))
    assert len(answers) == times


def test_an_event_that_comes_again_and_again_is_trained_on_once(both: Live) -> None:
    both.train("first")
    version_before = both.records.registry.alias("small", "champion")
    _tell(both, 3)
    deadline = time.monotonic() + SECONDS
    while not _caused(both):
        assert time.monotonic() < deadline, "no run followed the events"
        time.sleep(0.2)
    _tell(both, 3)  # while the run of the first ones is under way: they are another run's, or several
    before = len(_caused(both))
    while len(_caused(both)) == before:
        assert time.monotonic() < deadline, "no run followed the later events"
        time.sleep(0.2)

    runs = [both.runs.follow("small.train", run["dag_run_id"]) for run in _caused(both)]
    assert len(runs) >= 2
    assert {run["state"] for run in runs} == {"success"}
    states = {run["dag_run_id"]: both.task_states("small.train", run["dag_run_id"]) for run in runs}
    trained = [run_id for run_id, tasks in states.items() if tasks["train"] == "success"]
    skipped = [run_id for run_id, tasks in states.items() if tasks["snapshot"] == "skipped"]
    assert len(trained) == 1
    assert len(skipped) == len(runs) - 1
    assert both.records.retraining_log.claims("small")[KEY] == f"small.train/{trained[0]}"
    assert len(both.mlflow_runs("small", trained[0])) == 1
    # the same rows give the same model: the champion stays, and its trail is whole
    assert both.records.registry.alias("small", "champion") == version_before
    assert verify_trail(both.records.registry, both.records.trail, "small") == ()
