"""Watch for the rows of a window to arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class WindowTrigger(BaseTrigger):
    """Fires when a source holds a row of a window: cheap, and it never holds data.

    Parameters
    ----------
    source
        The specification's `data.source`, as plain JSON.
    data_root
        Folder that relative paths start from.
    time
        Event-time column.
    start, end
        The window, ISO 8601.
    interval
        Seconds between two looks.
    deadline
        ISO 8601; handed back in the event, so that it stays absolute over several deferrals.
    delay
        Seconds to wait before the first look.
    """

    def __init__(
        self,
        *,
        source: dict[str, Any],
        data_root: str,
        time: str,
        start: str,
        end: str,
        interval: float,
        deadline: str,
        delay: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source = source
        self.data_root = data_root
        self.time = time
        self.start = start
        self.end = end
        self.interval = interval
        self.deadline = deadline
        self.delay = delay

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, for the triggerer."""
        names = ("source", "data_root", "time", "start", "end", "interval", "deadline", "delay")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look in a thread, so that a slow disk or database never blocks the triggerer's loop."""
        await asyncio.sleep(self.delay)
        while not await asyncio.to_thread(self._has_rows):
            await asyncio.sleep(self.interval)
        yield TriggerEvent({"deadline": self.deadline})  # type: ignore[no-untyped-call]

    def _has_rows(self) -> bool:
        from airflow_mlops.core.data import Window
        from airflow_mlops.spec.data import source_from
        from airflow_mlops.stores.sources import open_source

        store = open_source(source_from(self.source), data_root=self.data_root)
        window = Window(start=datetime.fromisoformat(self.start), end=datetime.fromisoformat(self.end))
        return store.has_rows(window, self.time)
