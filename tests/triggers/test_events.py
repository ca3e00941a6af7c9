"""Watchers of an asset: what they emit, where they go on after a restart, and what a run makes of their events."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk import Asset
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import BaseEventTrigger

from airflow_mlops.asof import events_of, resolve_as_of
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.data import FileSource
from airflow_mlops.triggers import events as module
from airflow_mlops.triggers.events import CursorTrigger, NewDataEventTrigger, RetrainEventTrigger
from airflow_mlops.triggers.watchers import watchers_of
from tests.support.trigger_waits import PATIENCE, SHOP, START, Looks, database, frame, insert, write

DAY = 86_400.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kept:
    """Airflow's store of an asset's state, as a trigger gets it: only JSON goes in."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.away = 0

    async def aget(self, key: str, default: Any = None) -> Any:
        if self.away:
            self.away -= 1
            raise ConnectionError("no answer")
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        assert value is not None
        self.values[key] = json.dumps(value)


def new_data(folder: Path, **changes: Any) -> NewDataEventTrigger:
    given: dict[str, Any] = {
        "source": FileSource(path="orders/").model_dump(mode="json"), "time": "ordered_at", "step": DAY,
        "model": "orders", "data_root": str(folder), "interval": 0.01,
    }  # fmt: skip
    return NewDataEventTrigger(**{**given, **changes})


