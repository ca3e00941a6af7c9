"""The connection to MLflow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook

from airflow_mlops.core.errors import RecordError
from airflow_mlops.redaction import hide_connection, user_end
from airflow_mlops.redaction.raised import logging_no_secrets, raising_no_secrets
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.errors import Address
    from airflow_mlops.stores.mlflow.store import MLflowStore

_turn = Lock()
_open: dict[tuple[tuple[str, str | None], ...], tuple[int, dict[str, str | None]]] = {}
"""Sessions that are open, and what was there before the first of them, by what they set."""
DEFAULTS = {"timeout": 60, "max_retries": 4, "backoff": 1}
"""Seconds, number, seconds: with MLflow away a call gives up after some 15 seconds, and the task's retry follows."""


class MLflowHook(BaseHook):
    """MLflow by an Airflow connection of type ``mlflow``.

    Host, scheme and port make the tracking URI (or the host is the whole URI); login and password, or the extra's
    `token`, are the credentials; the extra's other fields are those of :mod:`airflow_mlops.hooks.form`. User and
    password in an http address are taken out of it before MLflow sees it: no error can quote what is not there.

    Parameters
    ----------
    mlflow_conn_id
        The connection's id.
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "mlflow_default"
    conn_type = "mlflow"
    hook_name = "MLflow"

    def __init__(self, mlflow_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mlflow_conn_id = mlflow_conn_id

    def get_conn(self) -> Any:
        """Return an ``MlflowClient``. Use it inside :meth:`session`, which gives MLflow its credentials."""
        from mlflow import MlflowClient

        connection = self._connection()
        return MlflowClient(tracking_uri=tracking_uri(connection), registry_uri=registry_uri(connection))

    @property
    def tracking_url(self) -> str:
        """Address of MLflow's pages, without credentials."""
        from airflow_mlops.stores.mlflow.errors import without_credentials

        connection = self._connection()
        return without_credentials(_extra(connection).get("ui_url") or tracking_uri(connection)).rstrip("/")

    @contextmanager
    def session(self) -> Iterator[None]:
        """Let everything of MLflow in this process use the connection; afterwards all is as it was before.

        MLflow reads credentials, TLS options, timeout and retries from environment variables only, so two sessions
        of one process may overlap in time only when they use the same connection: threads of one task.
        """
        wanted = environment(self._connection())
        key = tuple(wanted.items())
        with _turn:
            sessions, before = _open.get(key) or (0, {name: os.environ.get(name) for name in wanted})
            _open[key] = sessions + 1, before
            _use(wanted["MLFLOW_TRACKING_URI"], wanted["MLFLOW_REGISTRY_URI"], wanted)
        try:
            with logging_no_secrets(), raising_no_secrets():
                yield
        finally:
            with _turn:
                sessions, before = _open.pop(key)
                if sessions > 1:
                    _open[key] = sessions - 1, before
                else:
                    # MLflow keeps both in globals and in the environment, and looks there when the globals are unset.
                    _use(None, None, before)

    @contextmanager
    def records(self, spec: ModelSpec | None = None) -> Iterator[MLflowStore]:
        """Open the system of record for the length of a session.

        Parameters
        ----------
        spec
            Whose stage it is opened for: experiments of other specifications are refused. None: a person's command.
        """
        from airflow_mlops.config import seal_keys
        from airflow_mlops.stores.mlflow.client import connect
        from airflow_mlops.stores.mlflow.store import MLflowStore

        with self.session():
            client = connect(self._address(), registry_uri(self._connection()))
            yield MLflowStore(client, ui_url=self.tracking_url, spec=spec, keys=seal_keys(), witness=_open_witness)

    def test_connection(self) -> tuple[bool, str]:
        """Ask the server for its experiments; return whether it answered, and what it said."""
        from mlflow.exceptions import MlflowException

        from airflow_mlops.redaction import redact
        from airflow_mlops.spec.problems import Refusal
        from airflow_mlops.stores.mlflow.client import connect

        try:
            with self.session():
                client = connect(self._address(), registry_uri(self._connection()))
                client.search_experiments(max_results=1)
                client.search_registered_models(max_results=1)
        except (Refusal, MlflowException, OSError, ValueError) as error:
            return False, redact(str(error))
        return True, f"MLflow answers at {self._address()}"

    def _address(self) -> Address:
        from airflow_mlops.stores.mlflow.errors import Address

        return Address(uri=tracking_uri(self._connection()), conn_id=self.mlflow_conn_id)

    def _connection(self) -> Any:
        from airflow.sdk.exceptions import AirflowNotFoundException

        try:
            connection = self.get_connection(self.mlflow_conn_id)
        except AirflowNotFoundException as error:
            raise _wrong(
                self.mlflow_conn_id,
                "no such Airflow connection",
                "add it: Admin, Connections, type MLflow; or export AIRFLOW_CONN_"
                f"{self.mlflow_conn_id.upper()}='mlflow://:@127.0.0.1:5000'",
            ) from error
        hide_connection(connection)
        return connection


def _open_witness() -> Storage:
    from airflow_mlops.config import open_configured_storage

    return open_configured_storage()


