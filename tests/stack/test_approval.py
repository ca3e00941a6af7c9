"""A person is asked over Airflow's REST API: approve, reject, no answer in time, and somebody who may not answer."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_mlops.core.records.promotion import Approval, AuditEvent
from dev.stack.airflow_api import ApiError, Json, run_path
from tests.stack.live import AS_OF, Live

SETTLE = 3
"""Seconds from the parked state to an answer. Airflow 3.3 fails a task that is answered before the scheduler has seen
its process end ("the executor reported success, but the state is queued"); a person takes longer than that."""


class Asked:
    """One run of a model that asks."""

    def __init__(self, live: Live, model: str, run_id: str) -> None:
        self.live, self.model, self.run_id = live, model, run_id
        self.dag_id = f"{model}.train"
        self.form = f"{run_path(self.dag_id, run_id)}/taskInstances/approve/-1/hitlDetails"

    def start(self) -> Asked:
        self.live.runs.wait_for_dag(self.dag_id)
        body = {"dag_run_id": self.run_id, "logical_date": None, "conf": {"as_of": AS_OF.isoformat()}}
        self.live.runs.api.post(f"/dags/{self.dag_id}/dagRuns", body)
        return self

    def wait(self, *states: str, seconds: float = 180) -> str:
        """Wait until the approve task is in one of these states, or a task before it failed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.states()
            assert "failed" not in found.values(), found
            if found.get("approve") in states:
                return found["approve"]
            time.sleep(0.5)
        raise AssertionError(f"approve of {self.dag_id} is not {' or '.join(states)}: {self.states()}")

    def states(self) -> dict[str, str]:
        return self.live.task_states(self.dag_id, self.run_id)

    def put(self) -> Json:
        """Wait until the question is put, and return it."""
        self.wait("awaiting_input")
        time.sleep(SETTLE)
        return self.live.runs.api.get(self.form)

    def answer(self, option: str, note: str | None = None) -> Json:
        body = {"chosen_options": [option], "params_input": {"note": note}}
        return self.live.runs.api.patch(self.form, body)

    def end(self) -> Json:
        return self.live.runs.follow(self.dag_id, self.run_id)

    def approval(self) -> Approval | None:
        (run_id,) = self.live.mlflow_runs(self.model, self.run_id)
        return self.live.records.decisions.approval(run_id)

    def returned(self) -> Any:
        return self.live.runs.result(self.dag_id, self.run_id, "approve")

    def last(self) -> AuditEvent:
        return self.live.records.trail.events(self.model)[-1]

    def alias(self, name: str) -> int | None:
        return self.live.records.registry.alias(self.model, name)


@pytest.fixture(scope="module")
def started(live: Live) -> dict[str, Asked]:
    """The runs that have nothing to do with each other, side by side."""
    return {model: Asked(live, model, "first").start() for model in ("asked", "unanswered", "others")}


def test_approved_it_serves_and_who_approved_it_is_recorded(live: Live, started: dict[str, Asked]) -> None:
    run = started["asked"]
    form = run.put()
    assert form["subject"] == "May version 1 of asked serve, as its first model?"
    assert form["options"] == ["Approve", "Reject"]
    assert [user["id"] for user in form["assigned_users"]] == ["admin"]
    assert "| log loss |" in form["body"]  # the table of gains
    assert live.records.version_url("asked", 1) in form["body"]
    assert (run.alias("challenger"), run.alias("champion")) == (1, None)

    run.answer("Approve", "the slices are fine")
    assert run.end()["state"] == "success"
    assert set(run.states().values()) == {"success"}
    approval = run.approval()
    assert approval is not None
    assert (approval.approved, approval.by, approval.note) == (True, "admin", "the slices are fine")
    assert run.returned() == approval.to_json()
    assert (run.alias("champion"), run.alias("challenger")) == (1, None)
    event = run.last()
    assert (event.kind, event.version, event.approval) == ("promoted", 1, approval.digest)
    assert (event.by, event.decision) == ("airflow:asked.train/first", approval.decision)
    with pytest.raises(ApiError, match="409"):
        run.answer("Reject")


def test_rejected_the_champion_stays_and_the_run_ends_without_a_failure(live: Live, started: dict[str, Asked]) -> None:
    test_approved = started["asked"]
    assert test_approved.alias("champion") == 1, "the test before this one makes the champion"
    run = Asked(live, "asked", "second").start()
    assert run.put()["subject"] == "May version 2 of asked serve instead of version 1?"
    run.answer("Reject", "not in December")
    assert run.end()["state"] == "success"
    assert {task: state for task, state in run.states().items() if state != "success"} == {"promote": "skipped"}
    approval = run.approval()
    assert approval is not None
    assert (approval.approved, approval.by, approval.timed_out) == (False, "admin", False)
    promotion = live.runs.result("asked.train", "second", "promote")
    assert (promotion["promoted"], promotion["declined"]) == (False, True)
    assert promotion["reasons"][0] == "declined by admin: not in December"
    assert (run.alias("champion"), run.alias("challenger"), run.alias("previous")) == (1, None, None)
    event = run.last()
    assert (event.kind, event.version, event.reason) == ("declined", 2, "declined by admin: not in December")
    assert event.approval == approval.digest


def test_without_an_answer_in_time_it_is_not_promoted(live: Live, started: dict[str, Asked]) -> None:
    run = started["unanswered"]
    assert run.end()["state"] == "success"
    assert {task: state for task, state in run.states().items() if state != "success"} == {"promote": "skipped"}
    approval = run.approval()
    assert approval is not None
    assert (approval.approved, approval.by, approval.timed_out) == (False, "", True)
    assert run.alias("champion") is None
    assert (run.last().kind, run.last().reason) == ("declined", "declined: nobody answered in time")


def test_somebody_who_is_not_an_approver_is_refused_by_airflow(live: Live, started: dict[str, Asked]) -> None:
    run = started["others"]
    form = run.put()
    assert [user["id"] for user in form["assigned_users"]] == ["ada"]
    for option in ("Approve", "Reject"):
        with pytest.raises(ApiError) as refused:
            run.answer(option)
        assert refused.value.status == 403
    assert run.states()["approve"] == "awaiting_input"
    assert run.approval() is None
    assert (run.alias("champion"), run.alias("challenger")) == (None, 1)
    assert run.last().kind == "registered"
    # a run that waits for ever would be in the way of a stack that is brought up again
    live.runs.api.patch(run_path(run.dag_id, run.run_id), {"state": "failed"})
