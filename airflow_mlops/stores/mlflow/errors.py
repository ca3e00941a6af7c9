"""What MLflow did not do, said in our words: away, broken, or without its files."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow_mlops.core.errors import RecordError, StoreUnavailableError
from airflow_mlops.redaction import redact, user_end
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.answers import AT_THIS_REQUEST, Away, causes_of, told_apart

_CLOUD_CLIENTS = frozenset({"boto3", "botocore", "google", "azure"})
_NOT_FOUND = 404


def without_credentials(uri: str) -> str:
    """Return an address as it may be shown.

    >>> without_credentials("https://ada:secret@mlflow.example.com:5000/x?token=1")
    'https://mlflow.example.com:5000/x'
    """
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return redact(uri)
    host = re.split("[?#]", rest[user_end("http", rest) :], maxsplit=1)[0]
    return f"{scheme}{mark}{host}"


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where MLflow is: what an error about it must name."""

    uri: str
    conn_id: str = ""

    def __str__(self) -> str:
        connection = f" (connection '{self.conn_id}')" if self.conn_id else ""
        return f"{without_credentials(self.uri)}{connection}"


@contextmanager
def answering(address: Address, ask: Callable[[], Any] | None = None) -> Iterator[None]:
    """Turn "MLflow gives no usable answer" into a refusal that says what it did, where, for how long, and what to do.

    Parameters
    ----------
    ask
        Asks MLflow something else: where that is answered, an error 500 is about the request and not about the server.

    Raises
    ------
    StoreUnavailableError
        STORE_UNAVAILABLE, when no answer came, or none of MLflow's own; `lasting` where trying again changes nothing.
    """
    begun = time.monotonic()
    try:
        yield
    except Exception as error:
        away = None if isinstance(error, StoreUnavailableError) else told_apart(error)
        if away is None:
            raise
        if away.of_request and ask is not None and _answers(ask):
            away = AT_THIS_REQUEST
        raise _unavailable(address, error, away, time.monotonic() - begun) from error


def _answers(ask: Callable[[], Any]) -> bool:
    try:
        ask()
    except Exception as error:
        if told_apart(error) is None:
            raise
        return False
    return True


@contextmanager
def writing_files(address: Address, ask: Callable[[], Any]) -> Iterator[None]:
    """As :func:`answering`, for what writes files.

    A server that cannot store a file often closes the connection while it is still being sent, so the failure alone
    does not tell which of the two is broken; `ask` asks MLflow something else.

    Raises
    ------
    StoreUnavailableError
        STORE_UNAVAILABLE, when `ask` fails too; STORE_UNWRITABLE, when only files cannot be written.
    """
    try:
        yield
    except Exception as error:
        if not is_about_storage(error):
            raise
        with answering(address):
            ask()
        raise _unwritable(address, error) from error


def is_about_storage(error: Exception) -> bool:
    """Whether a failed transfer of files is the network's or a store's fault, and not a bug on this side."""
    import requests
    from mlflow.exceptions import MlflowException

    known = isinstance(error, MlflowException | requests.RequestException | OSError)
    return known or type(error).__module__.partition(".")[0] in _CLOUD_CLIENTS


def says_missing(error: Exception) -> bool:
    """Whether an answer, and nothing else, says that the thing does not exist."""
    import requests

    for cause in causes_of(error):
        answer = cause.response if isinstance(cause, requests.HTTPError) else None
        if is_missing(cause) or isinstance(cause, FileNotFoundError):
            return True
        if answer is not None and answer.status_code == _NOT_FOUND:
            return True
    return False


