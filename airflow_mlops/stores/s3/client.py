"""A client of S3 by Airflow's AWS connection: its keys, roles, session tokens, endpoint and settings of botocore."""

from __future__ import annotations

import os
from hashlib import blake2b
from threading import Lock
from typing import Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.redaction import hide_connection
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.s3.address import S3Address
from airflow_mlops.stores.s3.errors import telling

_MOST_CLIENTS = 16
_lock = Lock()
_clients: dict[tuple[int, str, str], Any] = {}
"""By process (a connection survives no fork), connection and its content."""


def known_connection(conn_id: str | None, field: str) -> str:
    """Return what tells a connection's content from another, after nobody can say its secrets any more.

    Airflow's own hook takes whatever credentials it finds on the machine where a connection does not exist: rows would
    be written by somebody else, to wherever that may be.

    Raises
    ------
    DataError
        If there is no such connection, or it is not AWS's.
    """
    if not conn_id:
        return ""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise _refused(field, f"no Airflow connection '{conn_id}'", "add the connection") from error
    hide_connection(connection)
    if connection.conn_type not in ("aws", "", None):
        found = f"connection '{conn_id}' of type '{connection.conn_type}'"
        raise _refused(field, found, "name a connection of type Amazon Web Services (aws)")
    known = repr((connection.login, connection.password, connection.schema, connection.host, connection.extra))
    return blake2b(known.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def s3_client(address: S3Address, field: str) -> Any:
    """Return a client; the same one as long as the connection says the same. Nothing is asked of S3 yet.

    Without a connection it is what the machine's environment says: variables, profiles, the role of a node or a pod.

    Raises
    ------
    DataError
        As :func:`known_connection`; and if the connection's settings are none that a client can be made of.
    StoreUnavailableError
        If there are no credentials, or a role cannot be taken.
    """
    known = (os.getpid(), address.conn_id or "", known_connection(address.conn_id, field))
    with _lock:
        if known not in _clients:
            while len(_clients) >= _MOST_CLIENTS:
                _clients.pop(next(iter(_clients))).close()  # who still holds it opens its connections anew
            _clients[known] = _made(address, field)
        return _clients[known]


def _made(address: S3Address, field: str) -> Any:
    from airflow.sdk.exceptions import AirflowException

    with telling(address.uri(address.key), "read", field):
        try:
            return _client(address.conn_id)
        except (AirflowException, ValueError, TypeError, KeyError) as error:
            name = f"connection '{address.conn_id}'" if address.conn_id else "an environment"
            found = f"{name} that no client of S3 can be made of ({type(error).__name__})"
            fix = "correct endpoint_url, config_kwargs and the other settings in the connection's extra"
            raise _refused(field, found, fix) from error


def s3_credentials(address: S3Address, field: str) -> Any:
    """Return what requests are signed with at this moment, for a client that is not boto3's; None where there is none.

    Raises
    ------
    StoreUnavailableError
        If a role cannot be taken.
    """
    with telling(address.uri(address.key), "read", field):
        found = _hook(address.conn_id).get_session().get_credentials()
        return found and found.get_frozen_credentials()


def _hook(conn_id: str | None) -> Any:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    return AwsGenericHook(aws_conn_id=conn_id, client_type="s3")


def _client(conn_id: str | None) -> Any:
    from botocore.config import Config

    hook = _hook(conn_id)
    # Not the hook's own client: for the name under which it presents itself it looks through all of Airflow's providers
    # and the source of every caller, which takes longer than most of what is asked here.
    ours = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=10,
        read_timeout=60,
        tcp_keepalive=True,
        user_agent_extra="airflow-mlops",
    )
    return hook.get_session().client(
        "s3",
        endpoint_url=hook.conn_config.get_service_endpoint_url(service_name="s3"),
        config=ours.merge(hook.config),
        verify=hook.verify,
    )


def _refused(field: str, found: str, fix: str) -> DataError:
    return DataError(
        Problem(
            code=ReasonCode.SOURCE_UNREADABLE,
            field=field,
            found=found,
            allowed="a local path, or a URI of an object store whose Airflow provider is installed and connected",
            fix=fix,
        )
    )
