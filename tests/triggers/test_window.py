"""The triggers that wait for a sensor: they survive the way through Airflow's database and hold up nobody."""

import asyncio
import json
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.triggers.base import TriggerEvent

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.spec.data import FileSource, SqlSource
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.triggers import window as drift
from airflow_mlops.triggers.base import Failures, WaitingTrigger
from airflow_mlops.triggers.change import ChangeTrigger
from airflow_mlops.triggers.source_probe import change_token_of_all, window_of
from tests.support.trigger_waits import (
    DEADLINE,
    END,
    KINDS,
    PATIENCE,
    SHOP,
    SOURCES,
    START,
    Looks,
    database,
    events,
    fired,
    frame,
    given,
    insert,
    window,
    write,
)

# -- through the database ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES, ids=str)
@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_it_comes_back_equal_from_airflows_database(
    source: FileSource | SqlSource, kind: type[WaitingTrigger], more: dict[str, Any]
) -> None:
    before = kind(**given(source=source.model_dump(mode="json"), after="2026-03-09T00:00:00+00:00", **more))
    row = Trigger.from_object(before)
    module, _, name = row.classpath.rpartition(".")
    after = getattr(import_module(module), name)(**row.kwargs)
    assert type(after) is kind
    assert after.serialize() == before.serialize()
    assert vars(after) == vars(before)


@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_its_arguments_are_plain_json_and_all_of_them(kind: type[WaitingTrigger], more: dict[str, Any]) -> None:
    path, arguments = kind(**given(after="2026-03-09T00:00:00+00:00", **more)).serialize()
    assert path == (kind.stored_path or f"{kind.__module__}.{kind.__name__}")
    assert json.loads(json.dumps(arguments)) == arguments
    assert set(arguments) == set(given(after="")) | set(more)
    assert kind(**arguments).serialize() == (path, arguments)


# -- waiting for rows -------------------------------------------------------------------------------------------------


def test_it_fires_at_once_when_the_rows_are_there(tmp_path: Path) -> None:
    write(tmp_path / "orders", "new.parquet", START)
    assert fired(window(data_root=str(tmp_path), interval=3600)) == {"deadline": DEADLINE}


def test_it_fires_when_rows_arrive_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "orders", "old.parquet", START - timedelta(days=2))
    looks = Looks(monkeypatch)

    async def scene() -> list[TriggerEvent]:
        run = asyncio.create_task(events(window(data_root=str(tmp_path))))
        await looks.more("change_token", 5)
        assert not run.done()
        assert looks.done["has_rows"] == 1  # while the files stay the same, none is opened again
        write(tmp_path / "orders", "new.parquet", START + timedelta(days=1))
        return await asyncio.wait_for(run, PATIENCE)

    (event,) = asyncio.run(scene())
    assert event.payload == {"deadline": DEADLINE}
    assert looks.done["has_rows"] == 2


def test_rows_in_a_database_are_noticed_also_when_newer_ones_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, looks = database(tmp_path, monkeypatch), Looks(monkeypatch)
    insert(shop, END + timedelta(days=30))

    async def scene() -> list[TriggerEvent]:
        run = asyncio.create_task(events(window(source=SHOP)))
        await looks.more("has_rows", 3)
        assert not run.done()
        insert(shop, START)
        return await asyncio.wait_for(run, PATIENCE)

    assert len(asyncio.run(scene())) == 1
    assert "change_token" not in looks.done


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
@pytest.mark.parametrize("kind", ["files", "database"])
def test_only_rows_of_the_window_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, first: datetime, fires: bool
) -> None:
    source = given()["source"]
    if kind == "files":
        write(tmp_path / "orders", "rows.parquet", first)
    else:
        source, shop = SHOP, database(tmp_path, monkeypatch)
        for at in frame(first, 3)["ordered_at"]:
            shop.execute("insert into orders values (?, 1.0, null)", (at.isoformat(" "),))
        shop.commit()
    answer = asyncio.run(window(data_root=str(tmp_path), source=source).look())
    assert (answer.error, answer.value) == (None, fires)


@pytest.mark.parametrize("kind", ["files", "database"])
def test_it_waits_for_as_many_rows_as_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    source = given()["source"]
    if kind == "files":
        write(tmp_path / "orders", "a.parquet", START, rows=3)
        write(tmp_path / "orders", "b.parquet", END - timedelta(hours=2), rows=5)  # two of them in the window
    else:
        source, shop = SHOP, database(tmp_path, monkeypatch)
        for rows, first in ((3, START), (5, END - timedelta(hours=2))):
            for at in frame(first, rows)["ordered_at"]:
                insert(shop, at)
    for rows, fires in ((5, True), (6, False)):
        waiting = window(data_root=str(tmp_path), source=source, min_rows=rows)
        assert asyncio.run(waiting.look()).value is fires


