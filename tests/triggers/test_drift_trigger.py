"""The trigger that waits for a window's rows: it survives the way through Airflow's database and holds up nobody."""

import asyncio
import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from airflow.models.trigger import Trigger
from airflow.triggers.base import TriggerEvent

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.data import FileSource, SqlSource
from airflow_mlops.triggers.drift import WindowTrigger

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=7)
DEADLINE = "2026-03-09T12:34:56.789012+00:00"
PATIENCE = 60
"""Seconds until a test that hangs is called off; nothing here depends on how long things take."""


def trigger(**changes: Any) -> WindowTrigger:
    values: dict[str, Any] = {
        "source": FileSource(path="orders/").model_dump(mode="json"), "data_root": "/data", "time": "ordered_at",
        "start": START.isoformat(), "end": END.isoformat(), "interval": 0.01, "deadline": DEADLINE,
    }  # fmt: skip
    return WindowTrigger(**{**values, **changes})


def write(folder: Path, name: str, first: datetime, rows: int = 3) -> None:
    """Let a file appear whole, as an export does: under another name first."""
    folder.mkdir(exist_ok=True)
    times = pd.date_range(first, periods=rows, freq="h", unit="us")
    pd.DataFrame({"ordered_at": times, "load": range(rows)}).to_parquet(folder.parent / name)
    os.replace(folder.parent / name, folder / name)  # noqa: PTH105 - replaces at once


async def events(waiting: WindowTrigger) -> list[TriggerEvent]:
    return [event async for event in waiting.run()]


async def looked(waiting: WindowTrigger, times: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Count the looks of a trigger; return what waits for the given number of them."""
    seen = threading.Semaphore(0)
    really = waiting._has_rows

    def count() -> bool:
        answer = really()
        seen.release()
        return answer

    monkeypatch.setattr(waiting, "_has_rows", count)

    async def enough() -> None:
        for _ in range(times):
            assert await asyncio.to_thread(seen.acquire, timeout=PATIENCE)

    return enough


# -- through the database ---------------------------------------------------------------------------------------------

SOURCES = [
    FileSource(path="orders/"),
    FileSource(path="s3://aws_default@bucket/orders/"),
    SqlSource(conn_id="warehouse", table="sales.orders"),
    SqlSource(conn_id="warehouse", query="select * from o where t >= :window_start and t < :window_end"),
]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_it_comes_back_equal_from_airflows_database(source: FileSource | SqlSource) -> None:
    before = trigger(source=source.model_dump(mode="json"), delay=2.5)
    row = Trigger.from_object(before)
    module, _, name = row.classpath.rpartition(".")
    after = getattr(import_module(module), name)(**row.kwargs)
    assert type(after) is WindowTrigger
    assert after.serialize() == before.serialize()
    assert vars(after) == vars(before)


def test_its_arguments_are_plain_json_and_all_of_them() -> None:
    path, arguments = trigger(delay=2.5).serialize()
    assert path == "airflow_mlops.triggers.drift.WindowTrigger"
    assert json.loads(json.dumps(arguments)) == arguments
    assert WindowTrigger(**arguments).serialize() == (path, arguments)


# -- waiting ----------------------------------------------------------------------------------------------------------


def test_it_fires_at_once_when_the_rows_are_there(tmp_path: Path) -> None:
    write(tmp_path / "orders", "new.parquet", START)
    (event,) = asyncio.run(asyncio.wait_for(events(trigger(data_root=str(tmp_path), interval=3600)), PATIENCE))
    assert event.payload == {"deadline": DEADLINE}


def test_it_fires_when_rows_arrive_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "orders", "old.parquet", START - timedelta(days=2))
    waiting = trigger(data_root=str(tmp_path))

    async def scene() -> list[TriggerEvent]:
        enough = await looked(waiting, 3, monkeypatch)
        run = asyncio.create_task(events(waiting))
        await enough()
        assert not run.done()
        write(tmp_path / "orders", "new.parquet", START + timedelta(days=1))
        return await asyncio.wait_for(run, PATIENCE)

    (event,) = asyncio.run(scene())
    assert event.payload == {"deadline": DEADLINE}


@pytest.mark.parametrize(
    ("first", "fires"),
    [
        (START - timedelta(hours=3), False),  # the last row one hour before the window
        (START - timedelta(hours=2), True),  # the last row on its first instant
        (END - timedelta(microseconds=1), True),
        (END, False),  # half-open
        (END + timedelta(days=1), False),
    ],
)
def test_only_rows_of_the_window_count(tmp_path: Path, first: datetime, fires: bool) -> None:
    write(tmp_path / "orders", "rows.parquet", first)
    assert trigger(data_root=str(tmp_path))._has_rows() is fires


def test_it_does_not_fire_on_an_empty_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "orders", "old.parquet", START - timedelta(days=2))
    write(tmp_path / "orders", "none.parquet", START, rows=0)
    waiting = trigger(data_root=str(tmp_path))

    async def scene() -> None:
        enough = await looked(waiting, 5, monkeypatch)
        run = asyncio.create_task(events(waiting))
        await enough()
        assert not run.done()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(scene())


def test_it_waits_before_its_first_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "orders", "new.parquet", START)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert len(asyncio.run(events(trigger(data_root=str(tmp_path), delay=600.0, interval=7.0)))) == 1
    assert slept == [600.0]


def test_a_slow_source_does_not_hold_up_the_triggerer(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = trigger()
    inside, released = threading.Event(), threading.Event()

    def slow() -> bool:
        inside.set()
        assert released.wait(PATIENCE)
        return True

    monkeypatch.setattr(waiting, "_has_rows", slow)

    async def scene() -> list[TriggerEvent]:
        run = asyncio.create_task(events(waiting))
        assert await asyncio.to_thread(inside.wait, PATIENCE)
        for _ in range(50):  # the loop goes round and round while the look still takes place
            await asyncio.sleep(0)
            assert not run.done()
        released.set()
        return await asyncio.wait_for(run, PATIENCE)

    assert len(asyncio.run(scene())) == 1


def test_a_source_that_does_not_exist_ends_the_wait_with_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="source_missing"):
        asyncio.run(asyncio.wait_for(events(trigger(data_root=str(tmp_path))), PATIENCE))
