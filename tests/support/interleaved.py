"""Several processes at one registry and trail in memory, a call at a time, in any order, killed at any call.

Each process is a greenlet that stops before every call of the registry and the trail, and whenever it waits. Time
stands still while anybody can work, and goes on when all who are alive wait: a lease that is longer than any pause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from greenlet import getcurrent, greenlet

from airflow_mlops.core.errors import RecordError, StaleDecisionError
from airflow_mlops.core.promotion import alias_log
from tests.support.memory_registry import Killed, MemoryRegistry


class Stopping:
    """The registry and trail as one process sees them: it gives way before each call."""

    def __init__(self, shared: MemoryRegistry) -> None:
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._shared, name)

        def stopping(*arguments: Any) -> Any:
            give_way((name, *arguments))
            return method(*arguments)

        return stopping


def give_way(why: Any) -> None:
    hub = getcurrent().parent
    assert hub is not None
    hub.switch(why)


class Process:
    """One process: what it does, and what became of it."""

    def __init__(self, shared: MemoryRegistry, work: Callable[[Any], Any]) -> None:
        self.waits = False
        self.at: Any = None
        """The call that it is about to make, with its arguments."""
        self.result: Any = None
        self.refusal: StaleDecisionError | RecordError | None = None
        self.killed = False
        self._line = greenlet(lambda: self._do(work, Stopping(shared)))

    @property
    def alive(self) -> bool:
        return not self._line.dead

    def step(self) -> None:
        """Go on until the next call, or the next wait."""
        self.at = self._line.switch()
        self.waits = self.at == "wait"

    def kill(self) -> None:
        self.killed = True
        if self._line:
            self._line.throw(Killed)
        else:
            self._line = greenlet(lambda: None)
            self._line.switch()

    def _do(self, work: Callable[[Any], Any], shared: Stopping) -> None:
        try:
            self.result = work(shared)
        except Killed:
            return
        except (StaleDecisionError, RecordError) as error:
            self.refusal = error


class World:
    """Processes that run together, and the time."""

    def __init__(self, shared: MemoryRegistry) -> None:
        self.shared = shared
        self.time = 0.0
        self.processes: list[Process] = []

    def start(self, *works: Callable[[Any], Any]) -> list[Process]:
        started = [Process(self.shared, work) for work in works]
        self.processes += started
        return started

    def run(self, choices: Iterator[tuple[int, bool]]) -> None:
        """Run until all have ended; each choice picks who goes on, and whether it is killed instead."""
        for _ in range(20_000):
            alive = [process for process in self.processes if process.alive]
            if not alive:
                return
            ready = [process for process in alive if not process.waits]
            if not ready:
                self.time += 1.0
                ready = alive
            who, dies = next(choices, (0, False))
            chosen = ready[who % len(ready)]
            if dies:
                chosen.kill()
            else:
                chosen.step()
        raise AssertionError("they never come to an end")


@contextmanager
def world() -> Iterator[World]:
    """A world with a clock of its own."""
    made = World(MemoryRegistry())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alias_log, "time", SimpleNamespace(monotonic=lambda: made.time))
        yield made


def wait(_: float) -> None:
    give_way("wait")
