"""Which event of the loop a task came to, read from what it returned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.promotion import declined_because
from airflow_mlops.core.records.promotion import Approval
from airflow_mlops.core.records.retraining import RetrainDecision
from airflow_mlops.notifications.event import loop_event

if TYPE_CHECKING:
    from airflow_mlops.notifications.event import LoopEvent

_OF_VERDICT = {"accept": "accepted", "reject": "rejected", "inconclusive": "inconclusive"}


def event_of_task(context: Mapping[str, Any]) -> LoopEvent:
    """Return the event that the task of a callback came to.

    Parameters
    ----------
    context
        The callback's context: of a gate, approve, promote, rollback or retrain task that has returned its report,
        also when it ended as skipped.

    Raises
    ------
    ValueError
        If the task returned nothing that is an event of the loop.
    """
    ti, task = context["ti"], context["task"]
    report = ti.xcom_pull(task_ids=ti.task_id)
    kind = str(report.get("kind")) if isinstance(report, Mapping) else ""
    if kind not in _EVENTS or not hasattr(task, "model_spec"):
        raise ValueError(
            f"task {ti.task_id} returned {kind or 'no report'}, of which there is nothing to tell; make LoopNotifier a "
            f"callback of a task that returns one of {', '.join(sorted(_EVENTS))}, or give it event="
        )
    event, reasons, version = _EVENTS[kind](report)
    if not event:
        raise ValueError(f"task {ti.task_id} decided to wait, of which there is nothing to tell")
    links = {"MLflow run": "run_url", "Report": "report_url", "Model version": "version_url"}
    return loop_event(
        task.model_spec(context),
        event,
        reasons=reasons,
        links={name: str(getattr(task, attribute, "") or "") for name, attribute in links.items()},
        version=version,
        run=f"{ti.dag_id}/{ti.run_id}",
    )


Told = tuple[str, tuple[str, ...], int | None]
"""Event, reasons, version."""


def _of_decision(report: Mapping[str, Any]) -> Told:
    return _OF_VERDICT[report["verdict"]], tuple(report["reasons"]), None


def _of_promotion(report: Mapping[str, Any]) -> Told:
    event = "promoted" if report["promoted"] else _OF_VERDICT[report["verdict"]]
    return "declined" if report["declined"] else event, tuple(report["reasons"]), report["version"]


def _of_approval(report: Mapping[str, Any]) -> Told:
    approval = Approval.from_json(dict(report))
    return "accepted" if approval.approved else "declined", (answer_words(approval),), None


def _of_rollback(report: Mapping[str, Any]) -> Told:
    return "rolled_back", (report["reason"],), report["version"]


def _of_retraining(report: Mapping[str, Any]) -> Told:
    return *of_retraining(RetrainDecision.from_json(dict(report))), None


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Told]] = {
    "GateDecision": _of_decision,
    "PromotionRecord": _of_promotion,
    "Approval": _of_approval,
    "Rollback": _of_rollback,
    "RetrainDecision": _of_retraining,
}


def of_retraining(decision: RetrainDecision) -> tuple[str, tuple[str, ...]]:
    """Return what is told of a decision about retraining, with the plan as the last sentence; no event for most waits.

    Of watching, it is told when it begins.
    """
    begins = decision.rule == "watch" and "watching_since" in decision.evidence
    event = "watch" if begins else "" if decision.action == "wait" else decision.action
    plan = (f"What to do: {decision.plan}",) if decision.plan else ()
    return event, decision.reasons + plan


def answer_words(approval: Approval) -> str:
    """Say in one sentence who answered the question whether a candidate may serve, and what.

    >>> from datetime import UTC, datetime
    >>> asked = {"model": "m", "run_id": "r", "decision": "d", "at": datetime(2026, 3, 1, tzinfo=UTC)}
    >>> answer_words(Approval(**asked, approved=True, by="ada", note="seen the slices"))
    'approved by ada: seen the slices'
    >>> answer_words(Approval(**asked, approved=False, by="", timed_out=True))
    'declined: nobody answered in time'
    """
    if not approval.approved:
        return declined_because(approval)
    return f"approved by {approval.by}" + (f": {approval.note}" if approval.note else "")
