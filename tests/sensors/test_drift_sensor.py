"""The sensor's three ways to wait, each with a real champion, real files, and the way back from the triggerer."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
    TaskDeferred,
)

from airflow_mlops.sensors import DriftSensor
from airflow_mlops.spec import ModelSpec
from airflow_mlops.triggers.drift import WindowTrigger
from tests.loop_harness import AS_OF, context_of, rows, run_loop, specification

NOW = AS_OF + timedelta(days=7)
"""As-of time of the monitoring runs: their window is the week after the champion's."""
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mlflow_uri: str) -> Iterator[Path]:
    """Where all tests of this module store and record; the champion is trained here once."""
    folder = tmp_path_factory.mktemp("drift-sensor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__MLOPS__STORAGE", str(folder / "storage"))
        patch.setenv("AIRFLOW__MLOPS__DATA_ROOT", str(folder))
        patch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": mlflow_uri}))
        yield folder


@pytest.fixture(scope="module")
def trained(home: Path) -> ModelSpec:
    rows().to_parquet(home / "orders.parquet")
    values = specification("orders.parquet", monitoring={"window": "7d", "drift": {"min_rows": 100}})
    spec = ModelSpec.model_validate({**values, "name": "drift_sensor"})
    assert run_loop(spec).reports["promote"]["promoted"] is True
    return spec


@pytest.fixture
def spec(trained: ModelSpec, tmp_path: Path) -> ModelSpec:
    """The champion's specification, looking at a folder of this test that has nothing in the window yet."""
    (tmp_path / "orders").mkdir()
    rows().to_parquet(tmp_path / "orders" / "before.parquet")
    data = {**trained.data.model_dump(mode="json"), "source": {"path": str(tmp_path / "orders")}}
    return trained.model_copy(update={"data": data})


def arrive(spec: ModelSpec, change: float = 2.0) -> None:
    """Let the week after the champion's as-of time arrive, with `load` and `distance` moved by `change`."""
    later = rows(700, seed=2, days=8)
    later["ordered_at"] += timedelta(days=7)
    later["order_id"] = "n" + later["order_id"]
    later["load"] += change
    later["distance"] *= 1 + change
    later.to_parquet(Path(spec.data.source.path) / "after.parquet")  # type: ignore[union-attr]


def context(first_reschedule: datetime | None = None) -> dict[str, Any]:
    made = context_of("monitor-1", NOW, dag_id="drift_sensor.monitor")
    made["ti"].get_first_reschedule_date = lambda _: first_reschedule
    return made


def deferral(sensor: DriftSensor, resume: dict[str, Any] | None = None) -> TaskDeferred:
    """Run the task until it defers, as the task runner does: `execute`, or the method that the event comes back to."""
    with pytest.raises(TaskDeferred) as caught:
        if resume is None:
            sensor.execute(context())
        else:
            sensor.resume_execution("execute_complete", {"event": resume}, context())
    return caught.value


def fire(trigger: WindowTrigger) -> dict[str, Any]:
    """Run a trigger as the triggerer does: built anew from what it serialised."""
    path, arguments = json.loads(json.dumps(trigger.serialize()))
    assert path == "airflow_mlops.triggers.drift.WindowTrigger"

    async def first() -> Any:
        async for event in WindowTrigger(**{**arguments, "delay": 0.0, "interval": 0.01}).run():
            return event.payload
        return None

    payload: dict[str, Any] = asyncio.run(asyncio.wait_for(first(), 60))
    return payload


# -- poke -------------------------------------------------------------------------------------------------------------


def test_poke_holds_on_until_rows_arrive(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = DriftSensor(task_id="drift", spec=spec, poke_interval=7, timeout=600)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            arrive(spec)

    monkeypatch.setattr(time, "sleep", nap)
    report = sensor.execute(context())
    assert naps[:2] == [7, 7]
    assert report["verdict"] == "drift"
    assert report["window"] == {"start": AS_OF.strftime("%FT%TZ"), "end": NOW.strftime("%FT%TZ")}
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize(("soft", "end"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)])
def test_poke_ends_at_its_timeout(spec: ModelSpec, soft: bool, end: type[Exception]) -> None:
    sensor = DriftSensor(task_id="drift", spec=spec, poke_interval=0, timeout=0, soft_fail=soft)
    with pytest.raises(end, match="timed out"):
        sensor.execute(context())


