"""Decide what is to be done about what monitoring saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops.links import MLflowRunLink
from airflow_mlops.operators._base import LoopOperator

if TYPE_CHECKING:
    from airflow_mlops.core.records.candidate import Champion
    from airflow_mlops.core.records.drift import DriftReport
    from airflow_mlops.core.records.performance import PerformanceReport
    from airflow_mlops.core.records.retraining import History, MonitoringInput, RetrainDecision, Signal
    from airflow_mlops.spec import ModelSpec

_WINDOWS, _CHALLENGERS = 10, 400
"""How far back is looked, at least: a daily schedule has many challengers between two that were asked for."""


class RetrainOperator(LoopOperator):
    """Turn what monitoring saw into a RetrainDecision; emit the retrain event when it is to retrain.

    Returns the :class:`~airflow_mlops.core.records.retraining.RetrainDecision` as JSON. Its order of rules is that of
    :func:`~airflow_mlops.core.retraining.decide.decide_retraining`. What is decided is first written to the model's log
    in MLflow, then to the window's run, then told, then emitted: a task that dies on the way and is tried again finds
    its decision, and emits the same event. An event that seems to be lost, since no training run has taken it, is
    emitted once more by a later run.

    For `wait`, `block` and `escalate` the task ends as skipped, with every reason in its log, so that its outlets emit
    nothing. It does not fail: monitoring did what it is for, a retry would change nothing, and a red task would hide
    the ones that are broken. Those of `notifications` who ask for `retrain`, `block`, `escalate` or `watch` are told,
    with the playbook's plan.

    Where a shadow challenger is due (`retraining.on_shadow`), a model is trained on today's rows first, out of service,
    and what the gate says of it is one of the signals.

    A person asks by the run's Param `retrain`, a business event by an asset event that triggers the DAG and has
    `retrain` in its extra: true, or the reason.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    drift
        What DriftSensor returned; None: drift is not watched.
    performance
        What PerformanceOperator returned; None: performance is not watched.
    report
        The older name of `drift`.
    """

    template_fields = ("drift", "performance")
    operator_extra_links = (MLflowRunLink(),)

    def __init__(self, *, drift: Any = None, performance: Any = None, report: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drift = report if drift is None else drift
        self.performance = performance

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Decide, write it down, tell, emit; raise a skip when there is nothing to emit."""
        from airflow.sdk.exceptions import AirflowSkipException

        from airflow_mlops.core.retraining import ask_again, decide_and_log

        spec = self.model_spec(context)
        with self.records(spec) as records:
            champion = records.require_champion(spec)
            seen, as_of = self._seen(spec, champion, records, context)
            history = self._history(spec, records, as_of)
            seen = self._compared(spec, champion, seen, history, records, as_of)
            decision = decide_and_log(records.retraining_log, spec, champion, seen, history, as_of)
            lost = ask_again(records.retraining_log, spec, champion, history, decision, self.loop_run(context))
            self.run_url = records.run_url(records.windows.record_retraining(spec.experiment, decision))
        self._tell(spec, decision, context)
        if lost is not None:
            self.log.warning("no training has taken up decision %s: its event is emitted once more", lost.key)
        emitted = decision if decision.action == "retrain" else lost
        if emitted is None:
            context["ti"].xcom_push(key="return_value", value=decision.to_json())
            raise AirflowSkipException(_said(decision))
        self.log.info("%s", _said(emitted))
        body = emitted.to_json()
        told: dict[str, Any] = {
            key: body[key] for key in ("as_of", "key", "reasons", "evidence", "changed") if key in body
        }
        person = self._asked_by(context)
        if person and emitted is decision:
            told["asked_by"] = person
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = told
        return body

    def _asked_by(self, context: Mapping[str, Any]) -> str:
        """Return who asked for a retraining by the run's Param, where Airflow knows."""
        from airflow_mlops.provenance import triggered_by

        return triggered_by(context) if (context.get("params") or {}).get("retrain") else ""

    def _seen(
        self, spec: ModelSpec, champion: Champion, records: Any, context: Mapping[str, Any]
    ) -> tuple[MonitoringInput, datetime]:
        """Gather what is known of the newest window, and the instant of the decision: as of the newest report."""
        from airflow_mlops.core.promotion import retirement_tag
        from airflow_mlops.core.records.drift import DriftReport
        from airflow_mlops.core.records.performance import PerformanceReport
        from airflow_mlops.core.records.retraining import MonitoringInput

        drift: DriftReport | None = DriftReport.from_json(self.drift) if self.drift else None
        performance: PerformanceReport | None = (
            PerformanceReport.from_json(self.performance) if self.performance else None
        )
        known = [report.as_of for report in (drift, performance) if report is not None]
        as_of = max(known) if known else self.as_of(context)
        seen = MonitoringInput(
            drift=drift,
            performance=performance,
            new_rows=_new_rows(spec, champion, as_of),
            asked=tuple(asked(context)),
            retired=retirement_tag(records.registry, spec.registered_model),
        )
        return seen, as_of

    def _compared(  # noqa: PLR0917 - the case, where its records are, and its instant
        self,
        spec: ModelSpec,
        champion: Champion,
        seen: MonitoringInput,
        history: History,
        records: Any,
        as_of: datetime,
    ) -> MonitoringInput:
        """Train a model of today's rows to compare the champion with, where one is due."""
        from dataclasses import replace

        from airflow_mlops.core.retraining import shadow_due
        from airflow_mlops.operators._shadow import compare_with_shadow

        if not shadow_due(spec, champion, seen, history, as_of):
            return seen
        self.log.info("a shadow challenger is due: a model of today's rows is trained to compare, and serves nobody")
        report = compare_with_shadow(spec, as_of, champion, records, self.storage())
        self.log.info("%s: %s", report.verdict.upper(), "\n  ".join(report.reasons))
        return replace(seen, shadow=report)

    def _history(self, spec: ModelSpec, records: Any, as_of: datetime) -> History:
        """Gather earlier windows and challengers; the decisions are read when it is decided."""
        from airflow_mlops.core.records.retraining import History

        bounds, experiment, name = spec.monitoring, spec.experiment, spec.name
        retraining = max(_CHALLENGERS, spec.retraining.escalate_after + 1)
        windows = {"before": as_of, "limit": max(_WINDOWS, bounds.drift.of)}
        cohorts = {"before": as_of, "limit": max(_WINDOWS, bounds.performance.of)}
        return History(
            challenges=records.challenges.newest(experiment, name, retraining, registered_model=spec.registered_model),
            drift=records.windows.drift_history(experiment, name, **windows) if self.drift else (),
            performance=records.windows.performance_history(experiment, name, **cohorts) if self.performance else (),
            shadows=records.windows.shadow_history(experiment, name, before=as_of) if spec.retraining.on_shadow else (),
        )

    def _tell(self, spec: ModelSpec, decision: RetrainDecision, context: Mapping[str, Any]) -> None:
        """Tell of what was decided; of watching, when it begins."""
        from airflow_mlops.notifications.task_event import of_retraining

        event, reasons = of_retraining(decision)
        if event:
            self.tell(spec, event, context, reasons, as_of=decision.as_of)


