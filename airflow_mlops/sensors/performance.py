"""Wait until a champion's predictions have outcomes, or until they show that it has decayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.text import as_sentences
from airflow_mlops.links import MLflowRunLink, ModelVersionLink
from airflow_mlops.sensors._base import WaitingSensor

if TYPE_CHECKING:
    from airflow_mlops.core.records.performance import PerformanceReport
    from airflow_mlops.core.records.snapshot import Window
    from airflow_mlops.triggers.base import WaitingTrigger


class PerformanceSensor(WaitingSensor):
    """Join the score log with outcomes as they mature, and fire with a PerformanceReport.

    The cohort is `monitoring.performance.window` long and ends a label delay before as-of. The join always runs in a
    worker; deferred, it runs again when the source or the score log changes. It waits, times out and fails as
    :class:`~airflow_mlops.sensors.drift.DriftSensor` does.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    wait_for
        ``outcomes``: wait until at least `monitoring.performance.min_coverage` of the cohort's predictions have one,
        and fire with whatever the verdict is. ``decay``: wait until the verdict is decay.
    deferrable
        Wait in the triggerer.

    Examples
    --------
    >>> PerformanceSensor(task_id="performance", spec="models/flight_delay.yaml", deferrable=True).wait_for
    'outcomes'
    """

    operator_extra_links = (MLflowRunLink(), ModelVersionLink())

    def __init__(self, *, wait_for: Literal["outcomes", "decay"] = "outcomes", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wait_for = wait_for
        self._seen = ""

    def look(self, context: Any) -> dict[str, Any] | None:
        """Return the report when it is one to fire with."""
        from airflow_mlops.operators.performance import performed

        spec = self.model_spec(context)
        self._seen = self.mark(spec, self._cohort(context), **self._also(context))
        report, self.run_url = performed(spec, self.as_of(context), self.storage())
        with self.records(spec) as records:
            self.version_url = records.version_url(spec.registered_model, report.champion_version)
        self.lacking = f"{report.verdict} in {report.window}: {as_sentences(report.reasons)}"
        self.log.info("%s", self.lacking)
        return report.to_json() if self._fires(report, spec.monitoring.performance.min_coverage) else None

    def watch(self, context: Any, **how: Any) -> WaitingTrigger:
        """Watch for outcomes, and for predictions that were made late."""
        from airflow_mlops.triggers.change import ChangeTrigger

        rows = self.rows_of(self.model_spec(context), self._cohort(context))
        return ChangeTrigger(seen=self._seen, **rows, **self._also(context), **how)

    def _fires(self, report: PerformanceReport, coverage: float) -> bool:
        if self.wait_for == "decay":
            return report.verdict == "decay"
        return report.predicted > 0 and report.coverage >= coverage

    def _cohort(self, context: Any) -> Window:
        from airflow_mlops.core.monitoring.performance import cohort_window

        return cohort_window(self.model_spec(context), self.as_of(context))

    def _also(self, context: Any) -> dict[str, list[str]]:
        """Return what else changes when the report would: labels come to rows that were there, and rows are scored."""
        from airflow_mlops.core.scoring import predictions_folder

        spec = self.model_spec(context)
        return {"counted": [spec.data.label], "folders": [self.storage().uri(predictions_folder(spec))]}
