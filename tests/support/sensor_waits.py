"""The three sensors as cases: what each waits for, and how that arrives; the way to the triggerer and back."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_mlops.core.scoring.score import predictions_folder
from airflow_mlops.sensors import DriftSensor, NewDataSensor, PerformanceSensor
from airflow_mlops.sensors._base import WaitingSensor
from airflow_mlops.spec import ModelSpec
from airflow_mlops.triggers.base import WaitingTrigger
from tests.support.loop import AS_OF, context_of, rows

NOW = AS_OF + timedelta(days=7)
"""As-of time of the monitoring runs: their window is the week after the champion's."""


def week(change: float) -> Any:
    """The orders of the week after the champion's as-of time, with `load` and `distance` moved by `change`."""
    later = rows(700, seed=2, days=8)
    later["ordered_at"] += timedelta(days=7)
    later["order_id"] = "n" + later["order_id"]
    later["load"] += change
    later["distance"] *= 1 + change
    return later


@dataclass(frozen=True)
class World:
    """A champion's specification, over a folder of one test that has nothing of the week in it yet."""

    spec: ModelSpec
    home: Path

    @property
    def orders(self) -> Path:
        return Path(self.spec.data.source.path)  # type: ignore[union-attr]

    @property
    def scored(self) -> Path:
        return self.home / "storage" / predictions_folder(self.spec)

    def rows_come(self, change: float = 2.0, *, name: str = "after") -> None:
        week(change).to_parquet(self.home / f"{name}.half")
        (self.home / f"{name}.half").replace(self.orders / f"{name}.parquet")

    def scores_come(self) -> None:
        shutil.copytree(self.home / "scored", self.scored)


@dataclass(frozen=True)
class Case:
    """A sensor, and how what it waits for arrives."""

    sensor: Callable[..., WaitingSensor]
    arrive: Callable[[World], None]
    fired: Callable[[dict[str, Any]], bool]
    """Whether a report is the one to fire with."""

    def make(self, world: World | ModelSpec, **given: Any) -> WaitingSensor:
        spec = world.spec if isinstance(world, World) else world
        return self.sensor(task_id="wait", spec=spec, **given)


def _outcomes(world: World) -> None:
    world.rows_come(0.0)
    world.scores_come()


CASES = {
    "drift": Case(DriftSensor, World.rows_come, lambda report: report["verdict"] == "drift"),
    "performance": Case(PerformanceSensor, _outcomes, lambda report: report["coverage"] == 1.0),
    "new_data": Case(NewDataSensor, World.rows_come, lambda report: report["rows"] == 700),
}
WAYS: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}


def context(first_reschedule: datetime | None = None, as_of: datetime = NOW) -> dict[str, Any]:
    made = context_of("monitor-1", as_of, dag_id="waits.monitor")
    made["ti"].get_first_reschedule_date = lambda _: first_reschedule
    return made


def deferral(sensor: WaitingSensor, event: dict[str, Any] | None = None) -> TaskDeferred:
    """Run the task until it defers, as the task runner does: `execute`, or the method that the event comes back to."""
    with pytest.raises(TaskDeferred) as caught:
        if event is None:
            sensor.execute(context())
        else:
            resume(sensor, event)
    assert caught.value.method_name == "execute_complete"
    # What is needed travels in the trigger: `dag.test` and older triggerers drop arguments of the method.
    assert not caught.value.kwargs
    return caught.value


def resume(sensor: WaitingSensor, event: dict[str, Any]) -> Any:
    return sensor.resume_execution("execute_complete", {"event": event}, context())


def rebuilt(trigger: WaitingTrigger, **changes: Any) -> WaitingTrigger:
    """A trigger as the triggerer makes it: anew, from what it serialised."""
    path, arguments = json.loads(json.dumps(trigger.serialize()))
    module, _, name = path.rpartition(".")
    made: WaitingTrigger = getattr(import_module(module), name)(**{**arguments, **changes})
    return made


def fire(trigger: WaitingTrigger, meanwhile: Callable[[], None] | None = None, **changes: Any) -> dict[str, Any]:
    """Run a trigger to its event, quickly; something may happen once it waits."""
    waiting = rebuilt(trigger, **{"after": "", "interval": 0.01, **changes})

    async def first() -> Any:
        async for event in waiting.run():
            return event.payload
        return None

    async def scene() -> Any:
        run = asyncio.create_task(first())
        if meanwhile is not None:
            await asyncio.sleep(0.1)
            assert not run.done()
            meanwhile()
        return await asyncio.wait_for(run, 60)

    payload: dict[str, Any] = asyncio.run(scene())
    return payload
