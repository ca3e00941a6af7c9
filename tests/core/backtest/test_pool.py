"""Calls side by side: each answer once, in order, in no more processes than asked for; failures say whose they are."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import psutil
import pytest

from airflow_mlops.core.backtest.pool import Call, open_runner
from airflow_mlops.core.errors import DataError, StoreUnavailableError
from tests.support.backtest_calls import count, end_process, refuse, sources

pytestmark = pytest.mark.slow  # each process imports the package afresh
NAMES = ["a", "bb", "ccc", "dddd"]


def counting(log: Path, names: list[str]) -> list[Call[int]]:
    return [Call(f"count of {name}", count, (str(log), name)) for name in names]


def quiet(ended: int, asked: int, newest: str) -> None:
    assert 1 <= ended <= asked, newest


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_answers_come_in_order_and_each_is_computed_once(tmp_path: Path, workers: int) -> None:
    told: list[tuple[int, int, str]] = []
    asked = [*NAMES, *NAMES, *reversed(NAMES)]
    with open_runner(sources(tmp_path), workers=workers, tell=lambda *progress: told.append(progress)) as runner:
        assert runner.run(counting(tmp_path / "log", asked)) == [len(name) for name in asked]
        assert runner.run(counting(tmp_path / "log", ["bb", "eeeee"])) == [2, 5]
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert Counter(name for name, _ in lines) == Counter([*NAMES, "eeeee"])
    processes = {int(process) for _, process in lines}
    assert len(processes) <= workers
    assert (os.getpid() in processes) is (workers == 1)
    assert [(ended, all_) for ended, all_, _ in told] == [*((n, 12) for n in range(1, 13)), (13, 14), (14, 14)]
    assert {name for _, _, name in told} == {f"count of {name}" for name in [*NAMES, "eeeee"]}


def test_what_is_finished_starts_no_process(tmp_path: Path) -> None:
    with open_runner(sources(tmp_path), workers=1, tell=quiet) as runner:
        runner.run(counting(tmp_path / "log", NAMES))
    before = psutil.Process().children(recursive=True)
    with open_runner(sources(tmp_path), workers=2, tell=quiet) as runner:
        assert runner.run(counting(tmp_path / "log", NAMES)) == [1, 2, 3, 4]
        assert psutil.Process().children(recursive=True) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_says_of_which_task_and_call_it_is(tmp_path: Path, workers: int) -> None:
    call = Call("policy x", refuse, ("x",))
    with (
        pytest.raises(DataError, match="orders: orders: found no row") as raised,
        open_runner(sources(tmp_path), workers=workers, tell=quiet) as runner,
    ):
        runner.run([call])
    assert raised.value.__notes__ == ["while at work on: refusing x", "in the backtest's policy x"]


def test_a_process_that_ends_is_one_sentence_that_names_the_work(tmp_path: Path) -> None:
    calls = [*counting(tmp_path / "log", ["a"]), Call("policy x", end_process, ("x",))]
    with (
        pytest.raises(StoreUnavailableError, match="--workers: found a process .* unfinished: .*policy x"),
        open_runner(sources(tmp_path), workers=2, tell=quiet) as runner,
    ):
        runner.run(calls)
