"""A lock is pins with hashes and nothing else; where it cannot be made, it says why."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import pytest

from airflow_mlops.stores.model_files import lock as lock_module
from airflow_mlops.stores.model_files.lock import NoLockError, make_lock, read_lock
from airflow_mlops.stores.serving_check.environment import CannotBuildError, fresh_python

HASH = f"--hash=sha256:{'a' * 64}"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
HEAD = f"# Python {VERSION}\n"


def test_a_lock_is_read_as_it_is_written() -> None:
    text = f"{HEAD}numpy==2.0.0 \\\n    {HASH} \\\n    --hash=sha256:{'b' * 64}\nPyYAML[x]==6.0.2 {HASH}\n# by hand\n"
    version, lines = read_lock(text)
    assert version == VERSION
    assert lines == (f"numpy==2.0.0 {HASH} --hash=sha256:{'b' * 64}", f"PyYAML[x]==6.0.2 {HASH}")


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.0.0",
        f"numpy>=2 {HASH}",
        f"numpy {HASH}",
        "numpy==2.0.0 --hash=md5:abc",
        f"numpy==2.0.0 {HASH} --index-url=http://x",
        "--index-url http://x",
        f"git+https://x/y {HASH}",
        f"-e . {HASH}",
        f"./evil {HASH}",
        f"numpy==2.0.0;python_version>'3' {HASH}",
        f"numpy @ https://x/y.whl {HASH}",
    ],
)
def test_anything_else_in_it_is_refused(line: str) -> None:
    with pytest.raises(NoLockError, match="1 lines that are not of the form"):
        read_lock(f"{HEAD}numpy==2.0.0 {HASH}\n{line}\n")
    with pytest.raises(CannotBuildError, match="1 lines that are not of the form"):
        fresh_python(f"{HEAD}{line}\n")


@pytest.mark.parametrize("text", ["", "numpy==2.0.0", HEAD, "# Python three\n"])
def test_half_a_lock_is_none(text: str) -> None:
    with pytest.raises(NoLockError):
        read_lock(text)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, and no other place to install from."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for variable in ("PIP_NO_INDEX", "UV_NO_INDEX"):
        monkeypatch.setenv(variable, "1")
    for variable in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


def wheel(folder: Path, name: str, version: str, *, needs: str = "", code: str = "") -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", code or "ours = True\n")
        requires = f"Requires-Dist: {needs}\n" if needs else ""
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_what_is_needed_is_locked_in_the_versions_that_are_here(
    index: Path, installer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        lock_module.shutil, "which", lock_module.shutil.which if installer == "uv" else lambda *_, **__: None
    )
    first, below = wheel(index, "ours", "1.0", needs="below"), wheel(index, "below", "1.0")
    wheel(index, "below", "2.0")
    version, lines = read_lock(make_lock(["ours==1.0"], ["ours==1.0", "below==1.0", "not a pin"]))
    assert version == VERSION
    hashes = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, below)}
    assert sorted(lines) == [f"below==1.0 --hash=sha256:{hashes[below]}", f"ours==1.0 --hash=sha256:{hashes[first]}"]


def test_other_bytes_of_the_same_version_are_not_installed(index: Path, tmp_path: Path) -> None:
    wheel(index, "ours", "1.0")
    lock = make_lock(["ours==1.0"], [])
    python = fresh_python(lock, cache=tmp_path / "cache")
    assert (python.parent.parent / "lib" / f"python{VERSION}" / "site-packages" / "ours.py").exists()
    wheel(index, "ours", "1.0", code="import os\n")  # what somebody put into the index since
    with pytest.raises(CannotBuildError, match="cannot be built: .*[Hh]ash"):
        fresh_python(lock, cache=tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []


def test_what_comes_as_source_is_neither_locked_nor_built(index: Path) -> None:
    with zipfile.ZipFile(index / "ours-1.0.zip", "w") as archive:
        archive.writestr("ours-1.0/setup.py", "raise SystemExit('it was built')\n")
        archive.writestr("ours-1.0/PKG-INFO", "Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
    with pytest.raises(NoLockError, match="could be had when it was trained: ") as caught:
        read_lock(make_lock(["ours==1.0"], []))
    assert "it was built" not in str(caught.value)


def test_an_index_that_is_away_is_said_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "SECONDS", 0.001)
    with pytest.raises(NoLockError, match="TimeoutExpired"):
        read_lock(make_lock(["ours==1.0"], []))
    with pytest.raises(NoLockError, match="no reason given"):
        lock_module.run_installer([sys.executable, "-c", "raise SystemExit(1)"], seconds=60)
    said = "import sys; sys.exit('ERROR: no https://ada:CANARY@index/simple')"
    with pytest.raises(NoLockError) as caught:
        lock_module.run_installer([sys.executable, "-c", said], seconds=60)
    assert str(caught.value) == "ERROR: no https://index/simple"


@pytest.mark.parametrize("text", ["", "{}", json.dumps({"install": [{"metadata": {}}]})])
def test_a_report_without_hashes_is_no_lock(text: str) -> None:
    with pytest.raises(NoLockError, match="names no hash"):
        lock_module._of_report(text)
