"""Clients by Airflow's connection: one for each content of it, in each process; roles are taken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_mlops.redaction import redact
from airflow_mlops.stores.s3 import client as module
from airflow_mlops.stores.s3.address import S3Address
from airflow_mlops.stores.s3.client import s3_client
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.s3 import PASSWORD, S3Proxy, connect, s3_proxy
from tests.support.services import run_python

pytestmark = pytest.mark.server
AT = S3Address(bucket="bucket", conn_id="aws")


@pytest.fixture
def proxy(moto: str) -> Iterator[S3Proxy]:
    with s3_proxy(moto) as state:
        yield state


def test_a_connection_that_changes_is_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "aws", "http://127.0.0.1:9")
    first = s3_client(AT, "x")
    assert s3_client(AT, "x") is first
    connect(monkeypatch, "aws", "http://127.0.0.1:9", region_name="eu-central-1")
    assert s3_client(AT, "x") is not first
    assert PASSWORD not in redact(f"it said {PASSWORD}")


def test_not_all_clients_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_CLIENTS", 2)
    monkeypatch.setattr(module, "_clients", {})
    for number in range(4):
        connect(monkeypatch, "aws", "http://127.0.0.1:9", number=number)
        s3_client(AT, "x")
    assert len(module._clients) == 2


def test_a_connections_own_settings_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(
        monkeypatch, "aws", "http://127.0.0.1:9", config_kwargs={"read_timeout": 7, "retries": {"mode": "adaptive"}}
    )
    config = s3_client(AT, "x").meta.config
    assert (config.read_timeout, config.connect_timeout, config.retries["mode"]) == (7, 10, "adaptive")


FORKED = """
import os
from airflow_mlops.stores.s3 import client
from airflow_mlops.stores.s3.address import S3Address

at = S3Address(bucket="bucket", conn_id="aws")
first = client.s3_client(at, "x")
if os.fork() == 0:
    os._exit(0 if client.s3_client(at, "x") is not first and len(client._clients) == 2 else 1)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert client.s3_client(at, "x") is first
"""


def test_a_forked_process_has_a_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an interpreter of its own: this one has threads, which a fork leaves behind."""
    connect(monkeypatch, "aws", "http://127.0.0.1:9")
    done = run_python(FORKED)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_role_is_taken(bucket: str, moto: str, proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the connection's own keys, from STS; what is asked of S3 is signed by what STS gave."""
    arn = "arn:aws:iam::123456789012:role/mlops"
    services = {"sts": {"endpoint_url": moto}}
    connect(monkeypatch, "aws", proxy.address, role_arn=arn, service_config=services)
    storage = open_storage(f"s3://aws@{bucket.partition('@')[2]}/mlops")
    storage.write_text("a", "x")
    (asked,) = proxy.asked
    headers = {name.lower(): value for name, value in asked.headers.items()}
    assert "x-amz-security-token" in headers
    assert "AKIAMOTO" not in headers["authorization"]
