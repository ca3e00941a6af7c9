"""Wait for a window, or for drift in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_mlops.links import MLflowRunLink, ModelVersionLink
from airflow_mlops.operators._base import consequences, effective_spec, open_records
from airflow_mlops.spec import ModelSpec


class DriftSensor(BaseSensorOperator):
    """Compare the monitoring window with the champion's frozen reference profile, and fire with a DriftReport.

    ``mode="poke"`` holds its worker while it waits, ``mode="reschedule"`` frees it between two looks, and
    ``deferrable=True`` waits in the triggerer, which only looks whether rows have arrived; the comparison itself
    always runs in a worker. A time-out is a failure, or a skip with ``soft_fail=True``; the deadline is absolute over
    all deferrals of one try.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    wait_for
        ``drift``: wait until the verdict is drift. ``window``: wait until the window holds rows, and fire with
        whatever the verdict is.
    deferrable
        Wait in the triggerer.

    Examples
    --------
    >>> DriftSensor(task_id="drift", spec="models/flight_delay.yaml", deferrable=True).wait_for
    'drift'
    """

    operator_extra_links = (MLflowRunLink(), ModelVersionLink())

    def __init__(
        self,
        *,
        spec: ModelSpec | str | Path,
        wait_for: Literal["drift", "window"] = "drift",
        deferrable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.wait_for = wait_for
        self.deferrable = deferrable
        self.run_url = self.report_url = self.version_url = ""

    def execute(self, context: Any) -> Any:
        """Wait in this worker, or hand the waiting to the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        event = {"deadline": (datetime.now(UTC) + timedelta(seconds=self.timeout)).isoformat()}
        # The first look is like all others: only Airflow's way back from a deferral knows soft_fail and never_fail.
        return self.resume_execution("execute_complete", {"event": event}, context)

    def poke(self, context: Any) -> PokeReturnValue:
        """Look once."""
        report = self._report(context)
        return PokeReturnValue(is_done=report is not None, xcom_value=report)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Look in a worker: at first, and after the triggerer saw rows arrive."""
        report = self._report(context)
        if report is None:
            self._wait(context, datetime.fromisoformat(event["deadline"]))
        return report

    def _wait(self, context: Any, deadline: datetime) -> NoReturn:
        """Hand over to the triggerer: this leaves the task by an exception."""
        from airflow.sdk.exceptions import AirflowSensorTimeout

        from airflow_mlops.config import settings
        from airflow_mlops.core.monitoring import monitoring_window
        from airflow_mlops.triggers.drift import WindowTrigger

        remaining = deadline - datetime.now(UTC)
        if remaining <= timedelta(0):
            raise AirflowSensorTimeout(f"no {self.wait_for} by {deadline.isoformat()}")
        spec = effective_spec(self.spec, context)
        window = monitoring_window(spec, self._as_of(context))
        trigger = WindowTrigger(
            source=spec.data.source.model_dump(mode="json"),
            data_root=settings().data_root,
            time=spec.data.time,
            start=window.start.isoformat(),
            end=window.end.isoformat(),
            interval=self.poke_interval,
            deadline=deadline.isoformat(),
            delay=self.poke_interval,
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=remaining)

    def _report(self, context: Any) -> dict[str, Any] | None:
        """Return the report when it is one to fire with."""
        from airflow_mlops.config import settings
        from airflow_mlops.core.monitoring import monitoring_window, observe
        from airflow_mlops.stores.sources import open_source

        with consequences():
            spec, as_of = effective_spec(self.spec, context), self._as_of(context)
            store = open_source(spec.data.source, data_root=settings().data_root)
            window = monitoring_window(spec, as_of)
            if not store.has_rows(window, spec.data.time):
                self.log.info("no rows yet in %s of %s", window, store.description)
                return None
            with open_records(spec) as records:
                champion = records.require_champion(spec)
                reference = records.profile(champion.run_id)
                report = observe(spec, champion, reference, store, as_of)
                self.run_url = records.run_url(records.record_drift(spec.experiment, report))
                self.version_url = records.version_url(spec.registered_model, champion.version)
        self.log.info("%s in %s (%s rows): %s", report.verdict, window, report.rows, "; ".join(report.reasons))
        fires = self.wait_for == "window" or report.verdict == "drift"
        return report.to_json() if fires else None

    @staticmethod
    def _as_of(context: Any) -> datetime:
        from airflow_mlops.asof import resolve_as_of

        return resolve_as_of(context)
