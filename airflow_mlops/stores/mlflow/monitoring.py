"""Monitoring in MLflow: one run for each model and window, and one run of a model's series, for the charts.

A window's run holds the reports of that window, whole. The series run is its parent; it holds the numbers of all
windows as metrics, with as-of as their time and the day as their step: MLflow draws them as lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from posixpath import normpath
from typing import Any, TypeVar

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.retraining import RetrainDecision
from airflow_mlops.core.records.shadow import ShadowReport
from airflow_mlops.stores.mlflow.artifacts import MLflowArtifacts
from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.errors import conflict
from airflow_mlops.stores.mlflow.experiments import MODEL
from airflow_mlops.stores.mlflow.queries import keep_one_run
from airflow_mlops.stores.mlflow.runs import MLflowRuns

KIND, WINDOW, ENDS = "mlops.kind", "mlops.window", "mlops.as_of"
DRIFT, PERFORMANCE, RETRAINING = "monitoring/drift.json", "monitoring/performance.json", "monitoring/retraining.json"
SHADOW = "monitoring/shadow.json"
DRIFT_PAGE = "monitoring/drift.html"
"""Evidently's report of a sample."""
SEALS = {
    DRIFT: "mlops.drift_sha256",
    PERFORMANCE: "mlops.performance_sha256",
    SHADOW: "mlops.shadow_sha256",
    RETRAINING: "mlops.retraining_sha256",
}
_PAGE = 100
_LONGEST_NAME = 250
"""Of a metric."""
Kept = TypeVar("Kept", DriftReport, PerformanceReport, ShadowReport, RetrainDecision)


class MLflowWindows:
    """Reports of windows, and the history that they make."""

    def __init__(self, client: GuardedClient, runs: MLflowRuns, artifacts: MLflowArtifacts) -> None:
        self._client, self._runs, self._artifacts = client, runs, artifacts

    def record_drift(self, experiment: str, report: DriftReport, page: str = "") -> str:
        """Keep a drift report in its window's run, its numbers in the series; return the window's run.

        Parameters
        ----------
        page
            Evidently's report, HTML; empty: none was made.
        """
        run_id = self._window_run(experiment, report.model, report.as_of)
        if page:
            self._artifacts.write_text(run_id, DRIFT_PAGE, page)
        tags = {
            "mlops.verdict": report.verdict,
            "mlops.champion_version": str(report.champion_version),
            WINDOW: str(report.window),
        }
        return self._keep(experiment, run_id, report, DRIFT, tags, _of_drift(report))

    def record_performance(self, experiment: str, report: PerformanceReport) -> str:
        """Keep a performance report in its window's run, its numbers in the series; return the window's run."""
        run_id = self._window_run(experiment, report.model, report.as_of)
        tags = {"mlops.decay": "urgent" if report.urgent else report.verdict}
        return self._keep(experiment, run_id, report, PERFORMANCE, tags, _of_performance(report))

    def record_shadow(self, experiment: str, report: ShadowReport) -> str:
        """Keep what the gate would say of a fresh model in its window's run; return the run."""
        run_id = self._window_run(experiment, report.model, report.as_of)
        numbers = {"shadow.gain": report.gain, "shadow.lower": report.lower}
        return self._keep(experiment, run_id, report, SHADOW, {"mlops.shadow": report.verdict}, numbers)

    def record_retraining(self, experiment: str, decision: RetrainDecision) -> str:
        """Keep what was decided in its window's run; return the run."""
        run_id = self._window_run(experiment, decision.model, decision.as_of)
        tags = {"mlops.retraining": decision.action, "mlops.retraining_rule": decision.rule}
        numbers = {"retraining.retrain": float(decision.action == "retrain")}
        return self._keep(experiment, run_id, decision, RETRAINING, tags, numbers)

    def drift_history(
        self, experiment: str, model: str, *, before: datetime, limit: int = 30
    ) -> tuple[DriftReport, ...]:
        """Return the newest drift reports as of earlier instants, newest first."""
        return tuple(self._history(experiment, model, DriftReport, DRIFT, before, limit))

    def performance_history(
        self, experiment: str, model: str, *, before: datetime, limit: int = 30
    ) -> tuple[PerformanceReport, ...]:
        """Return the newest performance reports as of earlier instants, newest first."""
        return tuple(self._history(experiment, model, PerformanceReport, PERFORMANCE, before, limit))

    def shadow_history(
        self, experiment: str, model: str, *, before: datetime, limit: int = 1
    ) -> tuple[ShadowReport, ...]:
        """Return what the gate said of fresh models as of earlier instants, newest first: few windows have any."""
        return tuple(self._history(experiment, model, ShadowReport, SHADOW, before, limit))

    def retraining_history(
        self, experiment: str, model: str, *, before: datetime, limit: int = 30
    ) -> tuple[RetrainDecision, ...]:
        """Return what was decided as of earlier instants, newest first: `wait` too, which the log does not keep."""
        return tuple(self._history(experiment, model, RetrainDecision, RETRAINING, before, limit))

    # -----------------------------------------------------------------------------------------------------------------

    def _window_run(self, experiment: str, model: str, as_of: datetime) -> str:
        """The run of what was seen as of an instant: of several, which only a repeated request makes, one stays."""
        series = self._series(experiment, model)
        return self._run_of(
            experiment,
            {KIND: "monitoring", MODEL: model, ENDS: as_of.astimezone(UTC).isoformat()},
            f"monitoring {as_of:%Y-%m-%d %H:%M}",
            {"mlflow.parentRunId": series},
        )

    def _series(self, experiment: str, model: str) -> str:
        return self._run_of(experiment, {KIND: "monitoring series", MODEL: model}, f"monitoring of {model}", {})

    def _run_of(self, experiment: str, key: Mapping[str, str], name: str, tags: Mapping[str, str]) -> str:
        experiment_id = self._runs.experiments.open(experiment)
        run = keep_one_run(self._client, experiment_id, key)
        if run is None:
            self._client.create_run(experiment_id, tags={**key, **tags}, run_name=name)
            run = keep_one_run(self._client, experiment_id, key)
        if run is None:  # somebody deleted it between two requests
            raise conflict(f"the run '{name}' vanished while it was made", "a run that nobody deletes", "try again")
        return str(run.info.run_id)

    def _keep(  # noqa: PLR0917 - where, what, under which name, with what marks and what numbers
        self,
        experiment: str,
        run_id: str,
        record: DriftReport | PerformanceReport | ShadowReport | RetrainDecision,
        path: str,
        tags: Mapping[str, str],
        numbers: Mapping[str, float | None],
    ) -> str:
        from mlflow.entities import Metric

        moment = int(record.as_of.timestamp() * 1000)
        step = moment // 86_400_000
        known = [Metric(metric_name(name), value, moment, step) for name, value in numbers.items() if value is not None]
        for target in (run_id, self._series(experiment, record.model)):
            for start in range(0, len(known), _PAGE):
                self._client.log_batch(target, metrics=known[start : start + _PAGE])
        self._artifacts.write_sealed(run_id, path, record.to_text(), SEALS[path], tags)
        self._runs.finish_run(run_id)
        return run_id

    def _history(  # noqa: PLR0917 - whose, what, where it stands, from when, how much
        self, experiment: str, model: str, kind: type[Kept], path: str, before: datetime, limit: int
    ) -> Iterator[Kept]:
        found = self._client.get_experiment_by_name(experiment)
        if found is None:
            return
        query = f"tags.`{KIND}` = 'monitoring' and tags.`{MODEL}` = {quoted(model)} and tags.`{SEALS[path]}` != ''"
        token, left = None, limit
        while left:
            page = self._client.search_runs(
                [found.experiment_id], query, order_by=[f"tags.`{ENDS}` DESC"], max_results=_PAGE, page_token=token
            )
            for run in page:
                if left and _earlier(run, before) and SEALS[path] in run.data.tags:
                    text = self._report(run, path)
                    if text is not None:
                        yield kind.from_json(text)
                        left -= 1
            token = page.token
            if not token:
                return

    def _report(self, run: Any, path: str) -> str | None:
        """Read a report of a run that a search found: what the search told of the run need not be asked for again."""
        try:
            return self._artifacts.read_sealed_of(run, path, SEALS[path])
        except RecordError:  # it may have been written anew since the search
            try:
                return self._artifacts.read_sealed(run.info.run_id, path, SEALS[path])
            except RecordError as error:
                # Said anew: a new run of the DAG, which helps elsewhere, would read this window again.
                raise _unreadable(run, path, error) from error


