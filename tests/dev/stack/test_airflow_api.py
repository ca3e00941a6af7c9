"""The REST client, against a real little server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dev.stack.airflow_api import AirflowApi, ApiError, answers

pytestmark = pytest.mark.server


class Handler(BaseHTTPRequestHandler):
    busy = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/auth/token":
            ok = body == {"username": "admin", "password": "right"}
            self.answer(201 if ok else 401, {"access_token": "t0"} if ok else {"detail": "Invalid credentials"})
        else:
            self.answer(503, {})

    def do_GET(self) -> None:
        if Handler.busy:
            Handler.busy -= 1
            self.answer(503, {})
        elif self.path == "/api/v2/version?a=1":
            self.answer(200, {"token": self.headers["Authorization"]})
        else:
            self.answer(404, {"detail": "no such thing"})

    def answer(self, status: int, body: dict[str, object]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_it_logs_in_and_reads_again_while_the_server_is_busy(server: str) -> None:
    api = AirflowApi(server, "admin", "right")
    Handler.busy = 2
    assert api.get("/version", a=1) == {"token": "Bearer t0"}
    assert Handler.busy == 0


def test_a_refusal_says_what_was_asked_and_what_was_answered(server: str) -> None:
    with pytest.raises(ApiError, match=r"POST /auth/token: 401 .*Invalid credentials") as refused:
        AirflowApi(server, "admin", "wrong")
    assert refused.value.status == 401
    with pytest.raises(ApiError, match="no such thing"):
        AirflowApi(server, "admin", "right").get("/elsewhere")


def test_whether_something_answers(server: str) -> None:
    assert answers(f"{server}/api/v2/version?a=1")
    assert not answers(f"{server}/nothing")
    assert not answers("http://127.0.0.1:9/")
