"""A real HTTP server before another one, which refuses or cuts off what a test names and hands on the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

DOWNLOAD = "/api/2.0/mlflow-artifacts/artifacts/"
LISTING = "/api/2.0/mlflow-artifacts/artifacts?"
CUT = 0
"""Instead of a status: half of the answer, then the end of the connection."""
Refuses = Callable[[str, str], int | None]


_OF_ONE_HOP = ("Transfer-Encoding", "Content-Length", "Connection")


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    """Read a request's body; of an empty file `requests` sends chunks, of which there are none."""
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    body = b""
    while size := int(handler.rfile.readline().strip() or b"0", 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


@contextmanager
def flaky_proxy(address: str, refuses: Refuses) -> Iterator[str]:
    """Stand before `address`; `refuses(method, path)` returns a status to answer with, CUT, or None to hand on."""
    target = urlsplit(address).netloc

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = _body(self)
            refused = refuses(self.command, self.path)
            if refused:
                self.send_error(refused)
                return
            upstream = HTTPConnection(target, timeout=60)
            kept = {name: value for name, value in self.headers.items() if name not in _OF_ONE_HOP}
            upstream.request(self.command, self.path, body, {**kept, "Connection": "close"})
            answer = upstream.getresponse()
            content = answer.read()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if refused == CUT else content)
            upstream.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server asks for these names

        def log_message(self, *arguments: object) -> None:
            """Nothing: the test says what it saw."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
