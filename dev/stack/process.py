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
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL = 0.1
_TAIL_BYTES = 16_384


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


def start_mark(pid: int) -> str | None:
    """Return what tells this process from any other that has or had its pid; None when it is gone or a zombie.

    Linux: the boot's id and the start in clock ticks, which no change of the clock moves. Elsewhere: the start time.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if sys.platform != "linux":
            return f"{process.create_time():.2f}"
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # the second field is the program's name in brackets and may hold spaces: count from behind it
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return f"{boot}:{fields[19]}"
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


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Processes that this very command started: they must be reaped, and their exit status can be told."""


def exit_status(service: Service) -> str:
    """Say how a process ended, as far as this command can know."""
    child = _children.get(service.pid)
    code = child.poll() if child else None
    if code is None:
        return "is gone"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def run(command: Sequence[str], environment: Mapping[str, str], log: Path, *, timeout: float = 300) -> int:
    """Run a command to its end, its output appended to `log`; return its status."""
    service = spawn(Path(command[0]).name, command, environment, log, log.parent)
    try:
        return _children[service.pid].wait(timeout)
    except BaseException:
        stop([service], seconds=2)
        raise


def tail(log: str | Path, lines: int = 12) -> str:
    """Return the last lines of a log."""
    path = Path(log)
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return "\n".join(file.read().decode(errors="replace").rstrip().splitlines()[-lines:])


def family(service: Service) -> list[psutil.Process]:
    """Return the live processes of the service: itself, its session (workers and their tasks), and its descendants.

    As long as any process of a session lives, the system gives the session's number to no other process. So when
    another process has the leader's pid now, none of the session is left. Descendants that leave the session, as
    PostgreSQL's do, can only be found while the leader lives.
    """
    mark = start_mark(service.pid)
    if not _same_boot(service) or (mark is not None and mark != service.started):
        return []
    found = {process for process in psutil.process_iter() if _session(process) == service.pid}
    with suppress(psutil.NoSuchProcess):  # the leader is gone
        found |= {
            child for child in psutil.Process(service.pid).children(recursive=True) if _session(child) is not None
        }
    return sorted(found, key=lambda process: process.pid)


def _session(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.Error, OSError):
        return None


def _same_boot(service: Service) -> bool:
    mine = start_mark(os.getpid()) or ""
    return sys.platform != "linux" or service.started.partition(":")[0] == mine.partition(":")[0]


def stop(services: Iterable[Service], *, seconds: float, first: signal.Signals = signal.SIGTERM) -> None:
    """Ask the processes to end, wait, and end what is left of their sessions."""
    services = list(services)
    families = {process for service in services for process in family(service)}
    for service in services:
        if service.alive:
            _send(service.pid, first)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(_running(service) for service in services):
        time.sleep(POLL)
    families |= {process for service in services for process in family(service)}
    for process in families:
        if _session(process) is not None and process.is_running():  # psutil compares the start time too
            _send(process.pid, signal.SIGKILL)
    while any(_running(service) for service in services) or any(_session(process) is not None for process in families):
        time.sleep(POLL)


def _running(service: Service) -> bool:
    child = _children.get(service.pid)
    if child is not None and child.poll() is not None:
        return False
    return service.alive


def _send(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return  # it ended by itself in between


def memory(services: Iterable[Service]) -> tuple[int, int]:
    """Return the bytes of memory of all the families: proportional share (Linux; else resident), and resident.

    The proportional share counts a page that n processes share as 1/n in each, so the sum is what the stack really
    takes. The resident sum counts the page n times.
    """
    share = resident = 0
    for service in services:
        for process in family(service):
            try:
                info = process.memory_full_info()
            except psutil.Error:
                continue  # a task ended while we were counting
            share += getattr(info, "pss", info.rss)
            resident += info.rss
    return share, resident
