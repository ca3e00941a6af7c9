"""Post an event of the loop to a webhook, by an Airflow connection of type http."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, BaseNotifier

from airflow_mlops.redaction import hide_connection
from airflow_mlops.redaction.raised import logging_no_secrets

if TYPE_CHECKING:
    from airflow_mlops.notifications.event import LoopEvent

_OPTIONS = frozenset(
    {
        *("allow_redirects", "cert", "check_response", "max_redirects", "proxies", "proxy"),
        *("srv_lookup", "stream", "timeout", "trust_env", "verify", "verify_ssl"),
    }
)
"""What the extra of a connection of type http may hold beside headers."""


class NotSentError(RuntimeError):
    """The event did not arrive. Its words name the connection and never the address, which may be a secret itself."""


class LoopNotifier(BaseNotifier):
    """Post an event as JSON, with a `text` that Slack, Mattermost, Teams and their likes show.

    The connection's host, port and schema are the address (or the host is the whole address); a password without a
    login is sent as a bearer token, with one as basic authentication; the extra's fields are headers. Redirects are
    not followed.

    It can be a callback of any of this package's operators too: then it says what the task came to.

    Parameters
    ----------
    conn_id
        Connection of type http.
    event
        What to say; None: what the task that it is a callback of came to.
    timeout
        Seconds to wait for the connection, and for the answer.

    Examples
    --------
    >>> from airflow_mlops.operators import PromoteOperator
    >>> promote = PromoteOperator(task_id="promote", spec="models/flight_delay.yaml", candidate={}, decision={},
    ...                           on_success_callback=LoopNotifier("ops_webhook"))
    """

    template_fields = ("conn_id",)

    def __init__(self, conn_id: str, event: LoopEvent | None = None, *, timeout: float = 10.0) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.event = event
        self.timeout = timeout

    def notify(self, context: Any) -> None:
        """Post the event.

        Raises
        ------
        NotSentError
            If the connection does not lead to somebody who takes it.
        ValueError
            If no event was given, and the task's answer is none of the loop's events.
        """
        from airflow_mlops.notifications.task_event import event_of_task

        self._post((self.event or event_of_task(context)).payload())

    def _post(self, body: Mapping[str, Any]) -> None:
        import requests

        connection = BaseHook.get_connection(self.conn_id)
        hide_connection(connection, headers=True)
        url, extra = _address(connection), connection.extra_dejson
        headers = {name: str(value) for name, value in extra.items() if name not in _OPTIONS}
        auth = (connection.login, connection.password or "") if connection.login else None
        if connection.password and not connection.login:
            headers.setdefault("Authorization", f"Bearer {connection.password}")
        try:
            with logging_no_secrets():
                answer = requests.post(
                    url,
                    json=body,
                    headers=headers,
                    auth=auth,
                    timeout=self.timeout,
                    verify=extra.get("verify", extra.get("verify_ssl", True)),
                    allow_redirects=False,  # a redirected POST arrives as a GET, without its body
                )
        except (requests.RequestException, ValueError) as error:  # ValueError: an address that is none
            # Its words quote the address, and so would its traceback.
            raise NotSentError(self._says(f"could not be reached ({type(error).__name__})")) from None
        if not answer.ok or answer.is_redirect:
            raise NotSentError(self._says(f"answered {answer.status_code}"))

    def _says(self, what: str) -> str:
        return f"the webhook of connection '{self.conn_id}' {what}"


def _address(connection: Any) -> str:
    """Return the address of an http connection, read as Airflow's HttpHook reads it."""
    host = connection.host or ""
    if "://" not in host:
        host = f"{connection.schema or 'http'}://{host}"
    return f"{host}:{connection.port}" if connection.port else host
