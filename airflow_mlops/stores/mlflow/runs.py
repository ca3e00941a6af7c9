"""The MLflow run of each attempt of a loop run: found or made, resumed, ended, failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.core.records.attempt import LOOP_RUN, SUPERSEDED_BY
from airflow_mlops.spec.problems import Refusal
from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.errors import conflict, is_missing
from airflow_mlops.stores.mlflow.experiments import MODEL, MLflowExperiments
from airflow_mlops.stores.mlflow.queries import (
    all_pages,
    get_run,
    keep_one_of,
    logged_models_of,
    runs_with,
    tag_run,
)

INPUTS = "mlops.inputs"
FAILURE = "mlops.failure"
REFIT_OF = "mlops.refit_of"
"""Of the run of a refitted model: the run of what was judged, below which MLflow shows it."""
_ENDED_BADLY = frozenset({"FAILED", "KILLED"})


class MLflowRuns:
    """Runs of the loop."""

    def __init__(self, client: GuardedClient, experiments: MLflowExperiments | None = None) -> None:
        self._client = client
        self.experiments = experiments or MLflowExperiments(client, None)

    def open_run(
        self,
        experiment: str,
        loop_run: str,
        *,
        model: str,
        inputs: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Find the model's MLflow run of a loop run and of these inputs, or make it; a retry gets the same one.

        A run of other inputs is another attempt: one that registered a version stays as it is, any other makes room.
        Whether a loop run may be judged anew is for :class:`~airflow_mlops.stores.mlflow.attempts.MLflowAttempts`.

        Parameters
        ----------
        experiment
            Name of the experiment; made if it does not exist.
        loop_run
            ``<dag_id>/<run_id>``, with `model` the key.
        model
            The specification's name: one run of a DAG may train several models in one experiment.
        inputs
            Fingerprint of everything that the run is made from. Empty: not known yet, which fits the newest attempt.
        tags
            Who asks; the newest try's tags stand.

        Returns
        -------
        str
            The run's id.

        Raises
        ------
        RecordError
            OWNED_BY_ANOTHER, if the experiment belongs to another specification.
        """
        experiment_id = self.experiments.open(experiment)
        key = {LOOP_RUN: loop_run, MODEL: model}
        standing = self._attempt(experiment_id, key, inputs)
        wanted = {**(tags or {}), **key, **({INPUTS: inputs} if inputs else {})}
        if standing is None:
            # Key and inputs are written with the run, in one request: a run without its key cannot exist.
            self._client.create_run(experiment_id, tags=wanted, run_name=loop_run.rpartition("/")[2] or loop_run)
            # MLflow's client sends a request again when the answer was lost: then there are two runs, and one goes.
            standing = self._attempt(experiment_id, key, inputs)
        else:
            self._resume(standing, wanted)
        if standing is None:  # somebody deleted it between two requests
            raise conflict(f"the run of {model} in {loop_run} vanished", "a run that nobody deletes", "try again")
        return str(standing.info.run_id)

    def is_live(self, run_id: str) -> bool:
        """Whether a run is there, and nobody deleted it."""
        from mlflow.exceptions import MlflowException

        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if not is_missing(error):
                raise
            return False

    def mark_superseded(self, run_id: str, by: int | None) -> None:
        """Tag a run with the version that a later attempt of its loop run registered; None: it stands again."""
        have = get_run(self._client, run_id).data.tags.get(SUPERSEDED_BY)
        if by is not None and have != str(by):
            self._client.set_tag(run_id, SUPERSEDED_BY, str(by))
        elif by is None and have is not None:
            self._client.delete_tag(run_id, SUPERSEDED_BY)

    def runs_of_model(self, registered_model: str) -> Iterator[Any]:
        """Yield every run that has to do with a registered model: those of its versions, and all others of its name.

        Candidates that were never registered, and windows of monitoring, are in the experiments of the versions' runs,
        under the specification's name.
        """
        query = f"name = {quoted(registered_model)}"
        versions = all_pages(self._client.search_model_versions, filter_string=query)
        runs = {version.run_id: get_run(self._client, version.run_id) for version in versions if version.run_id}
        yield from runs.values()
        homes = sorted({run.info.experiment_id for run in runs.values()})
        names = sorted({run.data.tags[MODEL] for run in runs.values() if MODEL in run.data.tags})
        for name in names:
            query = f"tags.`{MODEL}` = {quoted(name)}"
            found = all_pages(self._client.search_runs, experiment_ids=homes, filter_string=query)
            yield from (run for run in found if run.info.run_id not in runs)

    def fail_run(self, run_id: str, reason: str) -> None:
        """End the run as FAILED, with the reason as a tag."""
        self._client.set_tag(run_id, FAILURE, reason[:5000])
        self._client.set_terminated(run_id, status="FAILED")

    @contextmanager
    def failing(self, run_id: str) -> Iterator[None]:
        """End the run as FAILED if the body raises, unless MLflow itself is what failed.

        Airflow's time-out and a stopped process are no `Exception`, and end the run all the same. Only a refusal's own
        words are kept: those of other errors may quote rows or addresses with keys.
        """
        try:
            yield
        except ConnectionError:
            raise
        except BaseException as error:
            name = type(error).__name__
            try:
                self.fail_run(run_id, f"{name}: {error}" if isinstance(error, Refusal) else name)
            except StoreUnavailableError as away:
                error.add_note(f"and MLflow run {run_id} could not be marked as FAILED: {away}")
            raise

    def finish_run(self, run_id: str) -> None:
        """End the run as FINISHED."""
        self._client.set_terminated(run_id, status="FINISHED")

    def _attempt(self, experiment_id: str, key: Mapping[str, str], inputs: str) -> Any | None:
        """Return the live run of these inputs; None when there is none. Others that came to nothing are deleted."""
        found = runs_with(self._client, experiment_id, key)
        if not inputs:
            return keep_one_of(self._client, _newest(found))
        others = [run for run in found if run.data.tags.get(INPUTS, inputs) != inputs]
        for other in others:
            if not self._client.search_model_versions(f"run_id = {quoted(other.info.run_id)}"):
                self._discard(other)
        return keep_one_of(self._client, [run for run in found if run not in others])

    def _discard(self, run: Any) -> None:
        for model in logged_models_of(self._client, run):
            self._client.delete_logged_model(model.model_id)
        self._client.delete_run(run.info.run_id)

    def _resume(self, run: Any, wanted: Mapping[str, str]) -> None:
        run_id, have = run.info.run_id, run.data.tags
        tag_run(self._client, run_id, {name: value for name, value in wanted.items() if have.get(name) != value})
        if run.info.status in _ENDED_BADLY:
            if FAILURE in have:
                self._client.delete_tag(run_id, FAILURE)
            self._client.update_run(run_id, status="RUNNING")


def _newest(runs: Sequence[Any]) -> list[Any]:
    """Return the runs of the attempt that was begun last: one, unless a request was sent twice."""
    return [run for run in runs if run.data.tags.get(INPUTS) == runs[-1].data.tags.get(INPUTS)]
