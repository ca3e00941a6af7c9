"""Triggers for an asset's watcher: a decision to retrain, or new data, becomes an asset event.

An event is never lost, and may be repeated: after a restart, or by two triggerers for a moment. Its `key` is the same
then, so that what follows is done once.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any, ClassVar

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.triggers.base import Failures, Stamped
from airflow_mlops.triggers.shared_polls import PollAnswer, question, tick, until_tick
from airflow_mlops.triggers.source_probe import change_token, is_files, name_of, place_of

SETTLED = 10.0
"""Seconds after which an event that was handed to the triggerer is in Airflow's database: only then the cursor moves
there too, or a crash between the two would lose the event."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOME_WINDOW = Window(start=_EPOCH, end=_EPOCH + timedelta(days=1))
"""The mark of files does not depend on it."""
_SESSION = threading.Lock()
"""MLflow's sessions use the environment of the process: one at a time."""

Found = Sequence[tuple[Any, dict[str, Any]]]
"""Cursor and payload of each event, in order."""


class CursorTrigger(BaseEventTrigger):
    """Emits what is newer than a cursor, which Airflow keeps with the watched asset.

    A look that fails is logged once and tried again for ever.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    interval: float
    model: str

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, for the triggerer."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {n: getattr(self, n) for n in self.arguments}

    @abstractmethod
    async def look(self, cursor: Any) -> PollAnswer:
        """Return what is newer than the cursor, as :data:`Found`. None: nothing was emitted yet."""

    @property
    @abstractmethod
    def beat(self) -> str:
        """What is looked at, in a word."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look for ever."""
        failures, clock = Failures(self.log), asyncio.get_running_loop().time
        cursor = kept = await self._recall(failures)
        moved = clock()
        while True:
            answer = await self.look(cursor)
            failures.count(answer.error)
            for reached, payload in answer.value or ():
                yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
                cursor, moved = reached, clock()
            await asyncio.sleep(until_tick(self.beat, self.interval))
            if cursor != kept and clock() - moved >= SETTLED and await self._keep(cursor, failures):
                kept = cursor

    @property
    def _name(self) -> str:
        return f"airflow_mlops.{type(self).__name__}.{self.model}"

    async def _recall(self, failures: Failures) -> Any:
        while self.asset_state_store is not None:
            try:
                return await self.asset_state_store.aget(self._name)
            except Exception as error:  # noqa: BLE001 - without the cursor events would be lost: wait until it is there
                failures.count(error)
            await asyncio.sleep(min(self.interval, SETTLED))
        return None

    async def _keep(self, cursor: Any, failures: Failures) -> bool:
        if self.asset_state_store is None:
            return True
        try:
            await self.asset_state_store.aset(self._name, cursor)
        except Exception as error:  # noqa: BLE001 - tried again; until then a restart repeats events
            failures.count(error)
            return False
        return True


