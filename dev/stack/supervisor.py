"""Bring the stack up and down: PostgreSQL, MLflow's server, and Airflow's four processes."""

from __future__ import annotations

import importlib.metadata
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from dev.errors import DevError
from dev.stack import postgres, services
from dev.stack.airflow_api import AirflowApi, answers
from dev.stack.home import Driver, Home, State
from dev.stack.process import Service, exit_status, run, spawn, stop, tail

USER = "admin"
_AIRFLOW = {
    "api-server": ("api-server",),
    # the log servers of these two would listen on every address of the machine; logs are read from the disk here
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
NAMES = ("postgres", "mlflow", *_AIRFLOW)
_START_SECONDS = 180
_POSTGRES_TRIES = 20
Say = Callable[[str], None]


class Stack:
    """The stack in one home folder. Use it under ``home.lock()``."""

    def __init__(self, home: Home, say: Say) -> None:
        self.home = home
        self.say = say
        self.state: State | None = None

    def up(self, dags: Path, command: str) -> bool:
        """Bring the stack up, or find it up; return whether this call started it.

        What an earlier command left behind in part, or left running when it was killed, is stopped first.

        Raises
        ------
        DevError
            If a process does not come up. Everything that was started is stopped again.
        """
        old = State.load(self.home)
        if old is not None and old.driver.command == "up" and old.dags == str(dags) and self._healthy(old):
            self.state = old
            return False
        if old is not None and any(service.alive for service in old.services):
            self.say("stopping what an earlier command left running")
        if old is not None:
            self._stop(old)
        try:
            self._start(self._new_state(old, dags, command))
        except BaseException:
            self.down()
            raise
        return True

    def down(self) -> list[str]:
        """Stop exactly the processes that were started; return the names of those that still ran."""
        state = self.state or State.load(self.home)
        if state is None:
            return []
        running = [service.name for service in state.services if service.alive]
        self._stop(state)
        self.state = None
        return running

    def check(self) -> None:
        """Notice a process that died.

        Raises
        ------
        DevError
            With its name, how it ended, and the last lines of its log.
        """
        for service in self.running.services:
            if not service.alive:
                told = f"{service.name} {exit_status(service)}; the end of {service.log}:\n{tail(service.log)}"
                raise DevError(told)

    def api(self) -> AirflowApi:
        """Return a client that is logged in to Airflow."""
        return AirflowApi(self.running.airflow_url, USER, self.running.password)

    @property
    def running(self) -> State:
        """Ports, password and processes of the stack that is up."""
        if self.state is None:
            raise DevError("the stack is not up")
        return self.state

    def _new_state(self, old: State | None, dags: Path, command: str) -> State:
        return State(
            airflow_port=_port(old.airflow_port if old else 0),
            mlflow_port=_port(old.mlflow_port if old else 0),
            password=old.password if old else secrets.token_urlsafe(12),
            secret=old.secret if old else secrets.token_hex(64),
            dags=str(dags),
            driver=Driver.this(command),
        )

    def _start(self, state: State) -> None:
        home = self.home
        home.make()
        self.state = state
        state.save(home)
        _write_passwords(home.passwords, state.password)
        self._start_postgres(services.base())
        self.say("PostgreSQL is up")
        self._spawn("mlflow", _mlflow_command(state.mlflow_port), services.mlflow(home))
        settings = services.airflow(home, state)
        self._migrate(settings)
        for name, arguments in _AIRFLOW.items():
            self._spawn(name, [sys.executable, "-m", "airflow", *arguments], settings)
        self._wait("MLflow", lambda: answers(f"{state.mlflow_url}/health"))
        self.say(f"MLflow is up: {state.mlflow_url}")
        # The API that tasks report to is built at its first request, which takes seconds: not the first task's.
        self._wait("Airflow", lambda: answers(f"{state.airflow_url}/execution/health", timeout=60))
        self._wait("Airflow", lambda: _airflow_is_healthy(state))
        self.say(f"Airflow is up: {state.airflow_url}")

    def _start_postgres(self, settings: dict[str, str]) -> None:
        for _ in range(_POSTGRES_TRIES):
            service = postgres.start(self.home.postgres, self.home.log("postgres"), settings)
            self._add(service)
            if postgres.wait(service, self.home.postgres, settings):
                return
        raise DevError(f"an earlier PostgreSQL still holds {self.home.postgres}: see {self.home.log('postgres')}")

    def _migrate(self, settings: dict[str, str]) -> None:
        """Bring Airflow's tables to this version; known to be done, it is not asked again (it takes seconds)."""
        version = importlib.metadata.version("apache-airflow-core")
        mark = self.home.airflow / "migrated"
        if mark.exists() and mark.read_text() == version:
            return
        log = self.home.log("migrate")
        if run([sys.executable, "-m", "airflow", "db", "migrate"], settings, log) != 0:
            raise DevError(f"'airflow db migrate' failed; the end of {log}:\n{tail(log)}")
        mark.write_text(version)

    def _spawn(self, name: str, command: list[str], settings: dict[str, str]) -> None:
        self._add(spawn(name, command, settings, self.home.log(name), self.home.root))

    def _add(self, service: Service) -> None:
        self.state = self.running.with_service(service)
        self.state.save(self.home)  # at once: should this command be killed now, the next one finds the process

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                logs = self.home.log("").parent
                raise DevError(f"{what} did not come up in {_START_SECONDS} s; its logs are in {logs}")
            time.sleep(0.2)

    def _healthy(self, state: State) -> bool:
        complete = {service.name for service in state.services if service.alive} == set(NAMES)
        return complete and answers(f"{state.mlflow_url}/health") and _airflow_is_healthy(state)

    def _stop(self, state: State) -> None:
        """Stop what uses the database, then the database. Ctrl-C must not leave this half done."""
        with _deaf():
            stop(_pick(state, lambda name: name != "postgres"), seconds=5)
            # SIGINT: PostgreSQL's fast shutdown; its SIGTERM waits for clients to leave
            stop(_pick(state, lambda name: name == "postgres"), seconds=20, first=signal.SIGINT)
            if state.services:
                replace(state, services=()).save(self.home)


def _pick(state: State, wanted: Callable[[str], bool]) -> Iterable[Service]:
    return [service for service in state.services if wanted(service.name)]


class _deaf:  # noqa: N801 - reads like a keyword where it is used
    """Ignore Ctrl-C and the wish to end, as long as it takes to stop the stack."""

    _signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __enter__(self) -> None:
        self._before = [(number, signal.signal(number, signal.SIG_IGN)) for number in self._signals]

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)


def _port(wanted: int) -> int:
    """Return the wanted port of 127.0.0.1 if it is free, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: no wait after a stop
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            free: int = probe.getsockname()[1]
            return free
    raise DevError("no free port on 127.0.0.1")


def _write_passwords(path: Path, password: str) -> None:
    """Give Airflow's simple login the password before it makes one of its own and prints it into a log."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({USER: password}, file)


def _mlflow_command(port: int) -> list[str]:
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [sys.executable, "-m", "mlflow", "server", *place]


def _airflow_is_healthy(state: State) -> bool:
    address = f"{state.airflow_url}/api/v2/monitor/health"
    if not answers(address):
        return False
    health = AirflowApi(state.airflow_url, USER, state.password).get("/monitor/health")
    return all(
        health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "triggerer", "dag_processor")
    )
