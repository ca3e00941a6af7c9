"""Triggers over folders of this test, and what it takes to run them as the triggerer does."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_mlops.spec.data import FileSource, SqlSource
from airflow_mlops.triggers.base import WaitingTrigger
from airflow_mlops.triggers.change import ChangeTrigger
from airflow_mlops.triggers.window import WindowTrigger

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=7)
DEADLINE = "2126-03-09T12:34:56.789012+00:00"
PATIENCE = 60
"""Seconds until a test that hangs is called off; nothing here depends on how long things take."""
SOURCES = [
    FileSource(path="orders/"),
    FileSource(path="s3://aws_default@bucket/orders/"),
    SqlSource(conn_id="warehouse", table="sales.orders"),
    SqlSource(conn_id="warehouse", query="select * from o where t >= :window_start and t < :window_end"),
]
KINDS: list[tuple[type[WaitingTrigger], dict[str, Any]]] = [
    (WindowTrigger, {"min_rows": 3}),
    (ChangeTrigger, {"seen": "abc", "counted": ["late"], "folders": ["/predictions/m"]}),
]


def given(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "source": FileSource(path="orders/").model_dump(mode="json"), "data_root": "/data", "time": "ordered_at",
        "start": START.isoformat(), "end": END.isoformat(), "interval": 0.01, "deadline": DEADLINE,
    }  # fmt: skip
    return {**values, **changes}


def window(**changes: Any) -> WindowTrigger:
    return WindowTrigger(**given(**changes))


def frame(first: datetime, rows: int) -> pd.DataFrame:
    times = pd.date_range(first, periods=rows, freq="h", unit="us")
    return pd.DataFrame({"ordered_at": times, "load": range(rows)})


def write(folder: Path, name: str, first: datetime, rows: int = 3) -> None:
    """Let a file appear whole, as an export does: under another name first."""
    folder.mkdir(exist_ok=True)
    frame(first, rows).to_parquet(folder.parent / name)
    os.replace(folder.parent / name, folder / name)  # noqa: PTH105 - replaces at once


def database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    """A SQLite database with an empty table of orders, behind the connection `shop`."""
    file = folder / "shop.db"
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", f'{{"conn_type": "sqlite", "host": "{file}"}}')
    connection = sqlite3.connect(file)
    connection.execute("create table orders (ordered_at text, load real, late integer)")
    connection.commit()
    return connection


def insert(connection: sqlite3.Connection, at: datetime, late: int | None = None) -> None:
    connection.execute("insert into orders values (?, 1.0, ?)", (at.strftime("%Y-%m-%d %H:%M:%S"), late))
    connection.commit()


SHOP = SqlSource(conn_id="shop", table="orders").model_dump(mode="json")


async def events(waiting: BaseTrigger) -> list[TriggerEvent]:
    return [event async for event in waiting.run()]


def fired(waiting: BaseTrigger) -> dict[str, Any]:
    """Run a trigger to its one event."""
    (event,) = asyncio.run(asyncio.wait_for(events(waiting), PATIENCE))
    payload: dict[str, Any] = event.payload
    return payload


class Looks:
    """Counts what is really done to sources, by name of the function in `looking`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: dict[str, int] = {}
        for module, name in (
            ("window", "has_rows"),
            ("window", "change_token"),
            ("change", "change_token_of_all"),
            ("events", "change_token"),
            ("events", "_newest_passed"),
        ):
            self._count(monkeypatch, module, name)

    def _count(self, monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
        from importlib import import_module

        home = import_module(f"airflow_mlops.triggers.{module}")
        really = getattr(home, name)

        def count(*args: Any) -> Any:
            try:
                return really(*args)
            finally:
                self.done[name] = self.done.get(name, 0) + 1

        monkeypatch.setattr(home, name, count)

    async def more(self, name: str, times: int) -> None:
        """Wait until something was done so many times more."""
        enough = self.done.get(name, 0) + times
        async with asyncio.timeout(PATIENCE):
            while self.done.get(name, 0) < enough:
                await asyncio.sleep(0.005)