@asynccontextmanager
async def running(trigger: CursorTrigger, kept: Kept | None) -> AsyncIterator[list[dict[str, Any]]]:
    """Run a trigger as the triggerer does, in whose list its events stand."""
    emitted: list[dict[str, Any]] = []
    trigger.asset_state_store = kept  # type: ignore[assignment]

    async def run() -> None:
        async for event in trigger.run():
            emitted.append(event.payload)  # noqa: PERF401 - one by one: the list is read meanwhile

    task = asyncio.create_task(run())
    try:
        yield emitted
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(true: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def settles_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLED", 0.02)


# -- through Airflow's database ---------------------------------------------------------------------------------------

TRIGGERS = [
    new_data(Path("/data")),
    NewDataEventTrigger(SHOP, "ordered_at", 7 * DAY, "orders"),
    RetrainEventTrigger("orders", "mlflow_other", 30.0),
]


@pytest.mark.parametrize("before", TRIGGERS, ids=lambda one: type(one).__name__)
def test_it_comes_back_equal_and_can_watch_an_asset(before: CursorTrigger) -> None:
    from airflow.sdk import AssetWatcher

    asset = Asset("orders.retrain", watchers=[AssetWatcher(name="w", trigger=before)])
    encoded = encode_trigger(asset.watchers[0].trigger)
    row = Trigger(classpath=encoded["classpath"], kwargs=encoded["kwargs"])
    place, _, name = row.classpath.rpartition(".")
    from airflow.serialization.decoders import smart_decode_trigger_kwargs

    kwargs = {key: smart_decode_trigger_kwargs(value) for key, value in row.kwargs.items()}
    after = getattr(import_module(place), name)(**kwargs)
    assert after.serialize() == before.serialize()
    # Airflow knows a watcher's trigger again by this, in another process and after a restart
    hashes = {BaseEventTrigger.hash(path, kw) for path, kw in (before.serialize(), after.serialize())}
    assert len(hashes) == 1
    assert json.loads(json.dumps(before.serialize()[1])) == before.serialize()[1]


# -- new data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["files", "database"])
def test_it_emits_when_event_time_passes_the_next_boundary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    changes: dict[str, Any] = {}
    if kind == "files":

        def arrive(at: datetime) -> None:
            write(tmp_path / "orders", f"{at:%Y%m%d%H}.parquet", at, rows=1)
    else:
        shop = database(tmp_path, monkeypatch)
        changes["source"] = SHOP

        def arrive(at: datetime) -> None:
            insert(shop, at)

    looks = Looks(monkeypatch)

    async def scene() -> list[dict[str, Any]]:
        arrive(START + timedelta(hours=5))
        async with running(new_data(tmp_path, **changes), Kept()) as emitted:
            await until(lambda: len(emitted) == 1)
            arrive(START + timedelta(hours=23))
            await looks.more("change_token" if kind == "files" else "_newest_passed", 4)
            assert len(emitted) == 1  # still the same day
            arrive(START + timedelta(days=1))
            await until(lambda: len(emitted) == 2)
            arrive(START + timedelta(days=4, hours=1))
            await until(lambda: len(emitted) == 3)
        return emitted

    emitted = asyncio.run(scene())
    as_ofs = [START, START + timedelta(days=1), START + timedelta(days=4)]
    assert [one["as_of"] for one in emitted] == [moment.isoformat() for moment in as_ofs]
    assert [one["key"] for one in emitted] == [f"orders/new_data/{moment.isoformat()}" for moment in as_ofs]


def test_boundaries_are_on_a_grid_that_does_not_depend_on_the_data(tmp_path: Path) -> None:
    write(tmp_path / "orders", "a.parquet", START + timedelta(hours=5))
    for step in (DAY, 7 * DAY, 3600.0, 1000.5):
        (found,) = asyncio.run(new_data(tmp_path, step=step).look(None)).value
        as_of = datetime.fromisoformat(found[0])
        newest = frame(START + timedelta(hours=5), 3)["ordered_at"].max()
        assert as_of <= newest < as_of + timedelta(seconds=step)
        assert (as_of - EPOCH) % timedelta(seconds=step) == timedelta(0)


def test_rows_of_the_future_do_not_count_before_their_time(tmp_path: Path) -> None:
    write(tmp_path / "orders", "a.parquet", START)
    write(tmp_path / "orders", "b.parquet", datetime.now(UTC) + timedelta(days=300))
    (found,) = asyncio.run(new_data(tmp_path).look(None)).value
    assert found[0] == START.isoformat()


@pytest.mark.parametrize("rows", [0, 3])
def test_without_rows_there_is_nothing_to_emit(tmp_path: Path, rows: int) -> None:
    write(tmp_path / "orders", "a.parquet", START, rows=rows)
    assert not asyncio.run(new_data(tmp_path).look((START + timedelta(days=1)).isoformat())).value


def test_what_was_emitted_in_this_beat_is_not_emitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database is asked once in a beat, and a timer may wake up a hair before the next one begins."""
    insert(database(tmp_path, monkeypatch), START + timedelta(hours=5))

    async def scene() -> tuple[Any, Any]:
        trigger = new_data(tmp_path, source=SHOP, interval=3600.0)
        first = await trigger.look(None)
        return first.value, (await trigger.look(first.value[0][0])).value

    first, again = asyncio.run(scene())
    assert first[0][0] == START.isoformat()
    assert not again


def test_files_that_stay_the_same_are_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "orders", "a.parquet", START)
    looks = Looks(monkeypatch)

    async def scene() -> None:
        async with running(new_data(tmp_path), Kept()) as emitted:
            await looks.more("change_token", 10)
            assert len(emitted) == 1

    asyncio.run(scene())
    assert looks.done["_newest_passed"] <= 3  # without a cursor, with it, and once more at midnight


def test_after_a_restart_it_goes_on_where_it_was_and_loses_nothing(tmp_path: Path) -> None:
    kept = Kept()
    write(tmp_path / "orders", "a.parquet", START)

    async def first() -> None:
        async with running(new_data(tmp_path), kept) as emitted:
            await until(lambda: kept.values)
            assert len(emitted) == 1

    async def second() -> list[dict[str, Any]]:
        async with running(new_data(tmp_path), kept) as emitted:
            await until(lambda: emitted)
        return emitted

    asyncio.run(first())
    assert list(kept.values) == ["airflow_mlops.NewDataEventTrigger.orders"]
    write(tmp_path / "orders", "b.parquet", START + timedelta(days=2))  # while no triggerer is up
    kept.away = 3
    (event,) = asyncio.run(second())
    assert event["as_of"] == (START + timedelta(days=2)).isoformat()


def test_an_event_that_a_crash_may_have_lost_is_emitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handed to the triggerer is not yet in the database: until it surely is, the cursor stays."""
    monkeypatch.setattr(module, "SETTLED", 3600)
    kept, seen = Kept(), []
    write(tmp_path / "orders", "a.parquet", START)

    async def crash() -> None:
        looks = Looks(monkeypatch)
        async with running(new_data(tmp_path), kept) as emitted:
            await until(lambda: emitted)
            await looks.more("change_token", 5)
            seen.extend(emitted)

    for _ in range(2):
        asyncio.run(crash())
    assert kept.values == {}
    assert len(seen) == 2
    assert seen[0] == seen[1]  # with the same key, which is what makes it one event in the end


def test_two_triggerers_emit_the_same_event(tmp_path: Path) -> None:
    write(tmp_path / "orders", "a.parquet", START)
    kept = Kept()

    async def scene() -> list[dict[str, Any]]:
        async with running(new_data(tmp_path), kept) as one, running(new_data(tmp_path), kept) as other:
            await until(lambda: one and other)
            return [*one, *other]

    one, other = asyncio.run(scene())
    assert one == other


# -- decisions to retrain ---------------------------------------------------------------------------------------------


class Log:
    """A log of decisions in the place of MLflow's: how that one is read is tested with the store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decisions_: list[Any] = []
        self.asked = 0
        self.away = 0
        log = self

        class Hook:
            def __init__(self, conn_id: str) -> None:
                assert conn_id == "mlflow_default"

            @contextmanager
            def records(self) -> Any:
                log.asked += 1
                if log.away:
                    log.away -= 1
                    raise ConnectionError("no answer")
                yield SimpleNamespace(retraining_log=SimpleNamespace(decisions=lambda model: tuple(log.decisions_)))

        monkeypatch.setattr("airflow_mlops.hooks.mlflow.MLflowHook", Hook)

    def add(self, action: str) -> None:
        number = len(self.decisions_) + 1
        as_of = START + timedelta(days=number)
        self.decisions_.append(
            SimpleNamespace(number=number, action=action, as_of=as_of, key=f"orders/{number}", reasons=("it decays",))
        )

    async def asked_again(self, times: int = 3) -> None:
        enough = self.asked + times
        await until(lambda: self.asked >= enough)


def test_each_decision_to_retrain_is_emitted_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    log, kept = Log(monkeypatch), Kept()
    for action in ("retrain", "block", "retrain"):
        log.add(action)

    async def scene() -> list[dict[str, Any]]:
        async with running(RetrainEventTrigger("orders", interval=0.01), kept) as emitted:
            await until(lambda: emitted)
            await log.asked_again()
            log.away = 3
            for action in ("escalate", "retrain", "retrain"):
                log.add(action)
            await until(lambda: len(emitted) == 3)
            await log.asked_again()
            await until(lambda: kept.values)
        return emitted

    emitted = asyncio.run(scene())
    # at first only the newest: it stands for those before it
    assert [one["key"] for one in emitted] == ["orders/3", "orders/5", "orders/6"]
    assert emitted[0] == {
        "as_of": (START + timedelta(days=3)).isoformat(),
        "key": "orders/3",
        "reasons": ["it decays"],
    }


def test_decisions_made_while_no_triggerer_was_up_are_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    log, kept = Log(monkeypatch), Kept()
    kept.values["airflow_mlops.RetrainEventTrigger.orders"] = "1"
    for action in ("retrain", "retrain", "wait", "retrain"):
        log.add(action)

    async def scene() -> list[dict[str, Any]]:
        async with running(RetrainEventTrigger("orders", interval=0.01), kept) as emitted:
            await until(lambda: kept.values["airflow_mlops.RetrainEventTrigger.orders"] == "4")
        return emitted

    assert [one["key"] for one in asyncio.run(scene())] == ["orders/2", "orders/4"]


# -- the model's watchers, and what a run makes of an event -----------------------------------------------------------

BODY: dict[str, Any] = {
    "name": "orders", "owner": "o", "training": {"estimator": "sklearn.dummy.DummyClassifier"},
    "data": {"source": {"path": "orders/"}, "time": "ordered_at", "key": "order_id", "label": "late"},
}  # fmt: skip


def test_a_model_is_watched_when_it_asks_for_it() -> None:
    (watcher,) = watchers_of(ModelSpec.model_validate({**BODY, "retraining": {"on_new_data": "7d"}}))
    assert isinstance(watcher.trigger, NewDataEventTrigger)
    assert (watcher.trigger.step, watcher.trigger.time, watcher.trigger.model) == (7 * DAY, "ordered_at", "orders")
    assert watcher.trigger.data_root == ""  # the triggerer's
    assert watchers_of(ModelSpec.model_validate(BODY)) == []
    retired = {**BODY, "retired": "nobody wants it", "retraining": {"on_new_data": "7d"}}
    assert watchers_of(ModelSpec.model_validate(retired)) == []


def test_watchers_cost_a_dag_file_nothing_heavy() -> None:
    code = f"""
import sys
from airflow_mlops.spec import ModelSpec
from airflow_mlops.triggers.watchers import watchers_of
body = {BODY!r}
assert watchers_of(ModelSpec.model_validate(body)) == []
assert not any(name.startswith("airflow.") for name in sys.modules)
watchers_of(ModelSpec.model_validate({{**body, "retraining": {{"on_new_data": "7d"}}}}))
heavy = {{"pandas", "numpy", "pyarrow", "sklearn", "mlflow", "great_expectations", "evidently", "scipy"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_run_reads_its_as_of_from_a_watchers_event_too() -> None:
    def event(extra: Any) -> Any:
        return SimpleNamespace(extra=extra)

    watched = {"from_trigger": True, "payload": {"as_of": "2026-03-08T00:00:00+00:00", "key": "k8"}}
    told = {"as_of": "2026-03-07T00:00:00+00:00", "key": "k7"}
    context: dict[str, Any] = {
        "dag_run": SimpleNamespace(run_type="asset_triggered", run_after=datetime(2026, 3, 9, tzinfo=UTC)),
        "triggering_asset_events": {"a": [event(told), event(None)], "b": [event(watched)]},
    }
    assert resolve_as_of(context) == datetime(2026, 3, 8, tzinfo=UTC)
    assert [said.get("key") for said in events_of(context)] == ["k7", None, "k8"]
    for odd in ({"from_trigger": True}, {"from_trigger": True, "payload": "text"}):
        context["triggering_asset_events"] = {"b": [event(odd)]}
        assert resolve_as_of(context) == datetime(2026, 3, 9, tzinfo=UTC)


def test_the_log_in_mlflow_is_what_is_read(mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_mlops.core.records.retraining import RetrainDecision
    from airflow_mlops.stores.mlflow.store import MLflowStore

    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": mlflow_uri}))
    trigger = RetrainEventTrigger("watched")
    assert not asyncio.run(trigger.look(None)).value
    store = MLflowStore.connect(mlflow_uri)
    for number, action in enumerate(("retrain", "escalate", "retrain"), 1):
        decision = RetrainDecision(
            model="watched", action=action, as_of=START, reasons=("why",), evidence={}, key=f"k{number}", number=number
        )  # fmt: skip
        assert store.retraining_log.log_decision("watched", decision)
    payload = {"as_of": START.isoformat(), "key": "k3", "reasons": ["why"]}
    for cursor in (None, 1, 2):
        answer = asyncio.run(RetrainEventTrigger("watched").look(cursor))
        assert (answer.error, answer.value) == (None, [(3, payload)])
    assert not asyncio.run(RetrainEventTrigger("watched").look(3)).value
