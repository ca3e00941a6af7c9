"""What a model needs when it is served, written down when it is trained: each package with the hashes of its wheels.

A list of names and versions says what an index served on the day that somebody asked; a hash says which bytes. So the
lock is made where the model is trained, its digest is part of the candidate, and whoever may write to MLflow
afterwards, or to the index, changes nothing: other bytes are not installed.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from airflow_mlops.redaction import redact

SECONDS = 300
_PIN = re.compile(r"^[A-Za-z0-9][\w.-]*(\[[\w,.-]+\])?==[\w.!+-]+$")
_HASH = re.compile(r"^--hash=sha256:[0-9a-f]{64}$")
_PYTHON = re.compile(r"^# Python (\d+\.\d+)$")
_NONE = "# none: "
_FOR_INSTALLERS = re.compile(r"^(PIP_|UV_|SSL_CERT_|REQUESTS_CA_BUNDLE$|(HTTPS?|ALL|NO)_PROXY$)", re.IGNORECASE)
_ALWAYS = frozenset({"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH"})


class NoLockError(Exception):
    """There is no lock, or it is none; the text is one sentence, without credentials."""


def make_lock(pins: Sequence[str], installed: Sequence[str]) -> str:
    """Return the lock of what a model needs, as it is installed here; without hashes, a text that says why.

    Training does not fail because an index is away: whoever wants to serve the model in a fresh environment is told.

    Parameters
    ----------
    pins
        What the model needs, `name==version`.
    installed
        Everything that is installed here: what the model needs needs these versions.
    """
    head = f"# Python {platform.python_version_tuple()[0]}.{platform.python_version_tuple()[1]}\n"
    try:
        return head + _resolved([pin for pin in pins if _PIN.match(pin)], [pin for pin in installed if _PIN.match(pin)])
    except NoLockError as error:
        return f"{head}{_NONE}{' '.join(str(error).split())}\n"


def read_lock(text: str) -> tuple[str, tuple[str, ...]]:
    """Return Python's version, `3.11`, and the lines of a lock, each a pin and its hashes.

    Raises
    ------
    NoLockError
        If hashes could not be had when it was written, or a line is anything else: an address or an option in it would
        decide what is run.
    """
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    version = _PYTHON.match(lines[0]) if lines else None
    if version is None:
        raise NoLockError("the model's lock does not begin with a version of Python")
    why = next((line.removeprefix(_NONE) for line in lines if line.startswith(_NONE)), "")
    if why:
        raise NoLockError(f"no hashes of the model's packages could be had when it was trained: {why}")
    wanted = [line for line in lines if not line.startswith("#")]
    wrong = sum(1 for line in wanted if not _is_locked(line))
    if wrong or not wanted:
        found = f"{wrong} lines that are not of the form name==version --hash=sha256:..." if wrong else "no package"
        raise NoLockError(f"the model's lock has {found}")
    return version[1], tuple(" ".join(line.split()) for line in wanted)


def _is_locked(line: str) -> bool:
    pin, *hashes = line.split()
    return _PIN.match(pin) is not None and bool(hashes) and all(map(_HASH.match, hashes))


def _resolved(pins: Sequence[str], installed: Sequence[str]) -> str:
    """Ask an installer for all that is needed, in the versions that are installed here, wheels only."""
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    uv = shutil.which("uv", path=beside)
    with tempfile.TemporaryDirectory() as folder:
        wanted, versions = Path(folder) / "wanted.txt", Path(folder) / "installed.txt"
        wanted.write_text("\n".join(pins))
        versions.write_text("\n".join(installed))
        if uv is not None:
            asked = [
                uv,
                "pip",
                "compile",
                "--quiet",
                "--no-config",
                "--generate-hashes",
                "--no-header",
                "--no-annotate",
            ]
            asked += ["--no-emit-index-url", "--only-binary", ":all:", "--python", sys.executable]
            return run_installer([*asked, "-c", str(versions), str(wanted)])
        asked = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        asked += ["--only-binary", ":all:", "--report", "-", "-c", str(versions), "-r", str(wanted)]
        return _of_report(run_installer(asked))


def _of_report(text: str) -> str:
    """Return the lock in pip's report of what it would install."""
    lines = []
    try:
        for one in json.loads(text)["install"]:
            known = one["metadata"]
            digest = one["download_info"]["archive_info"]["hashes"]["sha256"]
            lines.append(f"{known['name']}=={known['version']} --hash=sha256:{digest}\n")
    except (ValueError, KeyError, TypeError) as error:
        raise NoLockError(f"pip's report names no hash ({type(error).__name__})") from error
    return "".join(sorted(lines))


def clean(*, home: Path, also: re.Pattern[str] | None = None) -> dict[str, str]:
    """Return an environment without anybody's secrets: what a program needs to start, and names that match `also`."""
    kept = {name: value for name, value in os.environ.items() if name in _ALWAYS or (also and also.match(name))}
    return {**kept, "HOME": str(home)}


def run_installer(command: list[str], *, seconds: float | None = None) -> str:
    """Run uv or pip, with their settings and no other variables of this process; return what it printed.

    Raises
    ------
    NoLockError
        With the line in which it says why it failed, without credentials.
    """
    home = Path(os.environ.get("HOME", tempfile.gettempdir()))  # where installers keep their settings and their cache
    try:
        done = subprocess.run(
            command,
            env=clean(home=home, also=_FOR_INSTALLERS),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS if seconds is None else seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoLockError(f"{Path(command[0]).name} {type(error).__name__}") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # pip says first what failed, and uv says why in its last line, but for hashes
        told = (line for line in lines if line.startswith("ERROR:") or "hash mismatch" in line.lower())
        line = next(told, lines[-1] if lines else "no reason given")
        raise NoLockError(redact(line)[:_LONGEST])
    return done.stdout


_LONGEST = 300
