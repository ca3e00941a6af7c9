"""No secret is said: one function that takes them out of a text, and what makes errors and logs go through it.

It knows secrets in two ways: by what they look like wherever they stand (:mod:`~airflow_mlops.redaction.looks`), and by
having seen them (:mod:`~airflow_mlops.redaction.seen`): whoever opens a connection calls :func:`hide_connection`, and
from then on its secrets are taken out in every form in which libraries write them. Errors and log records go through
:mod:`~airflow_mlops.redaction.raised`. Being the lowest floor, it knows neither Airflow nor any store.
"""

from __future__ import annotations

from airflow_mlops.redaction.looks import looks_secret, may_look_secret, user_end, without_looks
from airflow_mlops.redaction.seen import hide, hide_connection, hide_login, tell_secrets_to, without_seen

__all__ = [
    "hide",
    "hide_connection",
    "hide_login",
    "looks_secret",
    "may_look_secret",
    "redact",
    "tell_secrets_to",
    "user_end",
]


def redact(text: str) -> str:
    """Return a text without secrets.

    >>> redact("cannot reach https://ada:s3cret/pw@mlflow.example.com:5000/x?token=abc")
    'cannot reach https://mlflow.example.com:5000/x?token=***'
    >>> redact("fatal: password=hunter2 in s3://aws_default@bucket/x")
    'fatal: password=*** in s3://aws_default@bucket/x'
    """
    return without_looks(without_seen(text))
