"""The one MLflow run of each loop run: found or made, resumed, ended, failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.spec.problems import Refusal
from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.errors import conflict
from airflow_mlops.stores.mlflow.queries import (
    all_pages,
    get_run,
    keep_one_run,
    logged_models_of,
    open_experiment,
    tag_run,
)

LOOP_RUN = "mlops.loop_run"
MODEL = "mlops.model"
INPUTS = "mlops.inputs"
FAILURE = "mlops.failure"
REFIT_OF = "mlops.refit_of"
"""Of the run of a refitted model: the run of what was judged, below which MLflow shows it."""
_ENDED_BADLY = frozenset({"FAILED", "KILLED"})


class MLflowRuns:
    """Runs of the loop."""

    def __init__(self, client: GuardedClient) -> None:
        self._client = client

    def open_run(
        self,
        experiment: str,
        loop_run: str,
        *,
        model: str,
        inputs: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Find the model's MLflow run of a loop run, or make it; a retry gets the same one.

        Parameters
        ----------
        experiment
            Name of the experiment; made if it does not exist.
        loop_run
            ``<dag_id>/<run_id>``, with `model` the key.
        model
            The specification's name: one run of a DAG may train several models in one experiment.
        inputs
            Fingerprint of everything that the run is made from. Empty: not known yet, which fits any run.
        tags
            Who asks; the newest try's tags stand.

        Returns
        -------
        str
            The run's id.

        Raises
        ------
        RecordError
            If the run was made from other inputs and has registered a version: that version must keep its record.
        """
        experiment_id = open_experiment(self._client, experiment)
        key = {LOOP_RUN: loop_run, MODEL: model}
        standing = keep_one_run(self._client, experiment_id, key)
        if standing is not None and not _fits(standing, inputs):
            self._give_up(standing, loop_run, inputs)
            standing = None
        wanted = {**(tags or {}), **key, **({INPUTS: inputs} if inputs else {})}
        if standing is None:
            # Key and inputs are written with the run, in one request: a run without its key cannot exist.
            self._client.create_run(experiment_id, tags=wanted, run_name=loop_run.rpartition("/")[2] or loop_run)
            # MLflow's client sends a request again when the answer was lost: then there are two runs, and one goes.
            standing = keep_one_run(self._client, experiment_id, key)
        else:
            self._resume(standing, wanted)
        if standing is None:  # somebody deleted it between two requests
            raise conflict(f"the run of {model} in {loop_run} vanished", "a run that nobody deletes", "try again")
        return str(standing.info.run_id)

    def find_run(self, experiment: str, loop_run: str, model: str) -> str | None:
        """Return the model's MLflow run of a loop run; None when there is none."""
        found = self._client.get_experiment_by_name(experiment)
        run = None
        if found is not None:
            run = keep_one_run(self._client, str(found.experiment_id), {LOOP_RUN: loop_run, MODEL: model})
        return None if run is None else str(run.info.run_id)

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

    def _give_up(self, run: Any, loop_run: str, inputs: str) -> None:
        run_id = run.info.run_id
        versions = self._client.search_model_versions(f"run_id = {quoted(run_id)}")
        if versions:
            made = ", ".join(f"{v.name} version {v.version}" for v in versions)
            raise conflict(
                f"{loop_run} already registered {made}, from other data or another specification "
                f"({run.data.tags.get(INPUTS)}, now {inputs})",
                "one loop run makes one version, from one snapshot and one specification",
                "trigger a new run of the DAG instead of clearing this one",
            )
        for model in logged_models_of(self._client, run):
            self._client.delete_logged_model(model.model_id)
        self._client.delete_run(run_id)

    def _resume(self, run: Any, wanted: Mapping[str, str]) -> None:
        run_id, have = run.info.run_id, run.data.tags
        tag_run(self._client, run_id, {name: value for name, value in wanted.items() if have.get(name) != value})
        if run.info.status in _ENDED_BADLY:
            if FAILURE in have:
                self._client.delete_tag(run_id, FAILURE)
            self._client.update_run(run_id, status="RUNNING")


def _fits(run: Any, inputs: str) -> bool:
    have = run.data.tags.get(INPUTS, "")
    return not inputs or not have or have == inputs
