"""One run for each window, one series for the charts, and a history that comes back in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mlflow import MlflowClient

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.drift import ColumnDrift, DriftReport
from airflow_mlops.core.records.performance import Estimate, Measured, PerformanceReport
from airflow_mlops.core.records.retraining import RetrainDecision
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.mlflow.monitoring import metric_name
from airflow_mlops.stores.mlflow.store import MLflowStore

FIRST = datetime(2026, 3, 8, tzinfo=UTC)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def as_of(day: int) -> datetime:
    return FIRST + timedelta(days=day)


def drift_of(day: int, verdict: str = "drift", **changes: Any) -> DriftReport:
    window = Window(start=as_of(day - 7), end=as_of(day))
    columns = (
        ColumnDrift(column="wind (kt)", verdict="drift", psi=0.4, p_value=0.01, reason="moved"),
        ColumnDrift(column="city", verdict="unknown", psi=None, p_value=None, reason="few rows"),
    )
    report = DriftReport(
        model="toy",
        champion_version=1,
        window=window,
        reference=window,
        rows=100,
        verdict=verdict,  # type: ignore[arg-type]
        columns=columns,
        reasons=(),
        as_of=as_of(day),
        share=0.5,
    )
    return replace(report, **changes)


def performance_of(day: int) -> PerformanceReport:
    window = Window(start=as_of(day - 14), end=as_of(day))
    realised = Measured(value=0.81, lower=0.79, upper=0.83, rows=900)
    estimate = Estimate(
        method="cbpe",
        window=window,
        estimated=Measured(value=0.8, rows=100),
        drop=0.1,
        verdict="unknown",
        assumptions=("no concept drift",),
    )
    return PerformanceReport(
        model="toy",
        champion_version=1,
        as_of=as_of(day),
        window=window,
        metric="accuracy",
        predicted=1000,
        matched=900,
        coverage=0.9,
        immature=10,
        promised=0.94,
        realised=realised,
        drop=Measured(value=0.13, lower=0.1, upper=0.16, rows=900),
        verdict="decay",
        urgent=True,
        metrics={"accuracy": 0.81, "log_loss": 0.5},
        estimate=estimate,
        reasons=("worse",),
    )


def decision_of(day: int) -> RetrainDecision:
    return RetrainDecision(
        model="toy",
        action="retrain",
        as_of=as_of(day),
        reasons=("decay",),
        evidence={},
        key=f"toy/{day}",
        rule="urgent",
    )


def test_what_is_seen_as_of_one_instant_stands_in_one_run(store: MLflowStore, mlflow_uri: str, name: str) -> None:
    runs = {
        store.windows.record_drift(name, drift_of(0, "ok"), page="<html>sample</html>"),
        store.windows.record_drift(name, drift_of(0)),
        store.windows.record_performance(name, performance_of(0)),
        store.windows.record_retraining(name, decision_of(0)),
    }
    assert len(runs) == 1
    (run_id,) = runs
    run = MlflowClient(mlflow_uri).get_run(run_id)
    assert run.info.status == "FINISHED"
    wanted = {"mlops.verdict": "drift", "mlops.decay": "urgent", "mlops.retraining": "retrain"}
    assert wanted.items() <= run.data.tags.items()
    assert run.data.metrics["psi.wind _kt_"] == 0.4
    assert run.data.metrics["performance.realised"] == 0.81
    assert run.data.metrics["performance.estimated"] == 0.8
    assert run.data.metrics["retraining.retrain"] == 1.0
    assert "psi.city" not in run.data.metrics
    assert store.artifacts.read_text(run_id, "monitoring/drift.html") == "<html>sample</html>"
    assert RetrainDecision.from_json(store.artifacts.read_text(run_id, "monitoring/retraining.json")) == decision_of(0)


def test_history_is_newest_first_and_only_what_came_before(store: MLflowStore, name: str) -> None:
    assert store.windows.drift_history(name, "toy", before=as_of(9)) == ()
    for day in (0, 2, 1):
        store.windows.record_drift(name, drift_of(day))
    store.windows.record_performance(name, performance_of(1))
    assert store.windows.drift_history(name, "toy", before=as_of(2)) == (drift_of(1), drift_of(0))
    assert store.windows.drift_history(name, "toy", before=as_of(9), limit=1) == (drift_of(2),)
    assert store.windows.drift_history(name, "other", before=as_of(9)) == ()
    assert store.windows.performance_history(name, "toy", before=as_of(9)) == (performance_of(1),)


def test_history_does_not_depend_on_the_zone_that_as_of_is_written_in(store: MLflowStore, name: str) -> None:
    from zoneinfo import ZoneInfo

    tokyo = as_of(1).astimezone(ZoneInfo("Asia/Tokyo"))
    store.windows.record_drift(name, drift_of(0))
    store.windows.record_drift(name, drift_of(1, as_of=tokyo))
    assert [one.as_of for one in store.windows.drift_history(name, "toy", before=as_of(2))] == [as_of(1), as_of(0)]


def test_the_series_holds_every_window_for_the_charts(store: MLflowStore, mlflow_uri: str, name: str) -> None:
    client = MlflowClient(mlflow_uri)
    run_id = store.windows.record_drift(name, drift_of(0))
    for day in (1, 2):
        store.windows.record_drift(name, drift_of(day))
    series = client.get_run(run_id).data.tags["mlflow.parentRunId"]
    line = client.get_metric_history(series, "drift.share")
    assert [(point.timestamp, point.value) for point in line] == [
        (int(as_of(day).timestamp() * 1000), 0.5) for day in (0, 1, 2)
    ]
    assert [point.step for point in line] == sorted({point.step for point in line})


def test_a_report_that_was_edited_is_refused(store: MLflowStore, name: str) -> None:
    run_id = store.windows.record_drift(name, drift_of(0))
    store.artifacts.write_text(run_id, "monitoring/drift.json", drift_of(0, "ok").to_text())
    with pytest.raises(RecordError, match="is not what the run's tag") as caught:
        store.windows.drift_history(name, "toy", before=as_of(1))
    # What can be done about it, and helps: another run of the DAG would read the same window again.
    assert f"delete MLflow run {run_id}" in str(caught.value)
    assert as_of(0).isoformat() in str(caught.value)
    assert "trigger a new run" not in str(caught.value)
    MlflowClient(store._client.address.uri).delete_run(run_id)
    assert store.windows.drift_history(name, "toy", before=as_of(1)) == ()


def test_history_asks_for_no_run_that_the_search_told_of(
    store: MLflowStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(3):
        store.windows.record_drift(name, drift_of(day))
    monkeypatch.setattr(MlflowClient, "get_run", None)
    assert store.windows.drift_history(name, "toy", before=as_of(3)) == (drift_of(2), drift_of(1), drift_of(0))


def test_a_report_that_is_written_anew_while_history_is_read_is_no_edited_one(
    store: MLflowStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.windows.record_drift(name, drift_of(0, "ok"))
    search = MlflowClient.search_runs

    def searched(self: MlflowClient, *given: Any, **more: Any) -> Any:
        found = search(self, *given, **more)
        monkeypatch.setattr(MlflowClient, "search_runs", search)
        store.windows.record_drift(name, drift_of(0))
        return found

    monkeypatch.setattr(MlflowClient, "search_runs", searched)
    assert store.windows.drift_history(name, "toy", before=as_of(1)) == (drift_of(0),)


def test_a_report_of_the_first_format_is_read(store: MLflowStore) -> None:
    del store
    body = drift_of(0).to_json()
    for later in ("against", "prediction", "label", "share", "changes", "hints", "others"):
        body.pop(later)
    body["columns"] = [
        {key: column[key] for key in ("column", "verdict", "psi", "p_value", "reason")} for column in body["columns"]
    ]
    read = DriftReport.from_json({**body, "format": 1})
    assert (read.against, read.share, read.columns[0].part) == ("training", None, "feature")


def test_names_of_metrics_are_ones_that_mlflow_takes() -> None:
    assert metric_name("wind speed (kt)") == "wind speed _kt_"


@pytest.mark.parametrize("column", ["km//h", "share/", "a/./b", "a/../b", "../../../b", "x" * 400, "é\n'\"", ""])
def test_no_name_of_a_column_keeps_a_window_from_being_recorded(column: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(metric_name(f"psi.{column}"))
