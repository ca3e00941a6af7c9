"""Real servers that misbehave: they hang, cut off, lie, redirect, lock; on real sockets, in threads of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOW = ("hang", "drop", "cut", "half_json", "html", "html_500", "500", "503", "401", "302", "garbage")
"""What such a server may do with every request."""
_PAGE = b"<!doctype html><title>Sign in</title><p>Sign in to go on"
_JSON = b'{"experiments": [{"experiment_id": "0", "name": "Default"'


class Misbehaving:
    """A server's address, how it behaves just now, and the requests that it was sent."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.address = ""
        self.requests: list[str] = []
        self.over = threading.Event()


@contextmanager
def misbehaving(how: str = "500", *, seen: Callable[[str], str] | None = None) -> Iterator[Misbehaving]:
    """Run a server that treats every request as `how` says.

    Parameters
    ----------
    seen
        Says how a request of this path is treated, instead.
    """
    state = Misbehaving(how)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.requests.append(f"{self.command} {self.path}")
            _treat(self, state, seen(self.path) if seen else state.how)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815 - names of http.server

        def log_message(self, *arguments: object) -> None:
            """Nothing: the test says what it saw."""

    with listening(Handler, state.over) as state.address:
        yield state


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler], over: threading.Event) -> Iterator[str]:
    """Run a handler's server on a free port, and give its address; `over` is set before it stops, for who waits."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _treat(handler: BaseHTTPRequestHandler, state: Misbehaving, how: str) -> None:
    if how == "hang":
        state.over.wait(60)
        _close(handler)
    elif how == "drop":
        _close(handler)
    elif how == "garbage":
        handler.connection.sendall(b"\x00\xff\xfe not HTTP at all\r\n\r\n")
        _close(handler)
    elif how == "cut":
        _send(handler, 200, _JSON, "application/json", more=1000)
        _close(handler)
    elif how == "half_json":
        _send(handler, 200, _JSON, "application/json")
    elif how in ("html", "html_500"):
        _send(handler, 200 if how == "html" else 500, _PAGE, "text/html")
    elif how == "302":
        _send(handler, 302, b"", "text/html", location="http://127.0.0.1:9/login?token=CANARY-in-redirect")
    elif how == "401":
        _send(handler, 401, b"You are not authenticated.", "text/plain")
    else:
        _send(handler, int(how), b'{"error_code": "INTERNAL_ERROR", "message": "no"}', "application/json")


def _send(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, *, more: int = 0, location: str = ""
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body) + more))
    if location:
        handler.send_header("Location", location)
    handler.end_headers()
    handler.wfile.write(body)


def _close(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    try:
        handler.connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # the other side was faster
        return
