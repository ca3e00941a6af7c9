"""A thousand deferred sensors in one triggerer: what they cost while they wait, and how soon they notice an arrival."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.child import in_child
from benchmarks.report import Table

if TYPE_CHECKING:
    from airflow_mlops.triggers.window import WindowTrigger

START = datetime(2026, 3, 1, tzinfo=UTC)
FILES, ROWS = 20, 5_000
"""Files of a folder, and rows of each; a table has as many rows as a folder."""
BEAT = 0.01
"""Seconds between two looks at the clock, for the lag of the loop."""
ARRIVALS = 10
Arrive = Callable[[int], None]


def measure(models: int, sources: int, interval: float, seconds: float) -> tuple[Table, dict[str, Any]]:
    """Measure folders of Parquet and tables of SQLite, each in a fresh process."""
    given = {"models": models, "sources": sources, "interval": interval, "seconds": seconds}
    found = {kind: in_child("triggers:waiting", kind=kind, **given) for kind in ("files", "sqlite")}
    names = {"files": f"{sources} folders of {FILES} Parquet files", "sqlite": f"{sources} tables of SQLite"}
    table = Table(
        title=f"{models:,} waiting sensors in one triggerer, poke interval {interval:g} s, {seconds:g} s",
        heads=(
            "sources",
            "CPU of one core",
            "loop lag p99",
            "loop lag max",
            "lag max, starting",
            "noticed after",
            "at most",
        ),
        rows=tuple(
            (
                names[kind],
                f"{one['cpu']:.1%}",
                f"{one['lag_p99'] * 1000:.0f} ms",
                f"{one['lag_max'] * 1000:.0f} ms",
                f"{one['starting_lag_max'] * 1000:.0f} ms",
                f"{statistics.median(one['delays']):.1f} s",
                f"{max(one['delays']):.1f} s",
            )
            for kind, one in found.items()
        ),
        notes=(
            "One asyncio loop that runs them as the triggerer's process does; no worker is held.",
            f"Lag: how late the loop comes back to a task that sleeps {BEAT * 1000:.0f} ms.",
            "Starting: all of them are deferred at once, and the libraries that open files are imported.",
            f"Noticed: from the arrival of rows in one of {ARRIVALS} sources to the last event of those who wait.",
        ),
    )
    return table, {**given, "runs": found}


def waiting(kind: str, models: int, sources: int, interval: float, seconds: float) -> dict[str, Any]:
    """Start all triggers, let them settle, and measure."""
    made = {"files": _folders, "sqlite": _tables}[kind]
    with tempfile.TemporaryDirectory() as folder, made(Path(folder), sources) as (given, arrive):
        triggers = [_trigger(number, given(number % sources), interval) for number in range(models)]
        return asyncio.run(_run(triggers, sources, interval, seconds, arrive))


def _trigger(number: int, source: dict[str, Any], interval: float) -> WindowTrigger:
    from airflow_mlops.triggers.window import WindowTrigger

    return WindowTrigger(
        source=source,
        data_root="/",
        time="at",
        start=START.isoformat(),
        end=(START + timedelta(days=7)).isoformat(),
        interval=interval,
        deadline=f"2126-01-01T00:00:{number % 60:02d}+00:00",
    )


async def _run(
    triggers: list[WindowTrigger], sources: int, interval: float, seconds: float, arrive: Arrive
) -> dict[str, Any]:
    loop, lags = asyncio.get_running_loop(), list[float]()
    noticed: dict[int, float] = {}
    watch = asyncio.create_task(_lag(lags))
    tasks = [asyncio.create_task(_as_the_triggerer(number, one, noticed)) for number, one in enumerate(triggers)]
    await asyncio.sleep(interval * 1.5)
    starting, busy, began = max(lags), time.process_time(), loop.time()
    lags.clear()
    arrived: dict[int, float] = {}
    picked = range(0, sources, max(1, sources // ARRIVALS))
    for source in picked:
        await asyncio.sleep((seconds - interval) / len(picked))
        await asyncio.to_thread(arrive, source)
        arrived[source] = loop.time()
    expected = [number for number in range(len(triggers)) if number % sources in arrived]
    until = max(began + seconds, loop.time() + 2 * interval)
    while loop.time() < began + seconds or (len(noticed) < len(expected) and loop.time() < until):
        await asyncio.sleep(0.1)
    cpu = (time.process_time() - busy) / (loop.time() - began)
    lagged = sorted(lags)
    assert sorted(noticed) == expected, f"{len(noticed)} of {len(expected)} events"
    for task in (watch, *tasks):
        task.cancel()
    await asyncio.gather(watch, *tasks, return_exceptions=True)
    last = {source: max(noticed[number] for number in expected if number % sources == source) for source in arrived}
    return {
        "cpu": cpu,
        "lag_p99": lagged[int(0.99 * len(lagged))],
        "lag_max": lagged[-1],
        "starting_lag_max": starting,
        "delays": [last[source] - at for source, at in arrived.items()],
    }


async def _as_the_triggerer(number: int, trigger: WindowTrigger, noticed: dict[int, float]) -> None:
    """What `TriggerRunner.run_trigger` does: a portal for synchronous code, then the trigger's events."""
    import greenback

    await greenback.ensure_portal()
    async for event in trigger.run():
        assert set(event.payload) == {"deadline"}, event.payload
        noticed[number] = asyncio.get_running_loop().time()


async def _lag(lags: list[float]) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        before = clock()
        await asyncio.sleep(BEAT)
        lags.append(clock() - before - BEAT)


@contextmanager
def _folders(root: Path, sources: int) -> Iterator[tuple[Callable[[int], dict[str, Any]], Arrive]]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(name: str, first: datetime, rows: int) -> None:
        step = np.arange(rows, dtype="timedelta64[s]")
        at = np.datetime64(first.replace(tzinfo=None), "us") + step
        pq.write_table(pa.table({"at": pa.array(at), "x": np.zeros(rows)}), root / "whole")
        (root / "whole").replace(root / name)

    for number in range(sources):
        (root / f"s{number}").mkdir()
        for day in range(FILES):
            write(f"s{number}/{day:03}.parquet", START - timedelta(days=FILES - day), ROWS)
    yield (
        lambda number: {"path": str(root / f"s{number}")},
        lambda number: write(f"s{number}/new.parquet", START, ROWS),
    )


@contextmanager
def _tables(root: Path, sources: int) -> Iterator[tuple[Callable[[int], dict[str, Any]], Arrive]]:
    file = root / "shop.db"
    os.environ["AIRFLOW_CONN_SHOP"] = f'{{"conn_type": "sqlite", "host": "{file}"}}'

    def fill(connection: sqlite3.Connection, number: int, first: datetime, rows: int) -> None:
        times = ((first + timedelta(seconds=second)).strftime("%Y-%m-%d %H:%M:%S") for second in range(rows))
        connection.executemany(f"insert into s{number} values (?, 0.0)", ((at,) for at in times))  # noqa: S608

    with closing(sqlite3.connect(file, check_same_thread=False)) as connection:
        for number in range(sources):
            connection.execute(f"create table s{number} (at text, x real)")
            connection.execute(f"create index i{number} on s{number} (at)")
            for day in range(FILES):
                fill(connection, number, START - timedelta(days=FILES + 2 - day), ROWS)
        connection.commit()

        def arrive(number: int) -> None:
            fill(connection, number, START, 10)  # few, or making them would hold up the loop
            connection.commit()

        yield (lambda number: {"conn_id": "shop", "table": f"s{number}"}), arrive
