"""A thousand who wait share few looks and few threads, and nobody who leaves takes a look away from the others."""

import asyncio
import gc
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_mlops.triggers import shared_polls
from airflow_mlops.triggers.shared_polls import PER_PLACE, THREADS, question, tick, until_tick
from tests.support.trigger_waits import PATIENCE, START, Looks, events, window, write


def test_those_who_ask_the_same_share_one_look() -> None:
    asked: list[int] = []

    def look() -> int:
        asked.append(1)
        return len(asked)

    async def scene() -> list[Any]:
        one = question("key", "disk")
        assert question("key", "disk") is one
        return [answer.value for answer in await asyncio.gather(*(one.answer(7, look) for _ in range(100)))]

    assert asyncio.run(scene()) == [1] * 100


def test_an_answer_serves_its_version_only() -> None:
    count = iter(range(10))

    async def scene() -> list[Any]:
        one = question("key", "disk")
        return [(await one.answer(version, lambda: next(count))).value for version in (1, 1, 2, 2, 1)]

    assert asyncio.run(scene()) == [0, 0, 1, 1, 2]


def test_who_asks_for_a_newer_version_during_a_look_gets_a_new_one() -> None:
    inside, released = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        assert released.wait(PATIENCE)
        return "old"

    async def scene() -> tuple[Any, Any]:
        one = question("key", "disk")
        first = asyncio.create_task(one.answer(1, slow))
        assert await asyncio.to_thread(inside.wait, PATIENCE)
        second = asyncio.create_task(one.answer(2, lambda: "new"))
        await asyncio.sleep(0)
        released.set()
        return (await first).value, (await second).value

    assert asyncio.run(scene()) == ("old", "new")


def test_who_is_cancelled_leaves_the_look_to_the_others() -> None:
    released = threading.Event()

    async def scene() -> Any:
        one = question("key", "disk")
        first, second = (asyncio.create_task(one.answer(1, lambda: released.wait(PATIENCE))) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        released.set()
        return (await second).value

    assert asyncio.run(scene()) is True


def test_a_place_that_hangs_leaves_threads_to_the_others() -> None:
    released, inside = threading.Event(), []

    def hang() -> bool:
        inside.append(1)
        return released.wait(PATIENCE)

    async def scene() -> tuple[int, Any]:
        questions = [question(("hangs", number), "connection slow") for number in range(2 * THREADS)]
        hanging = [asyncio.create_task(one.answer(1, hang)) for one in questions]
        found = await asyncio.wait_for(question("other", "disk").answer(1, lambda: "fine"), PATIENCE)
        held = len(inside)
        released.set()
        await asyncio.gather(*hanging)
        return held, found.value

    held, value = asyncio.run(scene())
    assert held <= PER_PLACE < THREADS
    assert value == "fine"
    assert len(inside) == 2 * THREADS


def test_questions_that_nobody_asks_are_forgotten() -> None:
    async def scene() -> int:
        one = question("key", "disk")
        await one.answer(1, lambda: 1)
        del one
        await asyncio.sleep(0)
        gc.collect()
        return len(shared_polls._shared().questions)

    assert asyncio.run(scene()) == 0


def test_beats_come_once_an_interval_and_not_all_at_once() -> None:
    async def scene() -> None:
        waits = [until_tick(str(key), 600) for key in range(200)]
        assert all(0 <= wait <= 0.9 * 600 for wait in waits)
        assert max(waits) - min(waits) > 300
        assert tick("one", 600) == tick("one", 600)

    asyncio.run(scene())


def test_a_hundred_triggers_on_one_folder_look_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "orders", "old.parquet", START.replace(year=2020))
    looks = Looks(monkeypatch)

    async def scene() -> None:
        running = [asyncio.create_task(events(window(data_root=str(tmp_path), interval=600))) for _ in range(100)]
        await looks.more("has_rows", 1)
        await asyncio.sleep(0.05)
        assert not any(run.done() for run in running)
        for run in running:
            run.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(scene())
    assert looks.done["has_rows"] == 1
    assert looks.done["change_token"] <= 2  # two, if a beat began in between