def asked(context: Mapping[str, Any]) -> Iterator[Signal]:
    """Yield what is asked for from outside: by a person's Param `retrain`, and by asset events that carry `retrain`.

    An event that does not say so only caused the run: that data arrived is no reason to train.
    """
    from airflow_mlops.asof import events_of
    from airflow_mlops.core.records.retraining import Signal

    def said(wish: Any) -> str:
        return wish if isinstance(wish, str) else "without a reason"

    wish = (context.get("params") or {}).get("retrain")
    if wish:
        yield Signal(kind="manual", state="on", reason=f"A person asks: {said(wish)}")
    for event in events_of(context):
        if event.get("retrain"):
            yield Signal(kind="event", state="on", reason=f"An event asks: {said(event['retrain'])}")


def _new_rows(spec: ModelSpec, champion: Champion, as_of: datetime) -> int | None:
    """Count new labelled rows, where a rule asks for them: it reads the source."""
    from airflow_mlops.config import settings
    from airflow_mlops.core.retraining import count_new_rows
    from airflow_mlops.stores.open_source import open_rows

    if not spec.retraining.min_new_rows and spec.retraining.on_volume is None:
        return None
    return count_new_rows(spec, champion, open_rows(spec, data_root=settings().data_root), as_of)


def _said(decision: RetrainDecision) -> str:
    """Say what was decided in one line.

    The plan comes last: what to do, after why.
    """
    what = {
        "retrain": "retraining is asked for",
        "wait": "no retraining",
        "block": "retraining is blocked",
        "escalate": f"no retraining: {decision.owner} is asked",
    }[decision.action]
    plan = f" What to do: {decision.plan}" if decision.plan else ""
    return f"{what} ({decision.rule}): {' '.join(decision.reasons)}{plan}"
