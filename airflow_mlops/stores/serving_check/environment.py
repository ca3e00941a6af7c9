"""A fresh environment for a stored model, built from the model's own requirements and kept for the next time.

It has nothing of the worker's own packages: what the model needs and forgot to require is missing here, as it will be
wherever it is served.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from airflow_mlops.stores.mlflow.errors import said

BUILD_SECONDS = 900
_PIN = re.compile(r"^[A-Za-z0-9][\w.-]*(\[[\w,.-]+\])?==[\w.!+-]+$")
_LEFT_OUT = frozenset({"mlflow", "mlflow-skinny"})
"""MLflow adds itself to every model's requirements; the model is loaded without it, and it brings 80 packages."""
_FOR_INSTALLERS = re.compile(r"^(PIP_|UV_|SSL_CERT_|REQUESTS_CA_BUNDLE$|(HTTPS?|ALL|NO)_PROXY$)", re.IGNORECASE)
_ALWAYS = frozenset({"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH"})


class CannotBuildError(Exception):
    """The environment cannot be made; the text is one sentence, without credentials."""


def clean(*, home: Path, also: re.Pattern[str] | None = None) -> dict[str, str]:
    """Return an environment without anybody's secrets: what a program needs to start, and names that match `also`."""
    kept = {name: value for name, value in os.environ.items() if name in _ALWAYS or (also and also.match(name))}
    return {**kept, "HOME": str(home)}


def fresh_python(model: Path, *, cache: Path | None = None) -> Path:
    """Return the Python of an environment that has what a downloaded model requires, and nothing else.

    Parameters
    ----------
    model
        The model's folder, with `requirements.txt` (pins only) and `python_env.yaml`.
    cache
        Where environments are kept, by the hash of what is in them; a private folder below the system's temporary
        one when left out.

    Raises
    ------
    CannotBuildError
        If a requirement is no pin, the Python version is not here, or a package cannot be had.
    """
    pins, version = requirements_of(model), python_of(model)
    key = hashlib.sha256("\n".join((version, sys.platform, *pins)).encode()).hexdigest()[:24]
    folder = private(cache or Path(tempfile.gettempdir()) / f"airflow-mlops-serving-{os.getuid()}")
    made = folder / key
    if not (made / "bin" / "python").exists():
        # Built aside and renamed: of two that build the same one, both succeed, and a half one is never used.
        partial = folder / f"{key}.{uuid4().hex}"
        try:
            _build(partial, pins, version)
            _adopt(partial, made)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return made / "bin" / "python"


def requirements_of(model: Path) -> tuple[str, ...]:
    """Return the pins in a model's requirements.txt, sorted, without MLflow's own.

    Raises
    ------
    CannotBuildError
        If the file is missing, or a line is no pin: an address or an option in it would decide what is run here.
    """
    try:
        lines = (model / "requirements.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotBuildError(f"the model has no readable requirements.txt ({type(error).__name__})") from error
    pins = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    wrong = sum(1 for pin in pins if not _PIN.match(pin))
    if wrong or not pins:
        found = f"{wrong} lines that are not of the form name==version" if wrong else "no requirement"
        raise CannotBuildError(f"the model's requirements.txt has {found}")
    return tuple(sorted(pin for pin in pins if pin.partition("==")[0].lower() not in _LEFT_OUT))


def python_of(model: Path) -> str:
    """Return the Python version, ``3.11``, that the model was trained with.

    Raises
    ------
    CannotBuildError
        If the model does not say it.
    """
    import yaml

    try:
        version = str(yaml.safe_load((model / "python_env.yaml").read_text(encoding="utf-8"))["python"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise CannotBuildError(f"the model has no readable python_env.yaml ({type(error).__name__})") from error
    found = re.match(r"^(\d+\.\d+)(\.|$)", version)
    if found is None:
        raise CannotBuildError("the model's python_env.yaml names no Python version")
    return found.group(1)


def private(folder: Path) -> Path:
    """Return a folder that only this user can write, made if need be: what stands in it will be run.

    Raises
    ------
    CannotBuildError
        If somebody else made it, or others may write to it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise CannotBuildError(f"{folder} is not a folder that this user alone can write")
    return folder


def _adopt(partial: Path, made: Path) -> None:
    try:
        partial.rename(made)
    except OSError:
        if not (made / "bin" / "python").exists():  # not somebody who was faster
            raise


def _build(folder: Path, pins: Sequence[str], version: str) -> None:
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    uv = shutil.which("uv", path=beside)
    here = version == f"{sys.version_info.major}.{sys.version_info.minor}"
    python = sys.executable if here else shutil.which(f"python{version}", path=beside)
    if python is None and uv is None:
        raise CannotBuildError(f"the model was trained with Python {version}, and there is none on this machine")
    inside = str(folder / "bin" / "python")
    if uv is not None:
        _run(
            [uv, "venv", "--quiet", "--no-project", "--no-config", "--python", python or version, str(folder)], version
        )
        _run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", inside, *pins], version)
    else:
        _run([str(python), "-m", "venv", str(folder)], version)
        _run([inside, "-m", "pip", "install", "--quiet", *pins], version)


def _run(command: list[str], version: str) -> None:
    home = Path(os.environ.get("HOME", tempfile.gettempdir()))  # where installers keep their settings and their cache
    try:
        done = subprocess.run(
            command,
            env=clean(home=home, also=_FOR_INSTALLERS),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=BUILD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuildError(
            f"an environment with Python {version} cannot be built: {Path(command[0]).name} {type(error).__name__}"
        ) from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # pip says first what failed, and uv says why in its last line
        line = next((line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else "no reason given")
        raise CannotBuildError(
            f"an environment with Python {version} and what the model requires cannot be built: {said(OSError(line))}"
        )
