"""Looks that many triggers share: in few threads, one at a time for each question, beside the triggerer's loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary
from zlib import crc32

THREADS = 8
"""Looks at once, of all sources."""
PER_PLACE = 2
"""Looks at once of one database, object store or disk: one that hangs must not keep the others waiting."""
PACE = 0.9
"""Share of the poke interval from one look to the next: the rest is for the look itself, so that an arrival is noticed
within the interval."""


@dataclass(frozen=True)
class PollAnswer:
    """What a look found, or why it failed."""

    version: Hashable
    value: Any = None
    error: Exception | None = None


class PollQuestion:
    """What triggers with the same question share: at most one look at a time, and its answer.

    Made by :func:`question`; it lives as long as a trigger holds it.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._asked: Hashable = None
        self._look: asyncio.Task[PollAnswer] | None = None

    async def answer(self, version: Hashable, look: Callable[[], Any]) -> PollAnswer:
        """Return the answer for a version; look, in a thread, if nobody has asked for this version yet.

        A caller that is cancelled leaves the look to the others. A look that hangs holds one thread, however often it
        is asked for.
        """
        while True:
            running = self._look
            if running is None or (running.done() and self._asked != version):
                self._asked = version
                running = self._look = asyncio.create_task(_in_thread(self.place, version, look))
            found = await asyncio.shield(running)
            if found.version == version:
                return found


@dataclass
class _Shared:
    """What is shared within one event loop."""

    questions: WeakValueDictionary[Hashable, PollQuestion] = field(default_factory=WeakValueDictionary)
    places: dict[str, asyncio.Semaphore] = field(default_factory=dict)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


def question(key: Hashable, place: str) -> PollQuestion:
    """Return the one question of this event loop that has a key."""
    questions = _shared().questions
    found = questions.get(key)
    if found is None:
        found = questions[key] = PollQuestion(place)
    return found


def tick(key: str, interval: float) -> int:
    """Return the number of the current beat: all that wait for the same key look at the same instants.

    Different keys beat at different instants, so that a thousand sources are not looked at in the same second.
    """
    return math.floor((asyncio.get_running_loop().time() - _offset(key, interval)) / _beat(interval))


def until_tick(key: str, interval: float) -> float:
    """Return the seconds to the next beat."""
    following = (tick(key, interval) + 1) * _beat(interval) + _offset(key, interval)
    return max(0.0, following - asyncio.get_running_loop().time())


def _beat(interval: float) -> float:
    return max(PACE * interval, 0.001)


def _offset(key: str, interval: float) -> float:
    return crc32(key.encode()) / 2**32 * _beat(interval)


def _shared() -> _Shared:
    return _of_loop.setdefault(asyncio.get_running_loop(), _Shared())


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="mlops-look")


async def _in_thread(place: str, version: Hashable, look: Callable[[], Any]) -> PollAnswer:
    turns = _shared().places.setdefault(place, asyncio.Semaphore(PER_PLACE))
    async with turns:
        try:
            return PollAnswer(version, await asyncio.get_running_loop().run_in_executor(_threads(), look))
        except Exception as error:  # noqa: BLE001 - those who asked decide what to do about it
            return PollAnswer(version, error=error)
