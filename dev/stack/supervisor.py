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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dev.errors import DevError
from dev.stack import postgres, services
from dev.stack.airflow_api import AirflowApi, answers
from dev.stack.home import Home, State
from dev.stack.process import Service, run, spawn, stop, tail

USER = "admin"
_PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
_START_SECONDS = 180
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Say = Callable[[str], None]


class Stack:
    """The stack in one home folder. Use it under ``home.lock()``."""

    def __init__(self, home: Home, say: Say, more: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.say = say
        self.more = more or {}
        """Environment of Airflow's processes, beside and instead of the stack's own."""
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
        if old is not None and old.command == "up" and old.dags == str(dags) and _is_healthy(old):
            self.state = old
            return False
        if old is not None:
            if any(service.alive for service in old.services):
                self.say("stopping what an earlier command left running")
            self._stop(old)
        self.state = State(
            airflow_port=_port(old.airflow_port if old else 0),
            mlflow_port=_port(old.mlflow_port if old else 0),
            password=old.password if old else secrets.token_urlsafe(12),
            secret=old.secret if old else secrets.token_hex(64),
            dags=str(dags),
            command=command,
        )
        try:
            self._start(self.state)
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
                raise DevError(service.ending)

    def api(self) -> AirflowApi:
        """Return a client that is logged in to Airflow."""
        return AirflowApi(self.running.airflow_url, USER, self.running.password)

    @property
    def running(self) -> State:
        """Ports, password and processes of the stack that is up."""
        if self.state is None:
            raise DevError("the stack is not up")
        return self.state

    def _start(self, state: State) -> None:
        self.home.make()
        self.home.write_program()
        state.save(self.home)
        _write_passwords(self.home.passwords, state.password)
        postgres.start(self.home.postgres, self.home.log("postgres"), services.base(), self._record)
        self.say("PostgreSQL is up")
        mlflow = (*services.MLFLOW, "--port", str(state.mlflow_port))
        self._spawn("mlflow", mlflow, services.mlflow(self.home))
        environment = {**services.airflow(self.home, state), **self.more}
        self._migrate(environment)
        for name, arguments in services.AIRFLOW.items():
            self._spawn(name, arguments, environment)
        self._wait("MLflow", lambda: answers(f"{state.mlflow_url}/health"))
        self.say(f"MLflow is up: {state.mlflow_url}")
        # The API that tasks report to is built at its first request, which takes seconds: not the first task's.
        self._wait("Airflow", lambda: answers(f"{state.airflow_url}/execution/health", timeout=60))
        self._wait("Airflow", lambda: _airflow_is_healthy(state))
        self.say(f"Airflow is up: {state.airflow_url}")

    def _migrate(self, environment: dict[str, str]) -> None:
        """Bring Airflow's tables to this version; known to be done, it is not asked again (it takes seconds)."""
        version = importlib.metadata.version("apache-airflow-core")
        mark = self.home.airflow / "migrated"
        if mark.exists() and mark.read_text() == version:
            return
        log = self.home.log("migrate")
        if run([sys.executable, "-m", "airflow", "db", "migrate"], environment, log) != 0:
            raise DevError(f"'airflow db migrate' failed; the end of {log}:\n{tail(log)}")
        mark.write_text(version)

    def _spawn(self, name: str, arguments: Iterable[str], environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", *arguments]
        self._record(spawn(name, command, environment, self.home.log(name), self.home.root))

    def _record(self, service: Service) -> None:
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

    def _stop(self, state: State) -> None:
        """Stop what uses the database, then the database. Ctrl-C must not leave this half done."""
        with _signals_ignored():
            stop([service for service in state.services if service.name != "postgres"], seconds=5)
            # SIGINT: PostgreSQL's fast shutdown; its SIGTERM waits for clients to leave
            database = [service for service in state.services if service.name == "postgres"]
            stop(database, seconds=20, first=signal.SIGINT)
            if state.services:
                replace(state, services=()).save(self.home)


def addresses(state: State) -> str:
    """Return the lines that tell a person where the pages are, and the login."""
    login = f"user {USER}   password {state.password}"
    return f"Airflow  {state.airflow_url}   {login}\nMLflow   {state.mlflow_url}"


@contextmanager
def _signals_ignored() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
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


def _is_healthy(state: State) -> bool:
    complete = {service.name for service in state.services if service.alive} == set(services.NAMES)
    return complete and answers(f"{state.mlflow_url}/health") and _airflow_is_healthy(state)


def _airflow_is_healthy(state: State) -> bool:
    if not answers(f"{state.airflow_url}/api/v2/monitor/health"):
        return False
    health = AirflowApi(state.airflow_url, USER, state.password).get("/monitor/health")
    return all(health[part]["status"] == "healthy" for part in _PARTS)
