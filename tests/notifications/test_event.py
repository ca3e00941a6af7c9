"""What a loop event says, and which one a task came to."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_mlops.core.records.promotion import Approval
from airflow_mlops.core.records.retraining import RetrainDecision
from airflow_mlops.notifications import LoopEvent, loop_event
from airflow_mlops.notifications.task_event import event_of_task
from airflow_mlops.operators import EvaluateGateOperator
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.promotion import EVENTS
from tests.support.loop import specification

SPEC = ModelSpec.model_validate(specification("orders.parquet"))
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_words_that_name_model_and_owner_and_travels_as_json(event: str) -> None:
    links = {"Report": "http://mlflow/r?a=1&b=2", "Model card": ""}
    told = loop_event(SPEC, event, reasons=["because"], links=links, as_of=AS_OF, version=3, run="orders.train/r1")
    assert "orders" in told.title
    for part in (told.title, "owner tests", "- because", "Report: http://mlflow/r?a=1&b=2", "2026-03-01"):
        assert part in told.text
    assert "Model card" not in told.links
    assert '<a href="http://mlflow/r?a=1&amp;b=2">Report</a>' in told.html
    assert LoopEvent.from_json(told.to_text()) == told


def test_an_event_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no event 'celebrated'; there are accepted, rejected"):
        loop_event(SPEC, "celebrated")


def test_a_value_of_the_data_neither_calls_everybody_nor_becomes_html() -> None:
    told = loop_event(SPEC, "rejected", reasons=["slice city = <!channel> & <b>x</b> is worse"])
    assert "<" not in told.payload()["text"]
    assert "&lt;!channel&gt; &amp;" in told.payload()["text"]
    assert "<!channel>" in told.text
    assert "<b>x" not in told.html


def context_of_task(report: Any, task: Any = None) -> dict[str, Any]:
    ti = SimpleNamespace(task_id="gate", dag_id="orders.train", run_id="r1", xcom_pull=lambda task_ids: report)
    gate = EvaluateGateOperator(task_id="gate", spec=SPEC, snapshot={}, candidate={})
    gate.report_url = "http://mlflow/report"
    return {"ti": ti, "task": task or gate, "params": {}}


APPROVAL = Approval(model="orders", run_id="r", decision="d", approved=False, by="ada", at=AS_OF, note="in December?")
PROMOTION = {"kind": "PromotionRecord", "promoted": True, "declined": False, "verdict": "accept", "version": 4,
             "reasons": ["better"]}  # fmt: skip
REPORTS: list[tuple[dict[str, Any], str, str, int | None]] = [
    ({"kind": "GateDecision", "verdict": "accept", "reasons": ["better"]}, "accepted", "better", None),
    ({"kind": "GateDecision", "verdict": "reject", "reasons": ["worse"]}, "rejected", "worse", None),
    ({"kind": "GateDecision", "verdict": "inconclusive", "reasons": ["who knows"]}, "inconclusive", "who knows", None),
    (PROMOTION, "promoted", "better", 4),
    ({**PROMOTION, "promoted": False, "verdict": "reject"}, "rejected", "better", 4),
    ({**PROMOTION, "promoted": False, "declined": True}, "declined", "better", 4),
    (APPROVAL.to_json(), "declined", "declined by ada: in December?", None),
    ({**APPROVAL.to_json(), "approved": True}, "accepted", "approved by ada: in December?", None),
    ({"kind": "Rollback", "version": 2, "reason": "complaints"}, "rolled_back", "complaints", 2),
]


@pytest.mark.parametrize(("report", "event", "reason", "version"), REPORTS)
def test_what_a_task_returned_says_which_event_it_was(
    report: dict[str, Any], event: str, reason: str, version: int | None
) -> None:
    told = event_of_task(context_of_task(report))
    assert (told.event, told.reasons, told.version) == (event, (reason,), version)
    assert (told.run, told.links) == ("orders.train/r1", {"Report": "http://mlflow/report"})


@pytest.mark.parametrize("report", [None, {"kind": "Snapshot"}, {"rows": 3}, 7, {"needed": False}])
def test_a_task_that_tells_nothing_says_what_to_do(report: Any) -> None:
    with pytest.raises(ValueError, match="make LoopNotifier a callback of a task that returns one of Approval"):
        event_of_task(context_of_task(report))


def test_a_task_of_another_kind_tells_nothing() -> None:
    with pytest.raises(ValueError, match="nothing to tell"):
        event_of_task(context_of_task(PROMOTION, task=SimpleNamespace()))


@pytest.mark.parametrize(
    ("action", "rule", "evidence", "event"),
    [
        ("retrain", "signal", {}, "retrain"),
        ("escalate", "escalate_after", {}, "escalate"),
        ("block", "invalid_data", {}, "block"),
        ("wait", "watch", {"watching_since": "2013-06-09T00:00:00+00:00"}, "watch"),
        ("wait", "watch", {}, None),
        ("wait", "cooldown", {}, None),
    ],
)
def test_what_is_told_of_a_decision_about_retraining(
    action: Any, rule: str, evidence: dict[str, str], event: str | None
) -> None:
    """With the plan; of watching when it begins, and of other waiting never."""
    decision = RetrainDecision(
        model="orders",
        action=action,
        as_of=datetime(2013, 6, 9, tzinfo=UTC),
        reasons=("because",),
        evidence=evidence,
        rule=rule,
        plan="Look.",
    )
    if event is None:
        with pytest.raises(ValueError, match="nothing to tell"):
            event_of_task(context_of_task(decision.to_json()))
        return
    told = event_of_task(context_of_task(decision.to_json()))
    assert (told.event, told.reasons) == (event, ("because", "What to do: Look."))
