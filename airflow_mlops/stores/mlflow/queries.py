"""Small questions to MLflow that several parts of the store ask, each answered in one way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.errors import conflict, is_missing, is_taken

SHOWN_AS = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow's pages show a new experiment as one of language models, with empty traces, unless it says what it is."""


def open_experiment(client: GuardedClient, name: str, tags: Mapping[str, str] | None = None) -> str:
    """Find an experiment by its name, or make it with these tags; return its id.

    Raises
    ------
    RecordError
        RECORD_CONFLICT, if it is deleted.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, tags={**SHOWN_AS, **(tags or {})}))
        except MlflowException as error:  # two first runs at once: the other one was faster
            if not is_taken(error):
                raise
            found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise conflict(
            f"the MLflow experiment '{name}' is deleted",
            "an active experiment",
            f"restore it (mlflow experiments restore), or set tracking.experiment to another name than '{name}'",
        )
    return str(found.experiment_id)


def get_run(client: GuardedClient, run_id: str) -> Any:
    """Return a run.

    Raises
    ------
    RecordError
        RECORD_CONFLICT, if MLflow has none.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if not is_missing(error):
            raise
        raise conflict(
            f"MLflow has no run {run_id}", "a run that the loop made", "trigger a new run of the DAG"
        ) from error


def keep_one_run(client: GuardedClient, experiment_id: str, key: Mapping[str, str]) -> Any | None:
    """Return the live run with these tags; of several, which only a repeated request makes, the earliest stays."""
    return keep_one_of(client, runs_with(client, experiment_id, key))


def runs_with(client: GuardedClient, experiment_id: str, key: Mapping[str, str]) -> list[Any]:
    """Return the live runs with these tags, the earliest first."""
    query = " and ".join(f"tags.`{name}` = {quoted(value)}" for name, value in key.items())
    found = [
        run
        for run in client.search_runs([experiment_id], query, order_by=["attributes.start_time ASC"])
        if all(run.data.tags.get(name) == value for name, value in key.items())
    ]
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def keep_one_of(client: GuardedClient, runs: Sequence[Any]) -> Any | None:
    """Return the first of runs that a repeated request made, and delete the others; none of none.

    A run that has a version is never deleted for another: it stays whichever was earlier, as when somebody restored one
    that was deleted.

    Raises
    ------
    RecordError
        RECORD_CONFLICT, if two of them have versions.
    """
    if len(runs) < 2:  # noqa: PLR2004 - the usual case asks nothing more
        return runs[0] if runs else None
    kept = [run for run in runs if client.search_model_versions(f"run_id = {quoted(run.info.run_id)}")] or [runs[0]]
    if len(kept) > 1:
        raise conflict(
            f"MLflow runs {', '.join(str(run.info.run_id) for run in kept)} say that they are the same run of the "
            "loop, and each has a version",
            "one MLflow run of a run of the loop",
            "delete the one that was made by hand, or trigger a new run of the DAG",
        )
    for double in runs:
        if double is not kept[0]:
            client.delete_run(double.info.run_id)
    return kept[0]


def tag_run(client: GuardedClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run in one request, all or none."""
    from mlflow.entities import RunTag

    if tags:
        client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def logged_models_of(client: GuardedClient, run: Any) -> list[Any]:
    """Return the logged models that a run made and nobody deleted."""
    return list(
        client.search_logged_models(
            [run.info.experiment_id], filter_string=f"source_run_id = {quoted(run.info.run_id)}"
        )
    )


def find_registered_model(client: GuardedClient, model: str) -> Any | None:
    """Return a registered model; None when there is none of that name."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(model)
    except MlflowException as error:
        if not is_missing(error):
            raise
        return None


def all_pages(search: Callable[..., Any], **wanted: Any) -> Iterator[Any]:
    """Yield everything that a search finds, page after page."""
    token = None
    while True:
        page = search(**wanted, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
