"""Lead dialogues forward side by side, and have every piece of work that they ask for done once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.backtest.policies import Dialogue, Result
from airflow_mlops.core.backtest.tasks import Need
from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.core.records.backtest import Answer
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    from airflow_mlops.core.backtest.worker import Opening, Workshop

Tell = Callable[[int, int, str], None]
"""Told whenever a piece of work is done: pieces done, pieces asked for so far, and the newest in words."""


@dataclass
class Crew:
    """Hands pieces of work to processes, each piece once, and their answers to those who asked."""

    submit: Callable[[Need], Future[Answer]]
    tell: Tell
    at_once: int
    answers: dict[Need, Answer] = field(default_factory=dict)
    running: dict[Future[Answer], Need] = field(default_factory=dict)
    waiting: dict[Need, Need] = field(default_factory=dict)
    """Asked for and not yet handed out, oldest first."""

    def lead(self, dialogues: Sequence[Dialogue[Result]]) -> list[Result]:
        """Lead every dialogue to its end; return what they return, in their order."""
        results: dict[int, Result] = {}
        open_: dict[int, tuple[Need, ...]] = {}
        for number, dialogue in enumerate(dialogues):
            self._forward(number, dialogue, None, open_, results)
        while open_:
            self._hand_out()
            if self.running:
                self._take_in()
            for number in [one for one, needs in open_.items() if all(map(self._known, needs))]:
                answers = tuple(self.answers[need] for need in open_.pop(number))
                self._forward(number, dialogues[number], answers, open_, results)
        return [results[number] for number in range(len(dialogues))]

    def _forward(
        self,
        number: int,
        dialogue: Dialogue[Result],
        answers: tuple[Answer, ...] | None,
        open_: dict[int, tuple[Need, ...]],
        results: dict[int, Result],
    ) -> None:
        """Send answers, and again as long as everything that is asked next is known already."""
        try:
            needs = next(dialogue) if answers is None else dialogue.send(answers)
            while all(map(self._known, needs)):
                needs = dialogue.send(tuple(self.answers[need] for need in needs))
        except StopIteration as ended:
            results[number] = ended.value
            return
        open_[number] = needs
        under_way = set(self.running.values())
        for need in needs:
            if not self._known(need) and need not in under_way:
                self.waiting.setdefault(need, need)

    def _known(self, need: Need) -> bool:
        return need in self.answers

    def _hand_out(self) -> None:
        """Keep every process busy, and one piece ready for each."""
        while self.waiting and len(self.running) < 2 * self.at_once:
            need = self.waiting.pop(next(iter(self.waiting)))
            self.running[self.submit(need)] = need

    def _take_in(self) -> None:
        done, _ = wait(self.running, return_when=FIRST_COMPLETED)
        for future in done:
            need = self.running.pop(future)
            self.answers[need] = _result(future)
            self.tell(len(self.answers), len(self.answers) + len(self.running) + len(self.waiting), need.words)


@contextmanager
def crew(opening: Opening, *, workers: int, tell: Tell) -> Iterator[Crew]:
    """Open processes for pieces of work; with one worker all is done in this process.

    Each process uses its share of the cores: libraries that start a thread for each core would wait for each other.
    """
    if workers <= 1:
        from airflow_mlops.core.backtest.worker import Workshop

        workshop = Workshop(opening)
        yield Crew(submit=lambda need: _at_once(workshop, need), tell=tell, at_once=1)
        return
    with _processes(opening, workers) as executor:
        yield Crew(submit=lambda need: executor.submit(_work, need), tell=tell, at_once=workers)


def _at_once(workshop: Workshop, need: Need) -> Future[Answer]:
    made: Future[Answer] = Future()
    made.set_result(workshop.do(need))
    return made


@contextmanager
def _processes(opening: Opening, workers: int) -> Iterator[Executor]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    threads = max(1, (os.cpu_count() or 1) // workers)
    # A forked process would inherit locks that threads of the libraries hold: it is started afresh.
    executor = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(opening, threads))
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


_workshop: Workshop | None = None


def _begin(opening: Opening, threads: int) -> None:
    """First words of a process: its threads, and that it must not outlive who started it."""
    import signal
    import threading
    import warnings

    global _workshop  # noqa: PLW0603 - a process of the pool has one workshop, and no other place to keep it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that leads is interrupted, and ends this one
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    # skops asks every loaded module for the names of numpy and scipy functions; Airflow's old names warn of that.
    warnings.filterwarnings("ignore", message="The `airflow[.].*is deprecated")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from airflow_mlops.core.backtest.worker import Workshop

    _workshop = Workshop(opening)


def _end_with_parent() -> None:
    from multiprocessing import parent_process

    parent: Any = parent_process()
    parent.join()
    os._exit(1)


def _work(need: Need) -> Answer:
    if _workshop is None:
        raise RuntimeError("a process that was not begun was given work")
    return _workshop.do(need)


def _result(future: Future[Answer]) -> Answer:
    from concurrent.futures.process import BrokenProcessPool

    try:
        return future.result()
    except BrokenProcessPool as error:
        raise StoreUnavailableError(
            Problem(
                code=ReasonCode.STORE_UNAVAILABLE,
                field="--workers",
                found="a process of the backtest ended before its work did",
                allowed="processes that live",
                fix="look whether the memory ran out; then run again, with fewer --workers: what is finished is kept",
            )
        ) from error
