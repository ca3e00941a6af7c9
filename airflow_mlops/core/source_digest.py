"""Which code made a model or an answer: a version number does not tell two working trees apart."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOORS = ("airflow_mlops/core", "airflow_mlops/spec", "airflow_mlops_steps")
"""Folders whose code decides what a model is; those above them only carry it about."""


@cache
def source_digest(root: Path = ROOT) -> str:
    """SHA-256, in hexadecimal digits, of path and content of every Python file of these floors, however deep.

    Parameters
    ----------
    root
        The folder that has the packages.

    Raises
    ------
    FileNotFoundError
        If a floor has no Python file: the digest of nothing would be the same for all code.
    """
    found = hashlib.sha256()
    for floor in FLOORS:
        files = sorted((root / floor).rglob("*.py"))
        if not files:
            raise FileNotFoundError(f"no Python file under {root / floor}")
        for file in files:
            found.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return found.hexdigest()
