"""Wait for a window, or for drift in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.text import as_sentences
from airflow_mlops.links import MLflowRunLink, ModelVersionLink, ReportLink
from airflow_mlops.sensors._base import WaitingSensor

if TYPE_CHECKING:
    from airflow_mlops.triggers.base import WaitingTrigger


class DriftSensor(WaitingSensor):
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
        ``drift``: wait until the verdict is drift; deferred, the window is compared again when its source changes.
        ``window``: wait until the window holds rows, and fire with whatever the verdict is. A source that had no row
        for as long before the window either has stopped, and is not waited for: the task fails with that sentence.
    deferrable
        Wait in the triggerer.

    Examples
    --------
    >>> DriftSensor(task_id="drift", spec="models/flight_delay.yaml", deferrable=True).wait_for
    'drift'
    """

    operator_extra_links = (MLflowRunLink(), ReportLink(), ModelVersionLink())

    def __init__(self, *, wait_for: Literal["drift", "window"] = "drift", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wait_for = wait_for
        self._seen = ""

    def look(self, context: Any) -> dict[str, Any] | None:
        """Return the report when it is one to fire with."""
        from airflow_mlops.core.monitoring.windows import monitoring_window, require_flowing
        from airflow_mlops.operators.drift import observed

        spec, as_of = self.model_spec(context), self.as_of(context)
        window, store = monitoring_window(spec, as_of), self.store(spec)
        seen = self.mark(spec, window)
        self._seen = ""
        if not store.has_rows(window, spec.data.time):
            if self.wait_for == "window":
                require_flowing(store, window, spec.data.time)
            self.lacking = f"no rows yet in {window} of {store.description}"
            self.log.info("%s", self.lacking)
            return None
        found = observed(spec, as_of, store, self.storage())
        self.run_url, self.report_url, self.version_url = found.run_url, found.page_url, found.version_url
        report = found.report
        self.lacking = f"{report.verdict} in {window} ({report.rows} rows): {as_sentences(report.reasons)}"
        self.log.info("%s", self.lacking)
        self._seen = seen
        fires = self.wait_for == "window" or report.verdict == "drift"
        return report.to_json() if fires else None

    def watch(self, context: Any, **how: Any) -> WaitingTrigger:
        """Watch for the window's first rows; once they were compared, for others."""
        from airflow_mlops.core.monitoring.windows import monitoring_window
        from airflow_mlops.triggers.change import ChangeTrigger
        from airflow_mlops.triggers.window import WindowTrigger

        spec = self.model_spec(context)
        rows = self.rows_of(spec, monitoring_window(spec, self.as_of(context)))
        return ChangeTrigger(seen=self._seen, **rows, **how) if self._seen else WindowTrigger(**rows, **how)
