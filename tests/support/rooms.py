"""What a test needs, found from the fixtures it uses; which tests run on one worker; and proof that the rest is fast.

A test is marked by what it starts, not by what somebody remembered to write: `mlflow`, `postgres` and `airflow` by the
fixtures in its closure, `server` where it listens itself (an S3 endpoint, a webhook), `slow` by its folder or by a
fixture that takes long to make. A file that starts a server without such a fixture says so in its `pytestmark`.
`quick()` holds every other test to it: what listens on a port, leaves this machine or starts a server's program fails
there.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

MARKS = {
    "mlflow_uri": "mlflow",
    "postgres_url": "postgres",
    "airflow_home": "airflow",
    "stack": "airflow",
    "topology": "airflow",
    "bucket": "server",
    "moto": "server",
    "helm": "helm",
    "cluster": "k8s",
}
"""Fixture: what it starts."""

PLACES = {"postgres": "postgres", "s3": "server"}
"""Word of a parameter's name: a test that is repeated for each kind of place asks for a fixture while it runs."""

SERVERS = frozenset({*MARKS.values()})
LONG = ("built_flights", "preloaded", "topology")
"""Fixtures that take ten seconds or more to make: a year of flights, an interpreter with every library, a fleet."""
SLOW = ("simulations", "properties", "stack", "chaos", "kill")
"""Folders of tests/ in which a test takes minutes, or draws hundreds of worlds or cases. Others are marked by hand."""
TOGETHER = ("stack", "chaos", "kill", "sensors")
"""Folders of tests/ whose files share what is dear to start: one worker runs all of them."""
FIRST = ("stack", "deploy", "kill", "chaos", "simulations", "loop", "operators", "core/backtest", "stores")
"""Folders with the longest files, in order: two workers end at about the same time when these are begun first."""


def folder_of(path: str) -> str:
    """Return the folder below tests/ of a file or of a node id; what lies elsewhere has none."""
    below = path.split("::", 1)[0].replace("\\", "/").partition("tests/")[2]
    return below.rpartition("/")[0]


def group_of(nodeid: str) -> str:
    """Return the name of what must run on one worker: a file, or a folder that shares servers."""
    top = folder_of(nodeid).partition("/")[0]
    return f"tests/{top}" if top in TOGETHER else nodeid.split("::", 1)[0]


def rank_of(nodeid: str) -> int:
    """Return the place of a test's folder in FIRST; the rest comes after them."""
    folder = folder_of(nodeid)
    return next((n for n, name in enumerate(FIRST) if folder == name or folder.startswith(f"{name}/")), len(FIRST))


def mark(item: pytest.Item) -> None:
    """Mark a test by the fixtures it uses and by its folder."""
    for fixture in getattr(item, "fixturenames", ()):
        if fixture in MARKS:
            item.add_marker(MARKS[fixture])
        if fixture in LONG:
            item.add_marker("slow")
    callspec = getattr(item, "callspec", None)
    for value in callspec.params.values() if callspec else ():
        name = value if isinstance(value, str) else getattr(value, "__name__", "")
        for word in str(name).split("_"):
            if word in PLACES:
                item.add_marker(PLACES[word])
    if folder_of(item.nodeid).partition("/")[0] in SLOW:
        item.add_marker("slow")


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Return pytest-xdist's scheduler: a file is run by one worker, and so is a folder that shares servers."""
    from xdist.scheduler import LoadScopeScheduling

    class Rooms(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False  # by the number of tests, the stack would come last and alone
    return Rooms(config, log)


# -- a test without such a mark starts nothing ------------------------------------------------------------------------

_watch: list[str] | None = None
_hooked = False
PROGRAMS = ("mlflow server", "airflow standalone", "airflow api-server", "airflow scheduler", "airflow db", "initdb")
PROGRAMS += ("postgres ", "pg_ctl", "uvicorn", "gunicorn")
NETWORK = (socket.AF_INET, socket.AF_INET6)


def _heard(event: str, arguments: Sequence[Any]) -> str | None:
    """Return what a test does that a quick one may not, or None."""
    if event in ("socket.bind", "socket.connect") and arguments[0].family in NETWORK:
        return f"{event} {arguments[1]}"
    if event == "subprocess.Popen":
        program, words = arguments[0], arguments[1]
        # "mlflow" is a module's name in `-m mlflow server`, and a path's end elsewhere.
        line = " ".join(map(str, [Path(str(program)).name, *words] if not isinstance(words, str) else [words]))
        return next((f"starts {name.strip()}" for name in PROGRAMS if name in f"{line} "), None)
    return None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch is not None and event in ("socket.bind", "socket.connect", "subprocess.Popen"):
        heard = _heard(event, arguments)
        if heard:
            _watch.append(heard)
            raise PermissionError(f"a test without a server's mark: {heard}")


@contextmanager
def quick() -> Iterator[list[str]]:
    """Refuse the network and servers while it is open, and yield what was tried.

    The interpreter's audit events tell of every socket and every process, whichever library opens it, in every thread
    and every forked child. A child that is another program is judged by its command line alone.
    """
    global _watch, _hooked  # noqa: PLW0603 - an audit hook is the process's, and cannot be taken out again
    if not _hooked:
        import urllib3.util.connection  # noqa: F401 - asks once, while it is imported, whether [::1] can be bound

        sys.addaudithook(_hook)
        _hooked = True
    before, _watch = _watch, []
    tried = _watch
    try:
        yield tried
    finally:
        _watch = before
