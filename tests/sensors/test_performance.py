"""The performance sensor waits for predictions, then for outcomes, then perhaps for decay."""

from __future__ import annotations

from typing import Any

from airflow_mlops.sensors import PerformanceSensor
from airflow_mlops.triggers.change import ChangeTrigger
from tests.support.loop import AS_OF
from tests.support.sensor_waits import NOW, World, context, deferral, fire, resume, week


def rows(world: World, labels: float, *, wrong: bool = False) -> None:
    """Put the week's rows there, with outcomes of a share of them."""
    frame = week(0.0)
    frame["late"] = (1 - frame["late"] if wrong else frame["late"]).astype("Int64")
    frame.loc[frame.index[int(labels * len(frame)) :], "late"] = None
    frame.to_parquet(world.home / "half.parquet")
    (world.home / "half.parquet").replace(world.orders / "after.parquet")


def test_it_fires_when_enough_outcomes_have_come(world: World) -> None:
    sensor = PerformanceSensor(task_id="performance", spec=world.spec, deferrable=True)
    trigger: Any = deferral(sensor).trigger  # nothing is scored yet
    assert isinstance(trigger, ChangeTrigger)
    assert (trigger.start, trigger.end) == (AS_OF.isoformat(), NOW.isoformat())
    rows(world, 0.2)
    trigger = deferral(sensor, fire(trigger)).trigger  # nor now: rows without predictions
    event = fire(trigger, meanwhile=world.scores_come)  # no row has come, but predictions have
    trigger = deferral(sensor, event).trigger
    event = fire(trigger, meanwhile=lambda: rows(world, 0.6))
    report = resume(PerformanceSensor(task_id="performance", spec=world.spec, deferrable=True), event)
    assert (report["predicted"], report["matched"]) == (700, 420)
    assert report["coverage"] == 0.6


def test_it_may_wait_for_decay(world: World) -> None:
    world.scores_come()
    rows(world, 1.0)
    decay, outcomes = (
        PerformanceSensor(task_id="performance", spec=world.spec, wait_for=wait)  # type: ignore[arg-type]
        for wait in ("decay", "outcomes")
    )
    assert decay.poke(context()).is_done is False
    seen: Any = outcomes.poke(context())
    assert seen.is_done
    assert seen.xcom_value["verdict"] in {"ok", "unknown"}
    rows(world, 1.0, wrong=True)  # what the champion says is wrong as often as it was right
    seen = decay.poke(context())
    assert seen.is_done
    assert seen.xcom_value["verdict"] == "decay"
    assert decay.run_url
    assert decay.version_url.endswith("/1")


def test_its_reports_are_recorded(world: World, mlflow_uri: str) -> None:
    from datetime import timedelta

    from airflow_mlops.stores.mlflow.store import MLflowStore

    world.scores_come()
    rows(world, 1.0)
    looks = [PerformanceSensor(task_id="p", spec=world.spec).poke(context()).xcom_value for _ in range(2)]
    history = MLflowStore.connect(mlflow_uri).windows.performance_history(
        world.spec.experiment, world.spec.name, before=NOW + timedelta(seconds=1)
    )
    assert looks == [report.to_json() for report in history] * 2