def tracking_uri(connection: Any) -> str:
    """Return the connection's tracking URI, without the credentials that an http address may carry.

    Raises
    ------
    RecordError
        If the connection has no host, or one that MLflow has no store for.
    """
    host = _without_login(connection.host or "", connection.conn_id).rstrip("/")
    if not host:
        raise _wrong(connection.conn_id, "a connection without host", "set its host to MLflow's tracking URI")
    port = f":{connection.port}" if connection.port else ""
    if host.startswith(("http://", "https://")):
        return host if urlsplit(host).port else f"{host}{port}"
    if "://" in host or host.startswith("sqlite:"):
        return host
    return f"{connection.schema or 'http'}://{host}{port}"


def registry_uri(connection: Any) -> str:
    """Return the connection's registry URI: the tracking URI when it names no other."""
    named = _extra(connection).get("registry_uri")
    return _without_login(str(named), connection.conn_id) if named else tracking_uri(connection)


_SCHEMES = frozenset(
    {"http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks", "databricks-uc", "uc", "file"}
)
_PLUGINS = ("mlflow.tracking_store", "mlflow.model_registry_store")
"""Groups of entry points by which packages add stores to MLflow."""


def _without_login(uri: str, conn_id: str) -> str:
    """Return an address without user and password, if it is one that takes them apart from it."""
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme.startswith("sqlite"):
        return uri
    kind = scheme.lower().partition("+")[0]
    if kind not in _SCHEMES and scheme not in _registered_schemes():
        raise _wrong(
            conn_id,
            f"an address of the scheme '{scheme[:_LONGEST_SCHEME]}', for which MLflow has no store here",
            "write an address that begins with http:// or https://, or of a database",
        )
    if kind not in ("http", "https"):
        return uri
    rest = rest[user_end(scheme, rest) :]
    if "?" in rest or "#" in rest:
        raise _wrong(conn_id, "an address with a query (not shown)", "leave out what follows ? or #")
    return f"{scheme}{mark}{rest}"


_LONGEST_SCHEME = 30


def _registered_schemes() -> set[str]:
    from importlib.metadata import entry_points

    return {point.name for group in _PLUGINS for point in entry_points(group=group)}


def _login(connection: Any) -> tuple[str | None, str | None]:
    """Return user and password: of the connection's fields, or of its addresses."""
    from airflow_mlops.stores.mlflow.client import login_of

    addresses = [str(connection.host or ""), str(_extra(connection).get("registry_uri") or "")]
    found = {
        (connection.login or "", (connection.password or "") if connection.login else ""),
        *(login_of(uri) for uri in addresses if uri.lower().startswith(("http://", "https://"))),
    } - {("", "")}
    if len(found) > 1:
        fix = "write them once, as the connection's user and password"
        raise _wrong(connection.conn_id, "two users or passwords (in its fields and its addresses)", fix)
    user, password = next(iter(found), ("", ""))
    if user and not password and not connection.login:
        raise _wrong(connection.conn_id, "a user without a password", "add the password, or use the extra's token")
    return user or None, password or None


def environment(connection: Any) -> dict[str, str | None]:
    """Return MLflow's environment variables for a connection; None means: not set.

    Raises
    ------
    RecordError
        If options contradict each other.
    """
    extra = _extra(connection)
    token = extra.get("token")
    if token and connection.login:
        raise _wrong(connection.conn_id, "a token and a user", "leave one of them empty")
    # A token is what somebody chose; what an address carries beside it, many have left there.
    user, password = (None, None) if token else _login(connection)
    verify = extra.get("verify_tls", True) not in (False, "false", "False", 0)
    if not verify and extra.get("ca_bundle"):
        raise _wrong(connection.conn_id, "a CA bundle, and TLS verification off", "switch verify_tls on")
    return {
        "MLFLOW_TRACKING_URI": tracking_uri(connection),
        "MLFLOW_REGISTRY_URI": registry_uri(connection),
        "MLFLOW_TRACKING_TOKEN": token or None,
        "MLFLOW_TRACKING_USERNAME": user,
        "MLFLOW_TRACKING_PASSWORD": password,
        # Followed, a POST would arrive as a GET, and credentials somewhere else.
        "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
        "MLFLOW_TRACKING_INSECURE_TLS": None if verify else "true",
        "MLFLOW_TRACKING_SERVER_CERT_PATH": extra.get("ca_bundle") or None,
        "MLFLOW_TRACKING_CLIENT_CERT_PATH": extra.get("client_cert") or None,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(extra.get("timeout", DEFAULTS["timeout"])),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(extra.get("max_retries", DEFAULTS["max_retries"])),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": str(extra.get("backoff", DEFAULTS["backoff"])),
        # Task logs show our own links; a progress bar is noise there.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }


def _extra(connection: Any) -> Mapping[str, Any]:
    return {name: value for name, value in connection.extra_dejson.items() if value not in (None, "")}


def _use(tracking: str | None, registry: str | None, variables: Mapping[str, str | None]) -> None:
    """Set MLflow's globals, which set variables too, and then the variables."""
    import mlflow

    mlflow.set_tracking_uri(tracking)  # type: ignore[arg-type]
    mlflow.set_registry_uri(registry)  # type: ignore[arg-type]
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _wrong(conn_id: str, found: str, fix: str) -> RecordError:
    return RecordError(
        Problem(
            code=ReasonCode.STORE_UNAVAILABLE,
            field=f"connection '{conn_id}'",
            found=found,
            allowed="a connection of type mlflow with a host",
            fix=fix,
        )
    )
