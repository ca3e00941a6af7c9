"""A real S3 endpoint (moto, over HTTP), buckets in it, and a proxy before it that misbehaves as S3 and networks do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.support.misbehaving import listening

LOGIN, PASSWORD = "AKIAMOTOMOTOMOTO0001", "moto+0123456789/abcdefghijklmnopqrstuvw"
SMALL_RETRIES = {"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 2}}}
"""Of a connection: who tests a failure waits for one retry, and not for four."""


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Start moto's server in this process; give its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make an empty bucket, and a connection of Airflow to it; give its URI."""
    name, conn_id = f"b{uuid4().hex[:8]}", f"moto_{uuid4().hex[:8]}"
    boto(moto).create_bucket(Bucket=name)
    connect(monkeypatch, conn_id, moto)
    return f"s3://{conn_id}@{name}"


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, address: str, **extra: Any) -> None:
    """Make a connection of Airflow to an endpoint."""
    known = {"region_name": "us-east-1", "endpoint_url": address, **extra}
    connection = {"conn_type": "aws", "login": LOGIN, "password": PASSWORD, "extra": known}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))


def boto(address: str, **how: Any) -> Any:
    """A client of its own, without Airflow."""
    import boto3

    keys = {"aws_access_key_id": LOGIN, "aws_secret_access_key": PASSWORD, **how}
    return boto3.session.Session().client("s3", endpoint_url=address, region_name="us-east-1", **keys)


def unfinished(address: str, name: str) -> list[str]:
    """Keys of a bucket's uploads that were neither finished nor given up."""
    return [one["Key"] for one in boto(address).list_multipart_uploads(Bucket=name).get("Uploads", ())]


@dataclass
class Asked:
    """One request, as a proxy sees it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a proxy says instead of S3."""

    status: int = 200
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    more: str = ""
    page: str = ""

    def body(self, method: str) -> bytes:
        if method == "HEAD" or not self.code:
            return b"" if method == "HEAD" else self.page.encode()
        said = f"<Error><Code>{self.code}</Code><Message>no</Message>{self.more}<RequestId>1</RequestId></Error>"
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{said}'.encode()


CUT, HANG, DROP = "cut", "hang", "drop"
"""Half of S3's answer, and the end of the connection; no answer; the end of the connection."""
Treat = Callable[[Asked], "Answer | str | None"]


class S3Proxy:
    """Its address, what it was asked, and how it treats what it is asked; None hands on."""

    def __init__(self, moto: str, treat: Treat) -> None:
        self.moto, self.treat = moto, treat
        self.address = ""
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self.naming = threading.Lock()
        """S3 gives a name at once; moto looks first, and then writes."""


class _Handler(BaseHTTPRequestHandler):
    """Treats each request as its proxy says."""

    protocol_version = "HTTP/1.1"
    state: S3Proxy
    target: str

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, path, query, dict(self.headers.items()), body)
        self.state.asked.append(asked)
        treated = self.state.treat(asked)
        if isinstance(treated, Answer):
            said = treated.body(self.command)
            self._say(treated.status, {**treated.headers, "Content-Length": str(len(said))}, said)
        elif treated in (None, CUT):
            self._hand_on(asked, cut=treated == CUT)
        else:
            if treated == HANG:
                self.state.over.wait(60)
            self.close_connection = True

    def _hand_on(self, asked: Asked, *, cut: bool) -> None:
        upstream = HTTPConnection(self.target, timeout=60)
        kept = {name: value for name, value in asked.headers.items() if name not in ("Expect", "Connection")}
        with self.state.naming:
            # The host stays the proxy's: it is signed.
            upstream.request(self.command, self.path, asked.body, {**kept, "Connection": "close"})
            answer = upstream.getresponse()
            content = answer.read()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OF_ONE_HOP}
        length = (answer.getheader("Content-Length") or "0") if self.command == "HEAD" else str(len(content))
        part = content[: len(content) // 2] if cut else content
        self._say(answer.status, {**headers, "Content-Length": length}, part)
        self.close_connection = self.close_connection or cut
        upstream.close()

    def _say(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if status != _NO_CONTENT or name != "Content-Length":
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815 - http.server asks for these names

    def log_message(self, *arguments: object) -> None:
        """Nothing: the test says what it saw."""


@contextmanager
def s3_proxy(address: str, treat: Treat = lambda _: None) -> Iterator[S3Proxy]:
    """Stand before an endpoint."""
    state = S3Proxy(address, treat)
    handler = type("Handler", (_Handler,), {"state": state, "target": urlsplit(address).netloc})
    with listening(handler, state.over) as state.address:
        yield state


_OF_ONE_HOP = ("transfer-encoding", "connection", "content-length")
_NO_CONTENT = 204


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what another process or thread does."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
