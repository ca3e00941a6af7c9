"""What kept MLflow from answering, told apart: away, silent, cut off, not itself, elsewhere, locked, or at fault.

MLflow's client makes of all of them one exception with the words of another one, so the chain of causes is read, and
of its own words only what it wrote itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Away:
    """One way of giving no usable answer."""

    what: str
    fix: str
    lasting: bool = False
    """Whether trying again changes nothing."""
    tried_again: bool = True
    """Whether MLflow's client tries this again by itself."""
    of_request: bool = False
    """Whether it may be about the request, and not about the server."""


_START = "start the server, or correct the connection's host, port and TLS options"
_KEPT = "nothing more was written"
REFUSED = Away(what="nobody takes a connection there", fix=f"{_START}; {_KEPT}")
NO_NAME = Away(
    what="the host's name is not known", fix=f"correct the connection's host, or the network's names; {_KEPT}"
)
SILENT = Away(
    what="it took the connection and then said nothing (the time-out is the connection's `timeout`)",
    fix=f"look at the server's load, database and log, or raise the connection's timeout; {_KEPT}",
)
UNREACHED = Away(
    what="no connection came about in time (the time-out is the connection's `timeout`)",
    fix=f"look at firewalls and routes between worker and server; {_KEPT}",
)
CUT_OFF = Away(
    what="its answer was cut off in the middle",
    fix=f"look at the server's log, and at proxies between that limit size or time; {_KEPT}",
    tried_again=False,
)
DROPPED = Away(
    what="it closed the connection without an answer",
    fix=f"look at the server's log, and at proxies between that limit size or time; {_KEPT}",
)
BROKEN = Away(
    what="it, or a proxy before it, answered with a server error",
    fix=f"look at the server's log; {_KEPT}",
    of_request=True,
)
BUSY = Away(what="it, or a proxy before it, says that it is overloaded or not up", fix=f"try again later; {_KEPT}")
AT_THIS_REQUEST = Away(
    what="it answers other requests, and fails at this one each time (error 500)",
    fix="read what the server's log says of it: something that stands in MLflow contradicts the request (a deleted "
    "model or run, a damaged database); trying again changes nothing",
    lasting=True,
)
TLS = Away(
    what="the TLS connection failed",
    fix=f"check the server's certificate, and the connection's ca_bundle, client_cert and scheme; {_KEPT}",
    lasting=True,
)
NOT_MLFLOW = Away(
    what="a page or text came instead of MLflow's JSON: a login or maintenance page, or another server",
    fix=f"open the address in a browser, and correct the connection's host, port or path; {_KEPT}",
    tried_again=False,
)
ELSEWHERE = Away(
    what="it redirects, and credentials are not sent elsewhere",
    fix=f"set the connection's host to the address that it redirects to, if that is MLflow; {_KEPT}",
    lasting=True,
    tried_again=False,
)
LOCKED = Away(
    what="it does not accept the credentials, or forbids this",
    fix=f"correct the connection's user and password, or token, or give that user the permission; {_KEPT}",
    lasting=True,
    tried_again=False,
)

_OF_CODE = {"TEMPORARILY_UNAVAILABLE": BUSY, "REQUEST_LIMIT_EXCEEDED": BUSY, "INTERNAL_ERROR": BROKEN} | dict.fromkeys(
    ("UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"), LOCKED
)
_STATUS = re.compile(r"failed with error code (\d{3})\b")
_CUT = re.compile(r"not in a valid JSON format.*?Response body: '\s*[\[{]", re.DOTALL)
_PAGE = re.compile(r"not in a valid JSON format")
_MANY = re.compile(r"too many (\d{3}) error responses")


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it; also what urllib3 and requests hand on as an argument."""
    left: list[Any] = [error]
    seen: set[int] = set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (getattr(one, "reason", None), *one.args, one.__cause__ or one.__context__)
        left += [found for found in reversed(inner) if isinstance(found, BaseException)]


def told_apart(error: BaseException) -> Away | None:
    """Say what kept MLflow from answering; None for an answer, and for what went wrong on this side."""
    for cause in causes_of(error):
        found = _of_network(cause) or _of_answer(cause)
        if found is not None:
            return found
    import requests

    general = any(isinstance(cause, requests.ConnectionError | requests.Timeout) for cause in causes_of(error))
    return REFUSED if general else None


def _of_network(cause: BaseException) -> Away | None:
    import requests
    from urllib3 import exceptions as low

    kinds: tuple[tuple[tuple[type[BaseException], ...], Away], ...] = (
        ((low.ReadTimeoutError, requests.ReadTimeout), SILENT),
        ((low.NameResolutionError,), NO_NAME),
        ((low.NewConnectionError,), REFUSED),
        ((low.ConnectTimeoutError, requests.ConnectTimeout), UNREACHED),
        ((low.SSLError, requests.exceptions.SSLError), TLS),
        ((low.IncompleteRead, requests.exceptions.ChunkedEncodingError, low.DecodeError), CUT_OFF),
        ((requests.exceptions.ContentDecodingError,), CUT_OFF),
        ((requests.TooManyRedirects,), ELSEWHERE),
        ((low.ProtocolError,), DROPPED),
    )
    return next((away for types, away in kinds if isinstance(cause, types)), None)


def _of_answer(cause: BaseException) -> Away | None:
    import requests
    from mlflow.exceptions import MlflowException, RestException

    many = _MANY.search(str(cause))
    if many is not None and type(cause).__module__.partition(".")[0] == "urllib3":
        return _of_status(int(many[1]))
    if isinstance(cause, requests.HTTPError) and cause.response is not None:
        return _of_status(cause.response.status_code)
    if isinstance(cause, RestException):
        return _OF_CODE.get(str(cause.error_code))
    if not isinstance(cause, MlflowException):
        return None
    words = str(cause)
    if _PAGE.search(words[:_HEAD]):
        return CUT_OFF if _CUT.search(words[:_HEAD]) else NOT_MLFLOW
    status = _STATUS.search(words[:_HEAD])
    return None if status is None else _of_status(int(status[1])) or _of_page(words)


_HEAD = 1000
"""Characters of an exception that hold MLflow's own words; what follows is the answer."""


def _of_page(words: str) -> Away | None:
    return NOT_MLFLOW if "<" in words else None


def _of_status(status: int) -> Away | None:
    """Say what a status means; None for what MLflow answers in its own words."""
    if status in (401, 403, 407):
        return LOCKED
    if status in (408, 429, 502, 503, 504):
        return BUSY
    if 300 <= status < 400:  # noqa: PLR2004 - redirections
        return ELSEWHERE
    return BROKEN if status >= 500 else None  # noqa: PLR2004 - errors of the server
