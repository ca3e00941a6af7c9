"""A fresh environment for a stored model: what the training recorded, by hash, and kept for the next time.

It has nothing of the worker's own packages: what the model needs and forgot to require is missing here, as it will be
wherever it is served. Nothing of the model's own folder decides what is installed: whoever may write to MLflow could
have changed it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from airflow_mlops.stores.model_files.lock import NoLockError, read_lock, run_installer

BUILD_SECONDS = 900


class CannotBuildError(Exception):
    """The environment cannot be made; the text is one sentence, without credentials."""


def fresh_python(lock: str, *, cache: Path | None = None) -> Path:
    """Return the Python of an environment that has what a lock names, byte for byte, and nothing else.

    Parameters
    ----------
    lock
        What :func:`airflow_mlops.stores.model_files.lock.make_lock` wrote when the model was trained.
    cache
        Where environments are kept, by the hash of what is in them; a private folder below the system's temporary
        one when left out.

    Raises
    ------
    CannotBuildError
        If it is no lock, the Python version is not here, or a package cannot be had with the recorded hash.
    """
    try:
        version, pins = read_lock(lock)
    except NoLockError as error:
        raise CannotBuildError(str(error)) from error
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
    with tempfile.TemporaryDirectory() as aside:
        lock = Path(aside) / "requirements.lock"
        lock.write_text("\n".join(pins))
        # Wheels only: what comes as source runs its own code when it is built. No dependencies: the lock has them all.
        wanted = ["--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock)]
        if uv is not None:
            made = [uv, "venv", "--quiet", "--no-project", "--no-config", "--python", python or version, str(folder)]
            _run(made, version)
            _run([uv, "pip", "install", "--compile-bytecode", "--python", inside, *wanted], version)
        else:
            _run([str(python), "-m", "venv", str(folder)], version)
            _run([inside, "-m", "pip", "install", *wanted], version)


def _run(command: list[str], version: str) -> None:
    try:
        run_installer(command, seconds=BUILD_SECONDS)
    except NoLockError as error:
        raise CannotBuildError(
            f"an environment with Python {version} and what the model requires cannot be built: {error}"
        ) from error
