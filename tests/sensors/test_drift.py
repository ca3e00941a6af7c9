"""What the drift sensor fires with, and when it looks again."""

from __future__ import annotations

import json
from datetime import timedelta
from os import environ
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_mlops.sensors import DriftSensor
from airflow_mlops.triggers.change import ChangeTrigger
from airflow_mlops.triggers.window import WindowTrigger
from tests.support.loop import AS_OF
from tests.support.sensor_waits import NOW, World, context, deferral, fire, resume


def test_it_waits_for_rows_and_then_for_others(world: World) -> None:
    sensor = DriftSensor(task_id="drift", spec=world.spec, deferrable=True)
    first: Any = deferral(sensor).trigger
    assert isinstance(first, WindowTrigger)
    assert (first.start, first.end) == (AS_OF.isoformat(), NOW.isoformat())
    event = fire(first, meanwhile=lambda: world.rows_come(0.0))
    second: Any = deferral(sensor, event).trigger
    # Rows without drift were compared; while they stay the same, no worker is woken for them.
    assert isinstance(second, ChangeTrigger)
    event = fire(second, meanwhile=lambda: world.rows_come(2.0))
    report = resume(DriftSensor(task_id="drift", spec=world.spec, deferrable=True), event)
    assert report["verdict"] == "drift"
    assert report["window"] == {"start": AS_OF.strftime("%FT%TZ"), "end": NOW.strftime("%FT%TZ")}


def test_rows_without_drift_are_enough_where_a_window_is_waited_for(world: World) -> None:
    world.rows_come(0.0)
    drift, window = (DriftSensor(task_id="drift", spec=world.spec, wait_for=wait) for wait in ("drift", "window"))  # type: ignore[arg-type]
    assert drift.poke(context()).is_done is False
    seen = window.poke(context())
    assert seen.is_done is True
    assert seen.xcom_value["verdict"] == "ok"  # type: ignore[index]


def test_a_source_that_has_stopped_is_not_waited_for(world: World) -> None:
    late = AS_OF + 3 * world.spec.monitoring.window
    stopped = DriftSensor(task_id="drift", spec=world.spec, wait_for="window", deferrable=True)
    with pytest.raises(AirflowFailException, match=r"none for as long before it: the newest row is of .*schedule.end"):
        stopped.execute(context(as_of=late))
    patient = DriftSensor(task_id="drift", spec=world.spec, wait_for="drift", deferrable=True)
    with pytest.raises(TaskDeferred):
        patient.execute(context(as_of=late))


@pytest.mark.parametrize(("report", "made"), [("never", False), ("on_drift", True)])
def test_it_links_to_what_it_recorded(world: World, report: str, made: bool) -> None:
    from airflow_mlops.stores.mlflow.monitoring import DRIFT_PAGE
    from airflow_mlops.stores.mlflow.store import MLflowStore

    world.rows_come()
    watched = world.spec.monitoring.model_dump(mode="json")
    watched["drift"]["report"] = report
    spec = world.spec.model_copy(update={"monitoring": watched})
    sensor = DriftSensor(task_id="drift", spec=spec, deferrable=True)
    assert sensor.execute(context())["verdict"] == "drift"
    assert sensor.version_url.endswith("/1")
    assert bool(sensor.report_url) is made
    links = {link.name: link.get_link(sensor, ti_key=None) for link in sensor.operator_extra_links}  # type: ignore[arg-type]
    assert links == {"MLflow run": sensor.run_url, "Report": sensor.report_url, "Model version": sensor.version_url}
    if made:
        assert sensor.report_url == f"{sensor.run_url}/artifacts/{DRIFT_PAGE}"
        records = MLflowStore.connect(json.loads(environ["AIRFLOW_CONN_MLFLOW_DEFAULT"])["host"])
        assert "<html" in records.artifacts.read_text(sensor.run_url.rpartition("/")[2], DRIFT_PAGE)


def test_a_window_is_recorded_once_however_often_it_is_looked_at(world: World, mlflow_uri: str) -> None:

    from airflow_mlops.stores.mlflow.store import MLflowStore

    world.rows_come()
    looks = [DriftSensor(task_id="drift", spec=world.spec).poke(context()).xcom_value for _ in range(2)]
    before = NOW + timedelta(seconds=1)
    history = MLflowStore.connect(mlflow_uri).windows.drift_history(
        world.spec.experiment, world.spec.name, before=before
    )
    assert looks == [report.to_json() for report in history] * 2


def test_earlier_windows_are_handed_to_the_comparison(world: World, monkeypatch: pytest.MonkeyPatch) -> None:

    from airflow_mlops.core.monitoring import drift

    really, seen = drift.observe, []

    def observe(*args: Any, history: Any, **known: Any) -> Any:
        seen.append([report.as_of for report in history])
        return really(*args, history=history, **known)

    monkeypatch.setattr(drift, "observe", observe)
    world.rows_come()
    early = NOW - timedelta(days=1)
    for as_of in (early, NOW):
        DriftSensor(task_id="drift", spec=world.spec).poke(context(as_of=as_of))
    assert [early in before for before in seen] == [False, True]