def test_poke_waits_on_when_rows_show_no_drift(spec: ModelSpec) -> None:
    arrive(spec, change=0.0)
    drift, window = (DriftSensor(task_id="drift", spec=spec, wait_for=wait) for wait in ("drift", "window"))  # type: ignore[arg-type]
    assert drift.poke(context()).is_done is False
    seen = window.poke(context())
    assert seen.is_done is True
    assert seen.xcom_value["verdict"] == "ok"  # type: ignore[index]


# -- reschedule -------------------------------------------------------------------------------------------------------


def test_reschedule_frees_the_worker_until_rows_arrive(spec: ModelSpec) -> None:
    sensor = DriftSensor(task_id="drift", spec=spec, mode="reschedule", poke_interval=600, timeout=3600)
    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor.execute(context())
    assert caught.value.reschedule_date >= before + timedelta(seconds=600)
    arrive(spec)
    assert sensor.execute(context(first_reschedule=before))["verdict"] == "drift"


def test_reschedule_counts_its_timeout_from_the_first_look(spec: ModelSpec) -> None:
    sensor = DriftSensor(task_id="drift", spec=spec, mode="reschedule", poke_interval=600, timeout=3600)
    with pytest.raises(AirflowRescheduleException):
        sensor.execute(context(first_reschedule=datetime.now(UTC) - timedelta(seconds=60)))
    with pytest.raises(AirflowSensorTimeout):
        sensor.execute(context(first_reschedule=datetime.now(UTC) - timedelta(hours=2)))


# -- deferrable -------------------------------------------------------------------------------------------------------


def test_with_rows_there_is_nothing_to_defer(spec: ModelSpec) -> None:
    arrive(spec)
    sensor = DriftSensor(task_id="drift", spec=spec, deferrable=True)
    assert sensor.execute(context())["verdict"] == "drift"
    assert sensor.run_url
    assert sensor.version_url.endswith("/1")


def test_deferred_it_comes_back_when_rows_arrive(spec: ModelSpec) -> None:
    sensor = DriftSensor(task_id="drift", spec=spec, deferrable=True, poke_interval=600, timeout=3600)
    before = datetime.now(UTC)
    left = deferral(sensor)
    after = datetime.now(UTC)
    assert isinstance(left.trigger, WindowTrigger)
    assert left.method_name == "execute_complete"
    # The window and the deadline travel in the trigger: `dag.test` and older triggerers drop arguments of the method.
    assert not left.kwargs
    deadline = datetime.fromisoformat(left.trigger.deadline)
    assert before + 3600 * SECOND <= deadline <= after + 3600 * SECOND
    assert left.timeout is not None
    assert deadline - after <= left.timeout <= 3600 * SECOND
    assert (left.trigger.start, left.trigger.end) == (AS_OF.isoformat(), NOW.isoformat())
    assert left.trigger.interval == left.trigger.delay == 600
    arrive(spec)
    event = fire(left.trigger)
    assert event == {"deadline": left.trigger.deadline}
    report = sensor.resume_execution("execute_complete", {"event": event}, context())
    assert report["verdict"] == "drift"


def test_the_deadline_stays_where_it_was_over_all_deferrals(spec: ModelSpec) -> None:
    sensor = DriftSensor(task_id="drift", spec=spec, deferrable=True, timeout=3600)
    first = deferral(sensor)
    arrive(spec, change=0.0)  # rows, but no drift: it goes on waiting
    second = deferral(sensor, resume=fire(first.trigger))
    third = deferral(sensor, resume=fire(second.trigger))
    assert first.trigger.deadline == second.trigger.deadline == third.trigger.deadline
    assert first.timeout > second.timeout > third.timeout > timedelta(0)
    assert first.trigger.serialize() == third.trigger.serialize()


