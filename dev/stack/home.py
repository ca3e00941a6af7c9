"""Where the local stack keeps its things, and what it remembers between commands."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dev.errors import DevError
from dev.stack.process import Service, start_mark


@dataclass(frozen=True)
class Home:
    """The folders of one stack. Deleting the root, when the stack is down, deletes everything of it."""

    root: Path

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.root / "airflow"

    @property
    def postgres(self) -> Path:
        """Data of PostgreSQL."""
        return self.root / "postgres"

    @property
    def artifacts(self) -> Path:
        """Artifacts that the MLflow server keeps."""
        return self.root / "mlflow"

    @property
    def storage(self) -> Path:
        """`[mlops] storage`: snapshots, predictions, reports."""
        return self.root / "storage"

    @property
    def data(self) -> Path:
        """What relative data paths of specifications (`data/flights/`) lead to."""
        return self.root / "data"

    @property
    def passwords(self) -> Path:
        """Airflow's file of generated passwords."""
        return self.airflow / "passwords.json"

    def log(self, name: str) -> Path:
        """Log of a process."""
        return self.root / "logs" / f"{name}.log"

    def make(self) -> None:
        """Make the folders; only their owner may enter."""
        for folder in (self.root, self.airflow, self.artifacts, self.storage, self.data, self.root / "logs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

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
class Driver:
    """The command that started the stack."""

    command: str
    pid: int
    started: str

    @classmethod
    def this(cls, command: str) -> Driver:
        """Describe the running command."""
        return cls(command=command, pid=os.getpid(), started=start_mark(os.getpid()) or "")


@dataclass(frozen=True, kw_only=True)
class State:
    """What `stack.json` says. Ports and password outlive a stop, so that links and logins stay valid."""

    FORMAT = 1

    airflow_port: int
    mlflow_port: int
    password: str
    secret: str
    """Signs the tokens of Airflow's API; its own default is shorter than the signature's."""
    dags: str
    driver: Driver
    services: tuple[Service, ...] = field(default=())

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
        body = json.dumps({"format": self.FORMAT, **asdict(self)}, indent=2) + "\n"
        descriptor, name = tempfile.mkstemp(dir=home.root, prefix="stack.")  # mkstemp gives mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(body)
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
            body: dict[str, Any] = json.loads(path.read_text())
            if body.pop("format") != cls.FORMAT:
                raise ValueError("another format")
            driver = Driver(**body.pop("driver"))
            services = tuple(Service(**service) for service in body.pop("services"))
            return cls(**body, driver=driver, services=services)
        except (ValueError, KeyError, TypeError) as error:
            raise DevError(f"{path} cannot be understood ({error}): stop its processes, then delete it") from error
