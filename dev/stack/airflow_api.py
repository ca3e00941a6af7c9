"""Airflow's REST API: just what the stack and the demo need."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from dev.errors import DevError

_READ_AGAIN = Retry(total=5, backoff_factor=0.5, status_forcelist=range(500, 600), allowed_methods={"GET"})
Json = dict[str, Any]


def answers(url: str, *, timeout: float = 2) -> bool:
    """Whether a GET of the address gives status 200."""
    try:
        with _session() as session:
            return session.get(url, timeout=timeout).status_code == HTTPStatus.OK
    except requests.RequestException:
        return False


class ApiError(DevError):
    """Airflow refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AirflowApi:
    """A logged-in client. Reading is tried again while the server is busy; writing only while nobody listens."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._session = _session()
        self._session.mount(url, HTTPAdapter(max_retries=_READ_AGAIN))
        token = self._send("POST", "/auth/token", {"username": user, "password": password})["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **query: Any) -> Json:
        """Read; `path` starts behind ``/api/v2``."""
        return self._send("GET", f"/api/v2{path}", query=query)

    def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """Create something."""
        return self._send("POST", f"/api/v2{path}", body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """Change something."""
        return self._send("PATCH", f"/api/v2{path}", body)

    def put(self, path: str) -> Json:
        """Ask for an action on something."""
        return self._send("PUT", f"/api/v2{path}", {})

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> Json:
        try:
            response = self._session.request(method, self.url + path, params=query, json=body, timeout=30)
        except requests.RequestException as error:
            raise DevError(f"Airflow's API at {self.url} does not answer: {error}") from error
        if not response.ok:
            message = f"{method} {path}: {response.status_code} {response.text[:500]}"
            raise ApiError(response.status_code, message)
        answer: Json = response.json() if response.content else {}
        return answer


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # the stack is on this machine: no proxy, no login of the caller's .netrc
    return session


def run_path(dag_id: str, run_id: str) -> str:
    """Return the API path of a DAG run.

    >>> run_path("flight_delay.train", "backfill__2013-03-01T00:00:00+00:00")
    '/dags/flight_delay.train/dagRuns/backfill__2013-03-01T00%3A00%3A00%2B00%3A00'
    """
    return f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"