def test_it_does_not_fire_on_an_empty_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "orders", "old.parquet", START - timedelta(days=2))
    write(tmp_path / "orders", "none.parquet", START, rows=0)
    looks = Looks(monkeypatch)

    async def scene() -> None:
        run = asyncio.create_task(events(window(data_root=str(tmp_path))))
        await looks.more("change_token", 5)
        assert not run.done()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(scene())


# -- waiting for a change ---------------------------------------------------------------------------------------------


def change(tmp_path: Path, **more: Any) -> ChangeTrigger:
    """A trigger whose worker has just looked."""
    rows = given(data_root=str(tmp_path), **more)
    also = {name: rows.pop(name) for name in ("counted", "folders") if name in rows}
    span = window_of(rows["start"], rows["end"])
    seen = change_token_of_all(rows["source"], rows["data_root"], rows["time"], span, **also)
    return ChangeTrigger(seen=seen, **rows, **also)


@pytest.mark.parametrize("what", ["a file comes", "a file changes", "a file goes", "another folder changes"])
def test_it_fires_when_files_are_no_longer_what_the_worker_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    write(tmp_path / "orders", "a.parquet", START)
    (tmp_path / "scored").mkdir()
    waiting, looks = change(tmp_path, folders=[str(tmp_path / "scored")]), Looks(monkeypatch)

    async def scene() -> list[TriggerEvent]:
        run = asyncio.create_task(events(waiting))
        await looks.more("change_token_of_all", 3)
        assert not run.done()
        match what:
            case "a file comes":
                write(tmp_path / "orders", "b.parquet", START)
            case "a file changes":
                write(tmp_path / "orders", "a.parquet", START, rows=9)
            case "a file goes":
                (tmp_path / "orders" / "a.parquet").unlink()
            case _:
                (tmp_path / "scored" / "manifest.json").write_text("{}")
        return await asyncio.wait_for(run, PATIENCE)

    (event,) = asyncio.run(scene())
    assert event.payload == {"deadline": DEADLINE}
    assert "has_rows" not in looks.done


@pytest.mark.parametrize("what", ["a row comes", "an outcome comes"])
def test_it_fires_when_a_database_has_more_of_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    shop = database(tmp_path, monkeypatch)
    insert(shop, START)
    waiting, looks = change(tmp_path, source=SHOP, counted=["late"]), Looks(monkeypatch)

    async def scene() -> list[TriggerEvent]:
        run = asyncio.create_task(events(waiting))
        await looks.more("change_token_of_all", 3)
        insert(shop, END + timedelta(days=30))  # of another window
        await looks.more("change_token_of_all", 3)
        assert not run.done()
        if what == "a row comes":
            insert(shop, START + timedelta(days=1))
        else:
            shop.execute("update orders set late = 1")
            shop.commit()
        return await asyncio.wait_for(run, PATIENCE)

    assert len(asyncio.run(scene())) == 1


# -- time -------------------------------------------------------------------------------------------------------------


def test_it_does_not_look_before_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "orders", "new.parquet", START)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    soon = (datetime.now(UTC) + timedelta(seconds=500)).isoformat()
    fired(window(data_root=str(tmp_path), interval=600.0, after=soon))
    assert 400 < slept.pop() <= 500
    fired(window(data_root=str(tmp_path), interval=7.0, after=soon))  # clocks that differ do not make it wait longer
    assert slept.pop() == 7.0
    fired(window(data_root=str(tmp_path), interval=7.0, after="2026-01-01T00:00:00+00:00"))
    assert slept == [0.0]


@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_it_fires_at_the_deadline_for_a_last_look(
    tmp_path: Path, kind: type[WaitingTrigger], more: dict[str, Any]
) -> None:
    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert fired(kind(**given(data_root=str(tmp_path), deadline=over, **more))) == {"deadline": over}


def test_the_deadline_ends_a_look_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(drift, "change_token", lambda *_: released.wait(PATIENCE))
    soon = (datetime.now(UTC) + timedelta(milliseconds=50)).isoformat()
    waiting = window(deadline=soon)

    async def scene() -> list[TriggerEvent]:
        try:
            return await asyncio.wait_for(events(waiting), PATIENCE)
        finally:
            released.set()

    (event,) = asyncio.run(scene())
    assert event.payload == {"deadline": soon}


