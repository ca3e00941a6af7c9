"""Processes are started, recognised, stopped and weighed, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from dev.stack import process
from dev.stack.process import Service, family, memory, run, spawn, start_mark, stop, tail

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)
PARENT = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
    "process_group=0); print(child.pid, flush=True); time.sleep(600)"
)


def start(tmp_path: Path, code: str, name: str = "it") -> Service:
    return spawn(name, [sys.executable, "-c", code], os.environ, tmp_path / f"{name}.log", tmp_path)


def said(service: Service) -> str:
    """Wait for the first line that the process prints, and return it."""
    while len(lines := tail(service.log).splitlines()) < 2:
        assert service.alive, tail(service.log)
        os.sched_yield()
    return lines[1]


def test_a_process_is_alive_until_it_is_stopped(tmp_path: Path) -> None:
    service = start(tmp_path, "import time; time.sleep(600)")
    try:
        assert service.alive
        assert os.getsid(service.pid) == service.pid != os.getsid(0)
    finally:
        stop([service], seconds=10)
    assert not service.alive
    assert service.ending.startswith("it was ended by SIGTERM; the end of ")


def test_what_does_not_listen_is_killed(tmp_path: Path) -> None:
    service = start(tmp_path, STUBBORN)
    assert said(service) == "ready"
    stop([service], seconds=0.3)
    assert not service.alive
    assert service.ending.startswith("it was ended by SIGKILL; the end of ")
    assert service.ending.endswith("\nready")


def test_children_go_with_their_parent_even_from_a_process_group_of_their_own(tmp_path: Path) -> None:
    service = start(tmp_path, PARENT)
    child = int(said(service))
    assert {one.pid for one in family(service)} == {service.pid, child}
    stop([service], seconds=10)
    assert start_mark(child) is None


def test_children_are_found_after_their_parent_was_killed(tmp_path: Path) -> None:
    service = start(tmp_path, PARENT)
    child = int(said(service))
    os.kill(service.pid, signal.SIGKILL)
    process._children[service.pid].wait()
    assert {one.pid for one in family(service)} == {child}
    stop([service], seconds=1)
    assert start_mark(child) is None


def test_a_recycled_pid_is_never_touched(tmp_path: Path) -> None:
    """What stands in stack.json may name a pid that another program has by now."""
    mine = start(tmp_path, "import time; time.sleep(600)")
    recycled = replace(mine, started=f"{mine.started.rpartition(':')[0]}:1")
    other_boot = replace(mine, started="00000000-0000-0000-0000-000000000000:1")
    try:
        for stale in (recycled, other_boot):
            assert not stale.alive
            assert family(stale) == set()
            stop([stale], seconds=1)
            assert mine.alive
    finally:
        stop([mine], seconds=10)


def test_nothing_is_left_of_a_pid_that_never_was() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert start_mark(gone.pid) is None
    assert not Service(name="x", pid=gone.pid, started="x", log="").alive


def test_run_returns_the_status_and_keeps_the_output(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.log"
    assert run([sys.executable, "-c", "print('said'); raise SystemExit(3)"], os.environ, log) == 3
    assert "said" in tail(log)


def test_run_stops_what_takes_too_long(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    before = set(psutil.Process().children())  # servers of other tests
    with pytest.raises(subprocess.TimeoutExpired):
        run([sys.executable, "-c", "import time; time.sleep(600)"], os.environ, log, timeout=0.2)
    left = set(psutil.Process().children()) - before
    assert not [one for one in left if one.status() != psutil.STATUS_ZOMBIE]


def test_tail_of_a_long_log_is_its_end(tmp_path: Path) -> None:
    log = tmp_path / "long.log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert tail(log, 2) == "line 99998\nline 99999"
    assert tail(tmp_path / "missing.log") == ""


def test_memory_counts_the_whole_family(tmp_path: Path) -> None:
    service = start(tmp_path, PARENT)
    said(service)
    try:
        share, resident = memory([service])
        assert 0 < share <= resident
        assert resident > psutil.Process(service.pid).memory_info().rss
    finally:
        stop([service], seconds=10)
    assert memory([service]) == (0, 0)