@pytest.mark.parametrize(("soft", "end"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)])
def test_after_the_deadline_it_does_not_defer_again(spec: ModelSpec, soft: bool, end: type[Exception]) -> None:
    sensor = DriftSensor(task_id="drift", spec=spec, deferrable=True, timeout=3600, soft_fail=soft)
    over = {"deadline": (datetime.now(UTC) - SECOND).isoformat()}
    with pytest.raises(end):
        sensor.resume_execution("execute_complete", {"event": over}, context())
    arrive(spec)  # what has arrived by the last look still counts
    assert sensor.resume_execution("execute_complete", {"event": over}, context())["verdict"] == "drift"


@pytest.mark.parametrize(("soft", "end"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)])
def test_no_time_to_wait_at_all(spec: ModelSpec, soft: bool, end: type[Exception]) -> None:
    sensor = DriftSensor(task_id="drift", spec=spec, deferrable=True, timeout=0, soft_fail=soft)
    with pytest.raises(end):
        sensor.execute(context())


@pytest.mark.parametrize(
    ("reason", "soft", "end"),
    [
        (TriggerFailureReason.TRIGGER_TIMEOUT, False, AirflowSensorTimeout),
        (TriggerFailureReason.TRIGGER_TIMEOUT, True, AirflowSkipException),
        (TriggerFailureReason.TRIGGER_FAILURE, False, TaskDeferralError),
        (TriggerFailureReason.TRIGGER_FAILURE, True, AirflowSkipException),
    ],
)
def test_what_the_triggerer_ends_is_ended(
    spec: ModelSpec, reason: TriggerFailureReason, soft: bool, end: type[Exception]
) -> None:
    sensor = DriftSensor(task_id="drift", spec=spec, deferrable=True, soft_fail=soft)
    with pytest.raises(end):
        sensor.resume_execution("__fail__", {"error": reason}, context())


# -- all --------------------------------------------------------------------------------------------------------------

WAYS = [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(("soft", "end"), [(False, AirflowFailException), (True, AirflowSkipException)])
def test_without_a_champion_there_is_nothing_to_compare_with(
    spec: ModelSpec, way: dict[str, Any], soft: bool, end: type[Exception]
) -> None:
    arrive(spec)
    orphan = spec.model_copy(update={"name": "never_trained"})
    sensor = DriftSensor(task_id="drift", spec=orphan, soft_fail=soft, **way)
    with pytest.raises(end) as caught:
        sensor.execute(context())
    told = caught.value if not soft else caught.value.__cause__
    assert "no_champion" in str(told)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_source_that_does_not_exist_fails_at_once(spec: ModelSpec, way: dict[str, Any]) -> None:
    data = {**spec.data.model_dump(mode="json"), "source": {"path": "nowhere/"}}
    sensor = DriftSensor(task_id="drift", spec=spec.model_copy(update={"data": data}), **way)
    with pytest.raises(AirflowFailException, match="source_missing"):
        sensor.execute(context())


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("params", [{"overrides": {"monitoring.windw": "1d"}}, {"as_of": "yesterday"}], ids=str)
def test_a_wrong_trigger_form_fails_at_once(spec: ModelSpec, way: dict[str, Any], params: dict[str, Any]) -> None:
    made = {**context(), "params": params}
    with pytest.raises(AirflowFailException, match="spec_"):
        DriftSensor(task_id="drift", spec=spec, **way).execute(made)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_store_that_is_away_is_retried(spec: ModelSpec, way: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    arrive(spec)
    away = {"conn_type": "mlflow", "host": "http://127.0.0.1:9", "extra": {"max_retries": 0, "timeout": 2}}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(away))
    sensor = DriftSensor(task_id="drift", spec=spec, **way)
    with pytest.raises(ConnectionError) as caught:
        sensor.execute(context())
    assert not isinstance(caught.value, AirflowFailException)


def test_a_window_is_recorded_once_however_often_it_is_looked_at(spec: ModelSpec, mlflow_uri: str) -> None:
    from airflow_mlops.stores.mlflow_store import MLflowStore

    arrive(spec)
    looks = [DriftSensor(task_id="drift", spec=spec).poke(context()).xcom_value for _ in range(2)]
    history = MLflowStore.connect(mlflow_uri).drift_history(spec.experiment, spec.name)
    assert looks == [report.to_json() for report in history] * 2