@contextmanager
def reading_files(
    address: Address, is_there: Callable[[], bool], missing: Callable[[str], Exception]
) -> Iterator[None]:
    """As :func:`answering`, for what reads files.

    MLflow hands on a failed download as text, without the failure that caused it, so the store is asked what it holds.

    Parameters
    ----------
    is_there
        Asks the store whether it lists the file.
    missing
        Makes the refusal for a file that is not there, from what was said.

    Raises
    ------
    StoreUnavailableError
        STORE_UNAVAILABLE, when the file is there, or the store does not say: trying again may help.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, StoreUnavailableError) or not is_about_storage(error):
            raise
        if says_missing(error) or not _lists(address, is_there):
            raise missing(said(error)) from error
        raise _unreadable(address, error) from error


def _lists(address: Address, is_there: Callable[[], bool]) -> bool:
    try:
        with answering(address):
            return is_there()
    except Exception as error:
        if isinstance(error, StoreUnavailableError) or not is_about_storage(error):
            raise
        if says_missing(error):
            return False
        raise _unreadable(address, error) from error


def said(error: BaseException) -> str:
    """Return the innermost failure in one line, without credentials.

    >>> said(OSError("cannot get https://ada:pw@s3.example.com/b/m.skops?X-Amz-Signature=1 at all"))
    'cannot get https://s3.example.com/b/m.skops at all'
    """
    text = str(list(causes_of(error))[-1]) or type(error).__name__
    # What was answered is a page as often as a sentence, and whoever sent it wrote it.
    own = _BODY.split(" ".join(text.split()), maxsplit=1)[0]
    # Not only what signs an address: its whole query, also of one without its host, as urllib3 writes it.
    return _QUERY.sub("", redact(own))[:_LONGEST]


_QUERY = re.compile(r"(?<=\S)\?\S+")
_BODY = re.compile(r"\.? Response (?:body|text): ")
_LONGEST = 300


def _unavailable(address: Address, error: BaseException, away: Away, seconds: float) -> StoreUnavailableError:
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES

    tries = 1 + (MLFLOW_HTTP_REQUEST_MAX_RETRIES.get() if away.tried_again else 0)  # type: ignore[no-untyped-call]
    where = f"{address} in {tries} {'try' if tries == 1 else 'tries'} and {seconds:.1f} seconds"
    refusal = StoreUnavailableError(
        Problem(
            code=ReasonCode.STORE_UNAVAILABLE,
            field="MLflow",
            found=f"no usable answer from {where}: {away.what}: {said(error)}",
            allowed="an MLflow server that answers",
            fix=away.fix,
        )
    )
    refusal.lasting = away.lasting
    return refusal


def _unreadable(address: Address, error: BaseException) -> StoreUnavailableError:
    return StoreUnavailableError(
        Problem(
            code=ReasonCode.STORE_UNAVAILABLE,
            field="MLflow's artifact store",
            found=f"MLflow at {address} answers, but its artifact store cannot be read: {said(error)}",
            allowed="an artifact store that the server (or the worker, without --serve-artifacts) may read",
            fix="try again; if it stays so, look at the server's log and at its --artifacts-destination",
        )
    )


def _unwritable(address: Address, error: BaseException) -> StoreUnavailableError:
    return StoreUnavailableError(
        Problem(
            code=ReasonCode.STORE_UNWRITABLE,
            field="MLflow's artifact store",
            found=f"MLflow at {address} answers, but its artifact store cannot be written: {said(error)}",
            allowed="an artifact store that the server (or the worker, without --serve-artifacts) may write",
            fix="give it write permission and space, or change the server's --artifacts-destination",
        )
    )


def is_missing(error: Any) -> bool:
    """Whether MLflow says that the thing does not exist."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def is_taken(error: Any) -> bool:
    """Whether MLflow says that somebody made it already."""
    return getattr(error, "error_code", "") == "RESOURCE_ALREADY_EXISTS"


def is_refused(error: Any) -> bool:
    """Whether MLflow's database refused the request."""
    return getattr(error, "error_code", "") == "BAD_REQUEST"


def conflict(found: str, allowed: str, fix: str) -> RecordError:
    """Return the refusal of what stands in MLflow and must not: RECORD_CONFLICT."""
    return RecordError(Problem(code=ReasonCode.RECORD_CONFLICT, field="MLflow", found=found, allowed=allowed, fix=fix))
