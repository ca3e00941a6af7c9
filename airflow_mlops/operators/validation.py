"""Check data before anything is made from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.links import MLflowRunLink, ReportLink
from airflow_mlops.operators._base import LoopOperator, leaving_served
from airflow_mlops.spec.validation import Expectation

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.records.snapshot import Snapshot
    from airflow_mlops.core.records.validation import ValidationReport
    from airflow_mlops.spec import ModelSpec


class DataValidationOperator(LoopOperator):
    """Check a snapshot, a file, a table or a frame against expectations, keep a page about it, and fail if it is bad.

    Returns the :class:`~airflow_mlops.core.records.validation.ValidationReport` as JSON: counts and column names, never
    a value of the data. The page is written before the task fails, and the task links to it.

    In a model's loop give `spec` and `snapshot`. Alone, also in a DAG without a model, give `source` or `frame`, and
    `expectations`.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file: its expectations and those it implies are checked.
    snapshot
        What SnapshotOperator returned.
    source
        What to read: a path or object-store URI, a mapping as under `data.source` of a specification, or a
        FileSource or SqlSource.
    frame
        A function without arguments that returns a DataFrame, or its import path (``package.module.function``).
    expectations
        More expectations: :class:`~airflow_mlops.spec.validation.Expectation` or mappings, as under `validation` of
        a specification.
    time
        Event-time column of `source` or `frame`; freshness and future times are judged by it.
    window
        Start and end (ISO 8601) of the event times to read from `source`; needs `time`. The whole source when left out.
    at
        Time (ISO 8601) that freshness is measured against; the run's as-of time when left out.
    report_path
        Where the page goes below the storage; named after the run when left out.
    fail_on
        The least severity that fails the task; ``never`` only reports.

    Examples
    --------
    >>> DataValidationOperator(task_id="check", source="orders.parquet",
    ...                        expectations=[{"expect": "not_null", "column": "id"}]).task_id
    'check'
    """

    template_fields = ("snapshot", "source", "window", "at", "report_path")
    operator_extra_links = (
        MLflowRunLink(),
        ReportLink(),
    )

    def __init__(
        self,
        *,
        spec: Any = None,
        snapshot: Any = None,
        source: Any = None,
        frame: Callable[[], pd.DataFrame] | str | None = None,
        expectations: Sequence[Expectation | Mapping[str, Any]] = (),
        time: str | None = None,
        window: Sequence[str] | None = None,
        at: str | datetime | None = None,
        report_path: str | None = None,
        fail_on: Literal["error", "warning", "never"] = "error",
        **kwargs: Any,
    ) -> None:
        super().__init__(spec=spec, **kwargs)
        self.snapshot = snapshot
        self.source = source
        self.frame = frame
        self.expectations = expectations
        self.time = time
        self.window = window
        self.at = at
        self.report_path = report_path
        self.fail_on = fail_on

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Read, check, write the page, then draw the consequence."""
        self._check_arguments()
        spec = None if self.spec is None else self.model_spec(context)
        if spec is not None and self.snapshot is not None:
            report = self._in_the_loop(context, spec)
        else:
            report = self._alone(context, spec)
        return report.to_json()

    def _check_arguments(self) -> None:
        given = [name for name in ("snapshot", "source", "frame") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of snapshot=, source= and frame=, not {' and '.join(given) or 'none'}")
        if self.fail_on not in {"error", "warning", "never"}:
            raise ValueError(f"fail_on must be 'error', 'warning' or 'never', not {self.fail_on!r}")
        if self.window is not None and not (self.time and self.source is not None and len(self.window) == 2):  # noqa: PLR2004
            raise ValueError("window=(start, end) needs source= and time=")

    def _given(self) -> tuple[Expectation, ...]:
        return tuple(Expectation.model_validate(each) for each in self.expectations)

    # -- in the loop --------------------------------------------------------------------------------------------

    def _in_the_loop(self, context: Any, spec: ModelSpec) -> ValidationReport:
        """Check a snapshot; the page and the report also belong to the loop run's MLflow run."""
        from airflow_mlops.core.records.attempt import inputs_of
        from airflow_mlops.core.records.snapshot import Snapshot
        from airflow_mlops.core.snapshot import read_snapshot
        from airflow_mlops.core.validation import validate_snapshot
        from airflow_mlops.provenance import provenance

        snapshot = Snapshot.from_json(self.snapshot)
        report = validate_snapshot(spec, snapshot, read_snapshot(snapshot, self.storage()), self._given())
        report, html = self._written(report, context, _meta(snapshot), snapshot.known_issues)
        with self.records(spec) as records:
            inputs, tags = inputs_of(snapshot.fingerprint, spec.fingerprint), provenance(context)
            with leaving_served(context):
                run_id = records.attempts.open_attempt(spec, self.loop_run(context), inputs=inputs, tags=tags)
            records.artifacts.write_text(run_id, "validation/report.html", html)
            records.artifacts.write_record(run_id, "validation/report", report)
            self.run_url = records.run_url(run_id)
            self.report_url = records.artifact_url(run_id, "validation/report.html")
            with records.runs.failing(run_id):
                self._enforce(report)
        return report

    # -- alone --------------------------------------------------------------------------------------------------

    def _alone(self, context: Any, spec: ModelSpec | None) -> ValidationReport:
        """Check any rows, in any DAG; nothing but the storage is written to."""
        from airflow_mlops.core.validation import WantedColumn, expectations_for, validate, wanted_columns

        as_of = self._instant(context)
        frame, subject, columns = self._rows()
        wanted = wanted_columns(spec) if spec else (WantedColumn(name=self.time, role="time"),) if self.time else ()
        report = validate(
            frame,
            (*(expectations_for(spec) if spec else ()), *self._given()),
            subject=spec.name if spec else subject,
            source_columns=columns,
            wanted_columns=wanted,
            as_of=as_of,
        )
        window = " .. ".join(map(str, self.window)) if self.window else ""
        report, _ = self._written(
            report, context, {"Source": subject, "Window": window, "As of": as_of.isoformat()}, ()
        )
        self.report_url = report.report_uri
        self._enforce(report)
        return report

    def _instant(self, context: Mapping[str, Any]) -> datetime:
        from airflow_mlops.asof import parse_as_of

        if self.at:
            return parse_as_of(self.at)
        return self.as_of(context) if context.get("dag_run") else datetime.now(UTC)

    def _rows(self) -> tuple[pd.DataFrame, str, Sequence[Any]]:
        """Return the rows, the source in words, and every column of the source."""
        from airflow_mlops.operators import _rows as _frames

        if self.snapshot is not None:
            return _frames.from_snapshot(self.snapshot, self.storage())
        if self.frame is not None:
            return _frames.from_function(self.frame)
        return _frames.from_source(self.source, self.time, self.window)

    # -- both ---------------------------------------------------------------------------------------------------

    def _written(
        self, report: ValidationReport, context: Mapping[str, Any], meta: Mapping[str, str], issues: Sequence[Any]
    ) -> tuple[ValidationReport, str]:
        """Keep the page, and say so in the report."""
        from dataclasses import replace

        from airflow_mlops.reports.validation import render

        ti = context.get("ti")
        run = f"{ti.dag_id}, run {ti.run_id}" if ti else self.task_id
        html = render(report, title=f"Validation of {report.subject}", meta={**meta, "Made by": run}, issues=issues)
        uri = self.storage().write_text(self.report_path or _path(ti, self.task_id), html)
        self.log.info("report: %s", uri)
        return replace(report, report_uri=uri), html

    def _enforce(self, report: ValidationReport) -> None:
        from airflow_mlops.core.validation import enforce

        for check in report.checks:
            if not check.passed and (check.severity == "warning" or self.fail_on == "never"):
                self.log.warning("%s: %s", check.severity, check.problem)
        if self.fail_on != "never":
            enforce(report, fail_on=self.fail_on)


def _path(ti: Any, task_id: str) -> str:
    """Name the page after the task try's run, so that runs do not overwrite each other and retries do."""
    parts = ["reports", "validation", *((ti.dag_id, ti.run_id) if ti else ()), task_id]
    mapped = getattr(ti, "map_index", -1)
    name = "/".join(re.sub(r"[^\w.=+-]", "_", str(part)) for part in parts)
    return f"{name}{f'.{mapped}' if isinstance(mapped, int) and mapped >= 0 else ''}.html"


def _meta(snapshot: Snapshot) -> dict[str, str]:
    return {
        "Window": str(snapshot.window),
        "As of": snapshot.as_of.isoformat(),
        "Source": snapshot.source,
        "Query": snapshot.query,
        "Fingerprint": snapshot.fingerprint,
        "Snapshot": snapshot.uri,
    }