def test_a_slow_source_does_not_hold_up_the_triggerer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path / "orders", "new.parquet", START)
    inside, released = threading.Event(), threading.Event()

    def slow(*_: Any) -> bool:
        inside.set()
        assert released.wait(PATIENCE)
        return True

    monkeypatch.setattr(drift, "has_rows", slow)

    async def scene() -> list[TriggerEvent]:
        run = asyncio.create_task(events(window(data_root=str(tmp_path))))
        assert await asyncio.to_thread(inside.wait, PATIENCE)
        for _ in range(50):  # the loop goes round and round while the look still takes place
            await asyncio.sleep(0)
            assert not run.done()
        released.set()
        return await asyncio.wait_for(run, PATIENCE)

    assert len(asyncio.run(scene())) == 1


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_files_that_are_not_there_end_the_wait_with_the_sentence(tmp_path: Path) -> None:
    event = fired(window(data_root=str(tmp_path)))
    assert event["deadline"] == DEADLINE
    assert "[source_missing]" in event["problem"]


@pytest.mark.parametrize(("kind", "more"), KINDS)
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"source": {**SHOP, "table": "order"}}, "source_missing"),
        ({"time": "ordered"}, "column_renamed"),
        ({"source": {"conn_id": "nowhere", "table": "orders"}}, "source_missing"),
    ],
    ids=str,
)
def test_a_database_that_is_wrong_for_good_ends_the_wait(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[WaitingTrigger],
    more: dict[str, Any],
    wrong: dict[str, Any],
    code: str,
) -> None:
    database(tmp_path, monkeypatch)
    event = fired(kind(**given(**{"source": SHOP, **wrong}, **{**more, "folders": []} if "folders" in more else more)))
    assert f"[{code}]" in event["problem"]


def test_a_table_that_is_replaced_just_now_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, looks = database(tmp_path, monkeypatch), Looks(monkeypatch)
    shop.execute("drop table orders")
    shop.commit()
    at_look = []
    really = drift.has_rows

    def look(*args: Any) -> bool:
        at_look.append(1)
        if len(at_look) == 2:
            with closing(sqlite3.connect(tmp_path / "shop.db")) as again:
                again.execute("create table orders (ordered_at text)")
                again.execute("insert into orders values (?)", (START.isoformat(" "),))
                again.commit()
        return really(*args)

    monkeypatch.setattr(drift, "has_rows", look)
    assert fired(window(source=SHOP)) == {"deadline": DEADLINE}
    assert looks.done["has_rows"] == 2


def away() -> StoreUnavailableError:
    return StoreUnavailableError(
        Problem(code=ReasonCode.STORE_UNAVAILABLE, field="x", found="no answer", allowed="one", fix="wait")
    )


@pytest.mark.parametrize("error", [away(), OSError(5, "stale"), TimeoutError()], ids=repr)
def test_a_store_that_is_away_is_asked_again_until_it_answers(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    tries = []

    def look(*_: Any) -> bool:
        tries.append(1)
        if len(tries) < 6:
            raise error
        return True

    monkeypatch.setattr(drift, "has_rows", look)
    assert fired(window(source=SHOP)) == {"deadline": DEADLINE}
    assert len(tries) == 6


def test_a_failure_is_logged_once_however_long_it_lasts() -> None:
    said: list[str] = []
    log = SimpleNamespace(warning=lambda text, told: said.append(told), info=said.append)
    failures = Failures(log)
    for error in (away(), away(), away(), OSError(5, "x"), None, None, away()):
        assert failures.count(error) == ""
    assert [text[:12] for text in said] == ["x: found no ", "OSError", "the source a", "x: found no "]


def test_a_bug_ends_the_wait_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_: Any) -> bool:
        raise RuntimeError("row 7 of Mr Miller")

    monkeypatch.setattr(drift, "has_rows", look)
    assert fired(window(source=SHOP)) == {"deadline": DEADLINE, "problem": "RuntimeError"}


# -- two triggerers, and one that starts again ------------------------------------------------------------------------


def test_run_twice_it_fires_the_same_event_twice(tmp_path: Path) -> None:
    write(tmp_path / "orders", "new.parquet", START)
    path, arguments = window(data_root=str(tmp_path)).serialize()
    module, _, name = path.rpartition(".")
    kind = getattr(import_module(module), name)
    assert [fired(kind(**arguments)) for _ in range(2)] == [{"deadline": DEADLINE}] * 2
