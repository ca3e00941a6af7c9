"""The audit trail names who was there: the triggering user, the approver, the command line's user and host."""

from __future__ import annotations

import socket
from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_mlops.cli._common import asker, people, system_user
from airflow_mlops.cli.history import history
from airflow_mlops.cli.retire import retire
from airflow_mlops.cli.status import status
from airflow_mlops.core.records.people import Person
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.operators import RollbackOperator
from airflow_mlops.operators._card import MARKDOWN
from airflow_mlops.provenance import people_behind
from airflow_mlops.spec import ModelSpec
from tests.support.judged_runs import Judged
from tests.support.loop import answer, ask, promote_run


def triggered(judged: Judged, number: int, by: str) -> dict[str, Any]:
    context = judged.context(number)
    context["dag_run"].triggering_user_name = by
    return context


def test_who_triggered_and_who_approved_stand_in_trail_history_status_and_card(
    judged: Judged, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    body = judged.spec.model_dump(mode="json", exclude_unset=True)
    promotion = {**body["promotion"], "approval": {"tiers": ["medium"]}}
    spec = ModelSpec.model_validate({**body, "promotion": promotion})
    run, context = judged.decide(), triggered(judged, 0, "mallory")
    _, parked = ask(spec, run, context)
    answer(spec, run, context, "Approve", by="ada", decision=parked["decision"])
    promote_run(spec, run, context, approval=run.reports["approve"])
    events = judged.store.trail.events(judged.model)
    assert [event.kind for event in events] == ["registered", "promoting", "promoted"]
    mallory, ada = Person(name="mallory", did="triggered"), Person(name="ada", did="approved")
    assert [event.people for event in events] == [(mallory,), (mallory, ada), (mallory,)]
    who = f"airflow:orders.train/{run.run_id} (mallory (triggered the run), ada (approved))"
    assert events[1].who == who
    capsys.readouterr()
    given = {"conn_id": "mlflow_default", "json": False, "json_lines": False, "verify": False, "file": None}
    history(Namespace(model=judged.model, **given))
    assert who in capsys.readouterr().out
    status(Namespace(models=[judged.model], **given))
    assert "mallory" in capsys.readouterr().out
    assert "mallory (triggered the run), ada (approved)" in judged.store.artifacts.read_text(
        run.reports["train"]["run_id"], MARKDOWN
    )


def test_who_rolls_back_is_named(judged: Judged) -> None:
    promote_run(judged.spec, judged.decide(), judged.context())
    promote_run(judged.spec, judged.decide(1, champion_version=1), judged.context(1))
    back = RollbackOperator(task_id="back", spec=judged.spec, reason="worse")
    back.execute(triggered(judged, 1, "bob"))
    begun = next(event for event in judged.store.trail.events(judged.model) if event.kind == "rolling_back")
    assert begun.people == (Person(name="bob", did="triggered"),)


def test_a_command_names_the_systems_user_and_the_machine(
    judged: Judged, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    before = system_user()
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(variable, "somebody-else")
    assert system_user() == before, "variables are anybody's to set"
    assert asker() == f"user:{before}"
    promote_run(judged.spec, judged.decide(), judged.context())
    retire(Namespace(conn_id="mlflow_default", json=False, model=judged.model, undo=False, reason="replaced"))
    event = judged.store.trail.events(judged.model)[-1]
    assert event.people == people() == (Person(name=before, did="commanded", host=socket.gethostname()),)
    assert event.who == f"user:{before} ({socket.gethostname()})"
    assert event.who in capsys.readouterr().out


def context_of_event(**extra: Any) -> dict[str, Any]:
    return {
        "dag_run": SimpleNamespace(triggering_user_name=None),
        "triggering_asset_events": {"orders.retrain": [SimpleNamespace(extra=extra)]},
    }


def test_who_asked_for_a_retraining_stands_behind_the_training() -> None:
    assert people_behind(context_of_event(as_of="2026-01-01", asked_by="ada")) == (Person(name="ada", did="asked"),)
    assert people_behind(context_of_event(as_of="2026-01-01")) == ()


def test_an_event_through_the_api_is_told_and_not_believed() -> None:
    found = people_behind(context_of_event(from_rest_api=True, asked_by="the-board"))
    assert [(person.did, "board" in person.name) for person in found] == [("sent_event", False)]


def test_events_of_before_name_nobody_and_are_read_as_they_were() -> None:
    written = {
        "kind": "AuditEvent", "format": 1, "event": "retired", "number": 1, "before": "", "model": "m",
        "at": "2026-01-02T03:04:05Z", "by": "user:ada", "reason": "old", "version": None, "displaced": None,
        "decision": None, "approval": None, "forced": False, "status": None, "nonce": "n",
    }  # fmt: skip
    event = AuditEvent.from_json(written)
    assert (event.people, event.specification, event.who) == ((), None, "user:ada")
    assert event.to_json() == written
