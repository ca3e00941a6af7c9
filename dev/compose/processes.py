"""Run the services of compose.yaml as plain processes of this machine, on free ports of 127.0.0.1."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dev.compose import servers
from dev.compose.description import FILE, ComposeService, load, secret_files
from dev.compose.translation import AIRFLOW_HOME, HOST, mounted, translate
from dev.errors import DevError
from dev.stack import postgres, services
from dev.stack.process import Service, run, spawn, stop, tail

_START_SECONDS = 240
_ASK_SECONDS = 60
_QUIET = frozenset({"scheduler", "triggerer", "worker"})
"""Parts of Airflow that serve logs: on fixed ports, of every address of the machine. Here logs are read from S3."""
Say = Callable[[str], None]


class Topology:
    """The services without a profile, as processes below one folder. Use it as a context: they end with it."""

    def __init__(self, root: Path, variables: Mapping[str, str], say: Say = print) -> None:
        if re.search(r"[^\w./+=-]", str(root)):
            raise DevError(
                f"{root}: commands of compose.yaml go through a shell, which would cut this name: take another"
            )
        self.root = root
        self.secrets = root / "secrets"
        self.variables = {"SECRETS": str(self.secrets), **variables}
        self.services = {name: one for name, one in load(self.variables).items() if not one.profiles}
        self.ports = {(one.name, port): _free_port() for one in self.services.values() for port in one.ports}
        self.running: dict[str, Service] = {}
        self._say = say

    def __enter__(self) -> Topology:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Start each service when those that it needs are as it wants them, as the engine does.

        Raises
        ------
        DevError
            If one ends before its time or is not healthy in four minutes; with the end of its log.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        subprocess.run(["sh", str(FILE.with_name("secrets.sh")), str(self.secrets)], check=True)
        for name, service in self.services.items():
            for needed, condition in service.needs.items():
                if condition == "service_healthy":
                    self._wait(needed)
            self._start(service)
            self._say(f"started {name}")
        for name, service in self.services.items():
            if service.health:
                self._wait(name)

    def down(self) -> None:
        """Stop what was started, by its ids; the databases last."""
        last = [name for name in self.running if name in ("postgres", "redis", "s3")]
        stop([service for name, service in self.running.items() if name not in last], seconds=15)
        stop([self.running[name] for name in last], seconds=10)
        self.running.clear()

    def url(self, name: str, port: int) -> str:
        """Return the address of a service's port."""
        return f"http://{HOST}:{self.ports[name, port]}"

    def password(self) -> str:
        """Return the password of Airflow's user `admin`."""
        return admin_password(self.secrets)

    def log(self, name: str) -> Path:
        """Return the log of a service."""
        return self.root / "logs" / f"{name}.log"

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service's process."""
        service = self.services[name]
        said = {key: self._here(value, service) for key, value in service.environment.items()}
        base = services.base()
        programs = [base["PATH"], str(servers.valkey_folder())]
        return {**base, "PATH": os.pathsep.join(programs), **said}

    def command(self, name: str) -> list[str]:
        """Return the command of a service's process."""
        service = self.services[name]
        words = [self._here(word, service) for word in service.command]
        # It ends with Airflow's own command, be it behind a shell or not: there the last word is a script.
        quiet = bool(_QUIET & set(words))
        return [*words, "--skip-serve-logs"] if quiet else words

    def _start(self, service: ComposeService) -> None:
        name = service.name
        self._mount(service)
        if name == "postgres":
            self._start_postgres(service)
        elif name == "s3":
            self._spawn(name, servers.moto(self.ports["s3", service.ports[0]]))
        elif any(other.needs.get(name) == "service_completed_successfully" for other in self.services.values()):
            status = run(self.command(name), self.environment(name), self.log(name))
            if status != 0:
                raise DevError(f"{name} ended with status {status}; the end of its log:\n{tail(self.log(name))}")
        else:
            self._spawn(name, self.command(name))

    def _mount(self, service: ComposeService) -> None:
        """Make the volumes, and links to what is mounted below Airflow's home, for paths that are relative to it."""
        home = self.root / "containers" / service.name
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for mount in service.mounts:
            place = self._places(service)[mount.target]
            if mount.source is None:
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            below = Path(mount.target)
            if below.is_relative_to(AIRFLOW_HOME):
                link = home / below.relative_to(AIRFLOW_HOME)
                link.unlink(missing_ok=True)
                link.symlink_to(place)

    def _start_postgres(self, service: ComposeService) -> None:
        network = postgres.Network(
            port=self.ports["postgres", service.ports[0]],
            password=secret_files(self.variables)["postgres_password"],
        )
        (script,) = (mount.source for mount in service.mounts if mount.target.endswith(".sh"))
        if script is None:
            raise DevError("compose.yaml: the script of the databases is no file of this project")
        data = self.root / "postgres"
        servers.start_postgres(
            data,
            self.log("postgres"),
            self.environment("postgres"),
            network=network,
            script=script,
            record=self._record,
        )

    def _spawn(self, name: str, command: list[str]) -> None:
        self._record(spawn(name, command, self.environment(name), self.log(name), self.root))

    def _record(self, service: Service) -> None:
        self.running[service.name] = service

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._healthy(self.services[name]):
            for service in self.running.values():
                if not service.alive:
                    raise DevError(service.ending)
            if time.monotonic() > deadline:
                raise DevError(f"{name} is not healthy after {_START_SECONDS} s; its log ends:\n{tail(self.log(name))}")
            time.sleep(0.5)

    def _healthy(self, service: ComposeService) -> bool:
        """Ask as the engine would; of the foreign servers, whose clients are in their images, whether they listen."""
        if service.image.startswith(("postgres", "valkey", "versity")):
            return servers.listens(self.ports[service.name, service.ports[0]])
        words = [self._here(word, service) for word in service.health]
        with self.log(f"{service.name}.health").open("ab") as log:
            asked = subprocess.run(
                words, env=self.environment(service.name), stdout=log, stderr=log, check=False, timeout=_ASK_SECONDS
            )
        return asked.returncode == 0

    def _here(self, text: str, service: ComposeService) -> str:
        return translate(text, service, self.services.values(), self.ports, self._places(service))

    def _places(self, service: ComposeService) -> dict[str, Path]:
        return mounted(service, self.root, self.secrets)


def admin_password(secrets: Path) -> str:
    """Return the password of Airflow's user `admin`, from the folder of the secrets."""
    passwords: dict[str, str] = json.loads((secrets / "airflow_passwords").read_text(encoding="utf-8"))
    return passwords["admin"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
