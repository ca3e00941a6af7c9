"""Start, recognise, stop and weigh the processes of the stack.

Every process is the leader of a session of its own, so Ctrl-C in the terminal reaches only the command that was typed,
and everything that a process forks can be found again by its session. A process is recognised by its pid together with
its start time: a pid that the system has given to another program is never touched.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL = 0.1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT = f"{_BOOT_ID.read_text().strip()}:" if _BOOT_ID.exists() else ""
_children: dict[int, subprocess.Popen[bytes]] = {}
"""Processes that this very command started: they must be reaped, and their exit status can be told."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One process that was started: enough to find it again from another command."""

    name: str
    pid: int
    started: str
    log: str

    @property
    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return start_mark(self.pid) == self.started

    @property
    def ending(self) -> str:
        """How it ended, as far as this command can know, and the last lines of its log."""
        child = _children.get(self.pid)
        status = child.poll() if child else None
        how = f"was ended by {signal.Signals(-status).name}" if status and status < 0 else f"ended with status {status}"
        return f"{self.name} {'is gone' if status is None else how}; the end of {self.log}:\n{tail(self.log)}"


def start_mark(pid: int) -> str | None:
    """Return what tells this process from any other that has or had its pid; None when it is gone or a zombie.

    Linux: the boot's id and the start in clock ticks, which no change of the clock moves; psutil keeps the ticks to
    itself and tells a time of day. Elsewhere: that time.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if sys.platform != "linux":
            return f"{process.create_time():.2f}"
        # the second field is the program's name in brackets and may hold spaces: count from behind it
        return _BOOT + Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (psutil.Error, OSError):
        return None


def spawn(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path) -> Service:
    """Start a process in a session of its own, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} starting {name}\n".encode())
        output.flush()
        child = subprocess.Popen(
            command, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    _children[child.pid] = child
    return Service(name=name, pid=child.pid, started=start_mark(child.pid) or "gone at once", log=str(log))


def run(command: Sequence[str], environment: Mapping[str, str], log: Path, *, timeout: float = 300) -> int:
    """Run a command to its end, its output appended to `log`; return its status. It does not outlive this call."""
    service = spawn(Path(command[0]).name, command, environment, log, log.parent)
    try:
        return _children[service.pid].wait(timeout)
    finally:
        stop([service], seconds=2)


def tail(log: str | Path, lines: int = 12) -> str:
    """Return the last lines of a log."""
    path = Path(log)
    if not path.exists():
        return ""
    with path.open(errors="replace") as file:
        return "".join(deque(file, lines)).rstrip()


def family(service: Service) -> set[psutil.Process]:
    """Return the live processes of the service: itself, its session (workers and their tasks), and its descendants.

    As long as any process of a session lives, the system gives the session's number to no other process. So when
    another process has the leader's pid now, none of the session is left. Descendants that leave the session, as
    PostgreSQL's do, can only be found while the leader lives.
    """
    if not service.started.startswith(_BOOT) or start_mark(service.pid) not in {None, service.started}:
        return set()
    found = {process for process in psutil.process_iter() if _session(process) == service.pid}
    with suppress(psutil.NoSuchProcess):  # the leader is gone
        found |= set(psutil.Process(service.pid).children(recursive=True))
    return {process for process in found if _session(process) is not None}


def _session(process: psutil.Process) -> int | None:
    """Return the session's number; None for a process that is gone or a zombie."""
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.Error, OSError):
        return None


def stop(services: Iterable[Service], *, seconds: float, first: signal.Signals = signal.SIGTERM) -> None:
    """Ask the processes to end, wait, and end what is left of their families."""
    services = list(services)
    found = {process for service in services for process in family(service)}
    for service in services:
        if service.alive:
            with suppress(ProcessLookupError):  # it ended by itself in between
                os.kill(service.pid, first)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(service.alive for service in services):
        time.sleep(POLL)
    found |= {process for service in services for process in family(service)}
    for process in found:
        with suppress(psutil.NoSuchProcess):  # psutil compares the start time: a recycled pid is none of ours
            process.kill()
    while any(process.is_running() and _session(process) is not None for process in found):
        time.sleep(POLL)
    for service in services:
        if child := _children.get(service.pid):
            child.poll()  # reaps it


def memory(services: Iterable[Service]) -> tuple[int, int]:
    """Return the bytes of memory of all the families: proportional share (Linux; else resident), and resident.

    The proportional share counts a page that n processes share as 1/n in each, so the sum is what the stack really
    takes. The resident sum counts the page n times.
    """
    share = resident = 0
    for process in (process for service in services for process in family(service)):
        with suppress(psutil.Error):  # a task ended while we were counting
            info = process.memory_full_info()
            share += getattr(info, "pss", info.rss)
            resident += info.rss
    return share, resident
