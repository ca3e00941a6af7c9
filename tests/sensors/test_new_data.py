"""The data sensor: volume, freshness, and both."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_mlops.sensors import NewDataSensor
from airflow_mlops.triggers.window import WindowTrigger
from tests.support.loop import AS_OF
from tests.support.sensor_waits import NOW, World, context, deferral, fire, resume, week

NEWEST: datetime = week(0.0)["ordered_at"].max().to_pydatetime()


def done(world: World, **given: Any) -> bool:
    return bool(NewDataSensor(task_id="rows", spec=world.spec, **given).poke(context()).is_done)


@pytest.mark.parametrize(
    ("given", "fires"),
    [
        ({"min_rows": 700}, True),
        ({"min_rows": 701}, False),
        ({"min_rows": 701, "window": timedelta(days=60)}, True),
        ({"max_age": NOW - NEWEST}, True),
        ({"max_age": NOW - NEWEST - timedelta(microseconds=1)}, False),
        ({"up_to": NEWEST}, True),
        ({"up_to": NEWEST.isoformat()}, True),
        ({"up_to": NEWEST + timedelta(microseconds=1)}, False),
        ({"min_rows": 701, "up_to": NEWEST}, False),
        ({"min_rows": 700, "up_to": NOW}, False),
        ({"min_rows": 700, "up_to": NEWEST, "max_age": timedelta(days=2)}, True),
    ],
    ids=str,
)
def test_volume_and_freshness(world: World, given: dict[str, Any], fires: bool) -> None:
    world.rows_come()
    assert done(world, **given) is fires


def test_its_report_says_what_is_there(world: World) -> None:
    world.rows_come()
    report = NewDataSensor(task_id="rows", spec=world.spec).execute(context())
    assert report == {
        "model": "waits",
        "as_of": NOW.isoformat(),
        "window": {"start": AS_OF.isoformat(), "end": NOW.isoformat()},
        "rows": 700,
        "newest": NEWEST.isoformat(),
    }


def test_it_waits_for_one_thing_after_the_other(world: World) -> None:
    world.rows_come()
    until = NOW + timedelta(days=3)
    sensor = NewDataSensor(task_id="rows", spec=world.spec, min_rows=800, up_to=until, deferrable=True)
    volume: Any = deferral(sensor).trigger
    assert isinstance(volume, WindowTrigger)
    assert (volume.min_rows, volume.end) == (800, NOW.isoformat())
    event = fire(volume, meanwhile=lambda: world.rows_come(0.5, name="more"))
    fresh: Any = deferral(sensor, event).trigger
    assert (fresh.min_rows, fresh.start) == (1, until.isoformat())
    assert fresh.deadline == volume.deadline

    def newer() -> None:
        late = week(0.0)
        late["ordered_at"] += timedelta(days=4)
        late.to_parquet(world.home / "late.half")
        (world.home / "late.half").replace(world.orders / "late.parquet")

    event = fire(fresh, meanwhile=newer)
    assert resume(NewDataSensor(task_id="rows", spec=world.spec, min_rows=800, up_to=until), event)["rows"] > 800


def test_a_wish_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="min_rows"):
        NewDataSensor(task_id="rows", spec="x.yaml", min_rows=0)
