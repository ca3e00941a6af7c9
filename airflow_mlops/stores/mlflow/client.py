"""MLflow's client, with its failures said in our words, and its lost races run again, at this one place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import unquote

from airflow_mlops.redaction import hide_login, redact, user_end
from airflow_mlops.redaction.raised import raising_no_secrets
from airflow_mlops.stores.mlflow.errors import Address, answering, is_refused, writing_files

WRITES = frozenset({"log_artifact", "log_artifacts", "log_text", "log_model_artifacts"})
"""Client methods that write files: what fails there with MLflow itself alive is the artifact store."""
SETS = frozenset({"set_registered_model_tag", "set_model_version_tag", "set_registered_model_alias", "set_tag"})
"""Client methods that set a value whatever stood there. MLflow looks for the row and then inserts or changes it: of
two that insert at the same instant the database refuses one, and MLflow hands that on. Done again, it is a change."""
TELLS = SETS | {
    *("create_run", "create_experiment", "create_model_version", "create_registered_model", "create_logged_model"),
    *("set_experiment_tag", "set_logged_model_tags", "log_param", "log_batch", "log_inputs"),
    *("update_model_version", "update_registered_model"),
}
"""Client methods that write texts which others read: tags, parameters, descriptions."""
_NOISY = "mlflow.store.model_registry.abstract_store"


class GuardedClient:
    """An MlflowClient whose every method raises our refusals when MLflow is away."""

    def __init__(self, client: Any, address: Address) -> None:
        self._client = client
        self.address = address

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        @wraps(method)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if name in TELLS:
                args, kwargs = _clean(args), _clean(kwargs)
            answers = writing_files if name in WRITES else answering
            with raising_no_secrets(), answers(self.address, self._ask):
                return _again(method, args, kwargs) if name in SETS else method(*args, **kwargs)

        return guarded

    def _ask(self) -> None:
        self._client.search_experiments(max_results=1)


def _clean(value: Any) -> Any:
    """Return what is written without secrets.

    What is one word is a name or a key, and JSON is a record: both are compared later with what was meant, and their
    texts had their secrets taken out where they were made.
    """
    if isinstance(value, str):
        return value if value.isidentifier() or value[:1] in ("{", "[") or not _is_text(value) else redact(value)
    if isinstance(value, dict):
        return {key: _clean(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_clean, value))
    if type(value).__name__ in _NAMED_VALUES:
        return type(value)(value.key, _clean(value.value))
    return value


_NAMED_VALUES = frozenset({"Param", "RunTag", "InputTag"})


def _is_text(value: str) -> bool:
    return "://" in value or any(letter.isspace() for letter in value) or "=" in value


def _again(method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Set a value; once more if that was refused. A request that is wrong in itself is refused again."""
    from mlflow.exceptions import MlflowException

    try:
        return method(*args, **kwargs)
    except MlflowException as error:
        if not is_refused(error):
            raise
    return method(*args, **kwargs)


def connect(address: Address, registry_uri: str | None = None) -> GuardedClient:
    """Return a client of the tracking server (and registry) at `address`. Opens no connection yet."""
    from mlflow import MlflowClient

    noisy = logging.getLogger(_NOISY)
    if noisy.level == logging.NOTSET:
        # "Waiting up to 60 seconds for model version to finish creation" goes to stderr, which Airflow shows as ERROR.
        noisy.setLevel(logging.WARNING)
    for uri in (address.uri, registry_uri or ""):
        hide_login(*login_of(uri))
    # Named even when it is the same: MLflow would ask the process for one that was set elsewhere.
    with raising_no_secrets():
        client = MlflowClient(tracking_uri=address.uri, registry_uri=registry_uri or address.uri)
    return GuardedClient(client, address)


def login_of(uri: str) -> tuple[str, str]:
    """Return user and password of an address, as they are meant.

    >>> login_of("http://ada:p%40w/x@ml.example.com:5000"), login_of("http://ml.example.com")
    (('ada', 'p@w/x'), ('', ''))
    """
    scheme, mark, rest = uri.partition("://")
    user, _, password = rest[: max(user_end(scheme, rest) - 1, 0)].partition(":") if mark else ("", "", "")
    return unquote(user), unquote(password)


def quoted(value: str) -> str:
    r"""Return a value as MLflow's filter language writes it.

    >>> quoted("it's"), quoted("plain")
    ('"it\'s"', "'plain'")

    Raises
    ------
    ValueError
        If it holds both kinds of quotes, which that language cannot say.
    """
    if "'" not in value:
        return f"'{value}'"
    if '"' in value:
        raise ValueError(f"a name with both kinds of quotes cannot be searched for in MLflow: {value}")
    return f'"{value}"'
