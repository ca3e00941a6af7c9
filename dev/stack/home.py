"""Where the stack keeps its things, and what it remembers between commands."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from dev.errors import DevError
from dev.stack.process import Service


class Home:
    """The folders of one stack. Deleting the root, when the stack is down, deletes everything of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.airflow = root / "airflow"
        """AIRFLOW_HOME."""
        self.passwords = self.airflow / "passwords.json"
        """Airflow's file of generated passwords."""
        self.postgres = root / "postgres"
        """Data of PostgreSQL."""
        self.artifacts = root / "mlflow"
        """Artifacts that the MLflow server keeps."""
        self.storage = root / "storage"
        """`[mlops] storage`: snapshots, predictions, reports."""
        self.program = root / "bin" / "airflow"
        """Airflow's command against this stack, from any folder; `up` writes it."""
        self.data = root / "data"
        """What relative data paths of specifications (`data/flights/`) lead to."""

    def log(self, name: str) -> Path:
        """Log of a process."""
        return self.root / "logs" / f"{name}.log"

    def make(self) -> None:
        """Make the folders; only their owner may enter."""
        for folder in (self.root, self.airflow, self.artifacts, self.storage, self.data, self.root / "logs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_program(self) -> None:
        """Write the command that runs Airflow's own against this stack, and says so where the stack is not up."""
        project = Path(__file__).parents[2]
        here = {"PYTHONPATH": project, "python": sys.executable, "home": self.root}
        quoted = {name: shlex.quote(str(value)) for name, value in here.items()}
        text = (
            "#!/bin/sh\n# Written by `make up`: Airflow's commands against the stack of this folder.\n"
            f"export PYTHONPATH={quoted['PYTHONPATH']}\n"
            f'exec {quoted["python"]} -m dev airflow --home {quoted["home"]} -- "$@"\n'
        )
        self.program.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.program.write_text(text, encoding="utf-8")
        self.program.chmod(0o700)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the stack: of two commands that start or stop it at the same time, the second is refused."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"another command is using the stack in {self.root}: wait for it, or stop it with Ctrl-C"
                raise DevError(message) from None
            yield


@dataclass(frozen=True, kw_only=True)
class State:
    """What `stack.json` says. Ports and password outlive a stop, so that links and logins stay valid."""

    airflow_port: int
    mlflow_port: int
    password: str
    secret: str
    """Signs the tokens of Airflow's API; its own default is shorter than the signature's."""
    dags: str
    command: str = "up"
    """What started the stack: only what `up` started is meant to stay. Files of the first days do not have it."""
    services: tuple[Service, ...] = ()
    format: Literal[1] = 1

    @property
    def airflow_url(self) -> str:
        """Address of Airflow's UI and API."""
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def mlflow_url(self) -> str:
        """Address of MLflow's UI and API."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    def with_service(self, service: Service) -> State:
        """Return the state with one more process; it takes the place of an earlier one of that name."""
        others = (one for one in self.services if one.name != service.name)
        return replace(self, services=(*others, service))

    def save(self, home: Home) -> None:
        """Write it whole or not at all, readable by its owner only."""
        descriptor, name = tempfile.mkstemp(dir=home.root, prefix="stack.")  # mkstemp gives mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(TypeAdapter(State).dump_json(self, indent=2) + b"\n")
        Path(name).replace(home.root / "stack.json")

    @classmethod
    def load(cls, home: Home) -> State | None:
        """Read it back; None when there was no stack yet.

        Raises
        ------
        DevError
            If the file cannot be understood.
        """
        path = home.root / "stack.json"
        if not path.exists():
            return None
        try:
            return TypeAdapter(State).validate_json(path.read_bytes())
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"])) or "file"
            reason = f"{where}: {problem['msg']}"
            raise DevError(f"{path} cannot be understood ({reason}): stop its processes, then delete it") from error
