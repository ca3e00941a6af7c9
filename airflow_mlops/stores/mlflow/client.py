"""MLflow's client, with its failures said in our words, and its lost races run again, at this one place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from airflow_mlops.stores.mlflow.errors import Address, answering, is_refused, writing_files

WRITES = frozenset({"log_artifact", "log_artifacts", "log_text", "log_model_artifacts"})
"""Client methods that write files: what fails there with MLflow itself alive is the artifact store."""
SETS = frozenset({"set_registered_model_tag", "set_model_version_tag", "set_registered_model_alias", "set_tag"})
"""Client methods that set a value whatever stood there. MLflow looks for the row and then inserts or changes it: of
two that insert at the same instant the database refuses one, and MLflow hands that on. Done again, it is a change."""
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
            with writing_files(self.address, self._ask) if name in WRITES else answering(self.address):
                return _again(method, args, kwargs) if name in SETS else method(*args, **kwargs)

        return guarded

    def _ask(self) -> None:
        self._client.search_experiments(max_results=1)


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
    # Named even when it is the same: MLflow would ask the process for one that was set elsewhere.
    client = MlflowClient(tracking_uri=address.uri, registry_uri=registry_uri or address.uri)
    return GuardedClient(client, address)


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
