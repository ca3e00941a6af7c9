"""The processes of a backtest: calls of its functions side by side, in as many processes as were asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from airflow_mlops.core.backtest.cache import UnfinishedError
from airflow_mlops.core.backtest.inputs import Inputs, InputSources
from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.spec.problems import Problem, ReasonCode

Result = TypeVar("Result")
SHOWN = 3
"""Calls that are named when a process ended: those that were at work are the oldest."""
Tell = Callable[[int, int, str], None]
"""Told whenever a call has ended: calls that ended, calls asked for so far, and the newest in words."""


@dataclass(frozen=True)
class Call(Generic[Result]):
    """A function that any process finds by its name, and what it is called with after the inputs."""

    name: str
    function: Callable[..., Result]
    arguments: tuple[Any, ...]

    def __call__(self, inputs: Inputs) -> Result:
        """Call the function; a failure gets a note that names the call."""
        try:
            return self.function(inputs, *self.arguments)
        except UnfinishedError:
            raise
        except Exception as error:
            error.add_note(f"in the backtest's {self.name}")
            raise


class CallRunner:
    """Runs calls, in this process (`executor` None) or in those of the executor, and tells of the progress."""

    def __init__(self, inputs: Inputs, executor: Executor | None, tell: Tell) -> None:
        self._inputs, self._executor, self._tell = inputs, executor, tell
        self._ended = self._asked = 0

    def run(self, calls: Sequence[Call[Result]]) -> list[Result]:
        """Run every call; return the results in the order of the calls.

        Raises
        ------
        StoreUnavailableError
            If a process ended before its work did.
        Exception
            What a call raises, with a note that names it.
        """
        from concurrent.futures.process import BrokenProcessPool

        self._asked += len(calls)
        results: dict[int, Result] = {}
        try:
            for number, result in self._run(calls):
                results[number] = result
                self._ended += 1
                self._tell(self._ended, self._asked, calls[number].name)
        except BrokenProcessPool as error:
            raise _broken([call.name for number, call in enumerate(calls) if number not in results]) from error
        return [results[number] for number in range(len(calls))]

    def _run(self, calls: Sequence[Call[Result]]) -> Iterator[tuple[int, Result]]:
        """Numbers of the calls as they end, with their results."""
        running: dict[Future[Result], int] = {}
        for number, call in enumerate(calls):
            try:
                result = call(self._inputs)
            except UnfinishedError:
                if self._executor is None:
                    raise
                running[self._executor.submit(_run_in_worker, call)] = number
            else:
                yield number, result
        for future in as_completed(running):
            yield running[future], future.result()


@contextmanager
def open_runner(sources: InputSources, *, workers: int, tell: Tell) -> Iterator[CallRunner]:
    """Open so many processes; with one worker all is done in this process.

    With more, this process only looks whether the answers to a call are there already, and starts none if all are.
    Each process uses its share of the cores: libraries that start a thread for each core would wait for each other.
    """
    if workers <= 1:
        yield CallRunner(sources.open(), None, tell)
        return
    import tempfile
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    threads = max(1, (os.cpu_count() or 1) // workers)
    with tempfile.NamedTemporaryFile(prefix="airflow_mlops_backtest_", suffix=".lock") as locks:
        shared = replace(sources, locks=Path(locks.name))
        # A forked process would inherit locks that threads of the libraries hold: it is started afresh.
        context = get_context("spawn")
        executor = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(shared, threads))
        try:
            yield CallRunner(shared.open(frozen=True), executor, tell)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


_inputs: Inputs | None = None


def _start_worker(sources: InputSources, threads: int) -> None:
    """Begin a process: its threads, and that it must not outlive who started it."""
    import signal
    import warnings

    global _inputs  # noqa: PLW0603 - a process of the pool has its inputs, and no other place to keep them
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that leads is interrupted, and ends this one
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    # skops asks every loaded module for the names of numpy and scipy functions; Airflow's old names warn of that.
    warnings.filterwarnings("ignore", message="The `airflow[.].*is deprecated")
    end_with_parent()
    _inputs = sources.open()


def end_with_parent() -> None:
    """Let this process end when the one that started it does, however that ends: nobody would ever take its answers."""
    import threading

    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    from multiprocessing import parent_process

    parent: Any = parent_process()
    parent.join()
    os._exit(1)


def _run_in_worker(call: Call[Result]) -> Result:
    if _inputs is None:
        raise RuntimeError("a process that was not begun was given work")
    return call(_inputs)


def _broken(unfinished: Sequence[str]) -> StoreUnavailableError:
    shown = ", ".join(unfinished[:SHOWN]) + (", ..." if len(unfinished) > SHOWN else "")
    return StoreUnavailableError(
        Problem(
            code=ReasonCode.STORE_UNAVAILABLE,
            field="--workers",
            found=f"a process of the backtest ended before its work did; unfinished: {shown}",
            allowed="processes that live",
            fix="look whether the memory ran out; then run again, with fewer --workers: what is finished is kept",
        )
    )
