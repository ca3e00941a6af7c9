"""The wait that all triggers of sensors have in common: look, share, put up with failures, end at the deadline."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Hashable
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_mlops.spec.problems import Refusal
from airflow_mlops.triggers.shared_polls import PollAnswer, PollQuestion, question, tick, until_tick

SURE = 2
"""Looks in a row that must refuse the source before a worker is asked: a table may be being replaced just now."""


class WaitingTrigger(BaseTrigger):
    """Looks at a source until what a sensor waits for may have come, and then wakes the sensor.

    The event is ``{"deadline": ...}``; with a ``problem`` when the source is wrong in a way that waiting does not
    mend. It also fires at the deadline: the sensor looks a last time and ends. A look that fails because a store is
    away is logged once and tried again.

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
        Seconds within which an arrival is noticed.
    deadline
        ISO 8601; handed back in the event, so that it stays absolute over several deferrals.
    after
        ISO 8601: no look before, because the worker has just looked; empty: look at once. Never waits longer than
        `interval` for it, whatever the clocks say.
    """

    stored_path: ClassVar[str | None] = None
    """Where tasks that wait already, and a triggerer of the release before, look for a class that has moved since."""
    arguments: ClassVar[tuple[str, ...]] = (
        "source",
        "data_root",
        "time",
        "start",
        "end",
        "interval",
        "deadline",
        "after",
    )

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
        after: str = "",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source = source
        self.data_root = data_root
        self.time = time
        self.start = start
        self.end = end
        self.interval = interval
        self.deadline = deadline
        self.after = after

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, for the triggerer."""
        path = self.stored_path or f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in self.arguments}

    @abstractmethod
    async def look(self) -> PollAnswer:
        """Say whether to wake the sensor: true, false, or the error that the look met."""

    @property
    @abstractmethod
    def beat(self) -> str:
        """What is looked at, in a word: triggers with the same one look at the same instants."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; nothing but threads ever touches the source."""
        event = {"deadline": self.deadline}
        if self.after:
            await asyncio.sleep(min(max(_seconds_to(self.after), 0.0), self.interval, self._left))
        failures = Failures(self.log)
        while self._left > 0:
            try:
                answer = await asyncio.wait_for(self.look(), self._left)
            except TimeoutError:  # the store does not answer, and the time is over
                break
            problem = failures.count(answer.error)
            if problem:
                event["problem"] = problem
            if problem or answer.value:
                break
            await asyncio.sleep(min(until_tick(self.beat, self.interval), self._left))
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    @property
    def _left(self) -> float:
        return max(_seconds_to(self.deadline), 0.0)


class Failures:
    """Looks that failed: each kind is logged once in a row; what waiting does not mend is told after a few."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._last = ""
        self._refused = 0

    def count(self, error: Exception | None) -> str:
        """Take note of a look's end; return the sentence to end the wait with, empty while there is hope."""
        if error is None:
            if self._last:
                self._log.info("the source answers again")
            self._last, self._refused = "", 0
            return ""
        told = str(error) if isinstance(error, Refusal) else type(error).__name__
        away = isinstance(error, OSError) or type(error).__name__ == "AirflowRuntimeError"
        if told != self._last:
            self._log.warning("a look failed, and is tried again: %s", told)
        self._last = told
        self._refused = 0 if away else self._refused + 1
        return told if self._refused >= SURE else ""


class Stamped:
    """A question about a source whose cheap mark tells whether it has to be asked again."""

    def __init__(self, source: str, place: str, interval: float) -> None:
        self._source, self._place, self._interval = source, place, interval
        self._marks: PollQuestion = question(("mark", source, interval), place)
        self._questions: dict[Hashable, PollQuestion] = {}
        self._failed: set[Hashable] = set()

    async def mark(self, look: Callable[[], str]) -> PollAnswer:
        """Return this beat's mark of the source."""
        return await self._marks.answer(self._beat, look)

    async def ask(self, asked: Hashable, version: Hashable, look: Callable[[], Any]) -> PollAnswer:
        """Return the answer to a question, as it was for the same version, unless it failed then.

        A version of None is another one with every beat.
        """
        if asked not in self._questions:
            self._questions[asked] = question((asked, self._source, self._interval), self._place)
        again = version is None or asked in self._failed
        answer = await self._questions[asked].answer((version, self._beat if again else None), look)
        (self._failed.add if answer.error is not None else self._failed.discard)(asked)
        return answer

    @property
    def _beat(self) -> int:
        return tick(self._source, self._interval)


def _seconds_to(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