class RetrainEventTrigger(CursorTrigger):
    """Emits each decision to retrain that is newly in the model's log in MLflow.

    For loops whose decisions are made elsewhere: `<model>.monitor` emits its own without a watcher. The payload has
    `as_of`, `key` and `reasons`. At first, without a cursor, only the newest decision is emitted: it stands for those
    before it.

    Parameters
    ----------
    model
        The specification's name.
    conn_id
        Connection of MLflow.
    interval
        Seconds within which a decision is noticed.
    """

    arguments = ("model", "conn_id", "interval")

    def __init__(self, model: str, conn_id: str = "mlflow_default", interval: float = 60.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.conn_id = conn_id
        self.interval = interval

    @property
    def beat(self) -> str:
        """The log's name."""
        return f"decisions {self.conn_id} {self.model}"

    async def look(self, cursor: int | None) -> PollAnswer:
        """Read the log."""
        log = question((self.beat, self.interval), f"mlflow {self.conn_id}")
        answer = await log.answer(tick(self.beat, self.interval), partial(_decisions, self.conn_id, self.model))
        if answer.error is not None:
            return answer
        logged: Found = answer.value
        found = logged[-1:] if cursor is None else [entry for entry in logged if entry[0] > cursor]
        return PollAnswer(answer.version, found)


class NewDataEventTrigger(CursorTrigger):
    """Emits when the newest event time of a source passes the next multiple of `step`, counted from 1970 in UTC.

    The payload's `as_of` is that multiple, and `key` names it. Several that were passed since the last look make one
    event, for the newest; so does the first look, without a cursor. Rows of the future do not count before their time.

    Parameters
    ----------
    source
        The specification's `data.source`, as plain JSON.
    time
        Event-time column.
    step
        Seconds, a length of event time.
    model
        The specification's name.
    data_root
        Folder that relative paths start from; empty: the triggerer's `[mlops] data_root`.
    interval
        Seconds within which an arrival is noticed.
    """

    arguments = ("source", "time", "step", "model", "data_root", "interval")

    def __init__(  # noqa: PLR0917 - as they are serialised
        self, source: dict[str, Any], time: str, step: float, model: str, data_root: str = "", interval: float = 300.0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source = source
        self.time = time
        self.step = step
        self.model = model
        self.data_root = data_root
        self.interval = interval

    @property
    def beat(self) -> str:
        """The source's name."""
        return name_of(self.source, self._root)

    async def look(self, cursor: str | None) -> PollAnswer:
        """Look at the mark of files, and for rows beyond the cursor when there may be some."""
        last = _boundaries_before(datetime.now(UTC), self.step)
        version: Any = None
        if is_files(self.source):
            marked = await self._stamped.mark(partial(change_token, self.source, self._root, self.time, _SOME_WINDOW))
            if marked.error is not None:
                return marked
            version = (marked.value, last, cursor)
        first = 0 if cursor is None else (datetime.fromisoformat(cursor) - _EPOCH) // timedelta(seconds=self.step) + 1
        find = partial(_newest_passed, self.source, self._root, self.time, self.step, first)
        answer = await self._stamped.ask(("newest", self.time, self.step, self.model), version, find)
        if answer.error is not None or answer.value is None:
            return answer
        if answer.value < first:  # this beat's answer, again, to who has just emitted it
            return PollAnswer(answer.version)
        as_of = _boundary(answer.value, self.step).isoformat()
        payload = {
            "as_of": as_of,
            "key": f"{self.model}/new_data/{as_of}",
            "reasons": [f"rows up to {as_of} have arrived"],
        }
        return PollAnswer(answer.version, [(as_of, payload)])

    @cached_property
    def _stamped(self) -> Stamped:
        return Stamped(self.beat, place_of(self.source, self._root), self.interval)

    @cached_property
    def _root(self) -> str:
        from airflow_mlops.config import settings

        return self.data_root or settings().data_root


def _decisions(conn_id: str, model: str) -> Found:
    """Return the decisions to retrain in a model's log, oldest first; runs in a thread."""
    from airflow_mlops.hooks.mlflow import MLflowHook

    with _SESSION, MLflowHook(conn_id).records() as records:
        logged = records.retraining_log.decisions(model)
    return [
        (decision.number, {"as_of": decision.as_of.isoformat(), "key": decision.key, "reasons": list(decision.reasons)})
        for decision in logged
        if decision.action == "retrain" and decision.number is not None
    ]


def _newest_passed(source: dict[str, Any], data_root: str, time: str, step: float, first: int) -> int | None:
    """Return the newest boundary, by number from `first` on, that a row has reached; None if none is.

    Whether a row lies between a boundary and now can only turn from true to false as the boundary moves on, so the
    newest one is found by halving, each time with a question that the first row answers.
    """
    from airflow_mlops.spec.data import source_from
    from airflow_mlops.stores.open_source import open_source

    now = datetime.now(UTC)
    last = _boundaries_before(now, step)
    store = open_source(source_from(source), data_root=data_root)

    def reached(number: int) -> bool:
        return store.has_rows(Window(start=_boundary(number, step), end=now), time)

    if first > last or not reached(first):
        return None
    while first < last:
        middle = (first + last + 1) // 2
        if reached(middle):
            first = middle
        else:
            last = middle - 1
    return first


def _boundary(number: int, step: float) -> datetime:
    return _EPOCH + number * timedelta(seconds=step)


def _boundaries_before(moment: datetime, step: float) -> int:
    """Return the number of the last boundary that lies before an instant.

    >>> _boundaries_before(_EPOCH + timedelta(days=2), 86_400), _boundaries_before(_EPOCH + timedelta(days=2.5), 86_400)
    (1, 2)
    """
    return -((_EPOCH - moment) // timedelta(seconds=step)) - 1
