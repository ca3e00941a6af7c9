"""The digest of a model's folder: of names and bytes, and of nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_mlops.stores.model_files.digest import digest_folder

FILES = {"MLmodel": b"flavors: {}\n", "model.skops": bytes(range(256)) * 500, "code/steps/__init__.py": b""}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def test_copies_have_one_digest_whenever_and_in_whichever_order_they_were_written(tmp_path: Path) -> None:
    one = write(tmp_path / "one", FILES)
    other = write(tmp_path / "other", dict(reversed(FILES.items())))
    os.utime(other / "MLmodel", (1, 1))
    (other / "empty").mkdir()
    assert digest_folder(one) == digest_folder(other)


CHANGES: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "a byte": lambda files: files | {"MLmodel": b"flavors: {} "},
    "a name": lambda files: {("code/steps/x.py" if "code" in name else name): one for name, one in files.items()},
    "a file more": lambda files: files | {"x": b""},
    "a file less": lambda files: {name: one for name, one in files.items() if "code" not in name},
    "bytes from one file to another": lambda files: (
        files | {"MLmodel": b"", "code/steps/__init__.py": b"flavors: {}\n"}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_another_digest(tmp_path: Path, change: str) -> None:
    before = digest_folder(write(tmp_path / "one", FILES))
    assert digest_folder(write(tmp_path / "other", CHANGES[change](FILES))) != before