def _unreadable(run: Any, path: str, error: RecordError) -> RecordError:
    return conflict(
        "; ".join(problem.found for problem in error.problems),
        "reports of earlier windows as they were written",
        f"clear the task that wrote {path} in the run of monitoring as of {run.data.tags[ENDS]}, or delete MLflow run "
        f"{run.info.run_id}, whose window then counts for nothing; and find out who changed it",
    )


def _earlier(run: Any, before: datetime) -> bool:
    return datetime.fromisoformat(run.data.tags[ENDS]) < before


def _of_drift(report: DriftReport) -> dict[str, float | None]:
    return {
        "rows": float(report.rows),
        "drift.share": report.share,
        "drift.columns": float(sum(column.verdict == "drift" for column in report.columns)),
        **{f"psi.{column.column}": column.psi for column in report.columns},
    }


def _of_performance(report: PerformanceReport) -> dict[str, float | None]:
    estimate = report.estimate
    return {
        "performance.realised": report.realised.value if report.realised else None,
        "performance.lower": report.realised.lower if report.realised else None,
        "performance.upper": report.realised.upper if report.realised else None,
        "performance.promised": report.promised,
        "performance.drop": report.drop.value if report.drop else None,
        "performance.estimated": estimate.estimated.value if estimate else None,
        "performance.coverage": report.coverage,
        "performance.calibration_error": report.calibration_error,
        **{f"realised.{name}": value for name, value in report.metrics.items()},
    }


def metric_name(column: str) -> str:
    """Return a column's name in the letters that MLflow allows in a metric's name, and as long as it allows.

    MLflow takes a name for a path, and refuses one that says the same as a shorter path.

    >>> metric_name("wind speed (kt)")
    'wind speed _kt_'
    >>> metric_name("km/h"), metric_name("km//h"), metric_name("share/")
    ('km/h', 'km__h', 'share_')
    """
    name = re.sub(r"[^\w\-./: ]", "_", column, flags=re.ASCII)[:_LONGEST_NAME]
    return name if normpath(name) == name else name.replace("/", "_")
