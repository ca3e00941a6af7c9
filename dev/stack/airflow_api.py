"""Airflow's REST API: just what the stack and the demo need, on the standard library."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from dev.errors import DevError

_TRIES = 6
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the stack is on this machine: no proxy
Json = dict[str, Any]


def answers(url: str, *, timeout: float = 2) -> bool:
    """Whether a GET of the address gives status 200."""
    try:
        with _OPENER.open(url, timeout=timeout) as response:
            return bool(response.status == 200)  # noqa: PLR2004 - HTTP OK
    except OSError:
        return False


class AirflowApi:
    """A logged-in client. Reading is tried again while the server is busy; writing never is."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        body = self._send("POST", "/auth/token", {"username": user, "password": password}, token=None)
        self._token: str = body["access_token"]

    def get(self, path: str, **query: Any) -> Json:
        """Read; `path` starts behind ``/api/v2``."""
        address = f"/api/v2{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        for attempt in range(_TRIES):
            try:
                return self._send("GET", address, None, token=self._token)
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                if attempt == _TRIES - 1:
                    raise DevError(f"Airflow's API at {self.url} does not answer: {error}") from error
                time.sleep(0.5 * 2**attempt)
        raise AssertionError("unreachable")

    def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """Create something."""
        return self._send("POST", f"/api/v2{path}", body, token=self._token)

    def patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """Change something."""
        return self._send("PATCH", f"/api/v2{path}", body, token=self._token)

    def put(self, path: str) -> Json:
        """Ask for an action on something."""
        return self._send("PUT", f"/api/v2{path}", {}, token=self._token)

    def _send(self, method: str, address: str, body: Mapping[str, Any] | None, *, token: str | None) -> Json:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + address, data, headers, method=method)  # noqa: S310 - our own URL
        try:
            with _OPENER.open(request, timeout=30) as response:
                answer: Json = json.loads(response.read() or b"{}")
                return answer
        except urllib.error.HTTPError as error:
            if error.code >= 500:  # noqa: PLR2004 - HTTP server errors may pass
                raise
            detail = error.read().decode(errors="replace")[:500]
            raise ApiError(error.code, f"{method} {address}: {error.code} {detail}") from error


class ApiError(DevError):
    """Airflow refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def run_path(dag_id: str, run_id: str) -> str:
    """Return the API path of a DAG run.

    >>> run_path("flight_delay.train", "backfill__2013-03-01T00:00:00+00:00")
    '/dags/flight_delay.train/dagRuns/backfill__2013-03-01T00%3A00%3A00%2B00%3A00'
    """
    return f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"
