"""The one MLflow run of each loop run: found or made, resumed, failed, and its text artifacts."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from airflow_mlops.core.errors import RecordError, StoreUnavailableError
from airflow_mlops.spec.problems import Problem, ReasonCode, Refusal
from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.errors import answering, is_missing, is_taken, reading_files

LOOP_RUN = "mlops.loop_run"
MODEL = "mlops.model"
INPUTS = "mlops.inputs"
FAILURE = "mlops.failure"
_ENDED_BADLY = frozenset({"FAILED", "KILLED"})


_SHOWN_AS = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow's pages show a new experiment as one of language models, with empty traces, unless it says what it is."""


class MLflowRuns:
    """Runs and their text artifacts."""

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
        experiment_id = self._experiment(experiment)
        key = {LOOP_RUN: loop_run, MODEL: model}
        standing = self._only(experiment_id, key)
        if standing is not None and not _fits(standing, inputs):
            self._give_up(standing, loop_run, inputs)
            standing = None
        wanted = {**(tags or {}), **key, **({INPUTS: inputs} if inputs else {})}
        if standing is None:
            # Key and inputs are written with the run, in one request: a run without its key cannot exist.
            self._client.create_run(experiment_id, tags=wanted, run_name=loop_run.rpartition("/")[2] or loop_run)
            # MLflow's client sends a request again when the answer was lost: then there are two runs, and one goes.
            standing = self._only(experiment_id, key)
        else:
            self._resume(standing, wanted)
        if standing is None:  # somebody deleted it between two requests
            raise _conflict(f"the run of {model} in {loop_run} vanished", "a run that nobody deletes", "try again")
        return str(standing.info.run_id)

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

    def write_text(self, run_id: str, path: str, text: str) -> None:
        """Write a text artifact of a run, replacing what stood there."""
        with tempfile.TemporaryDirectory() as folder:
            target = PurePosixPath(path)
            (Path(folder) / target.name).write_text(text, encoding="utf-8", newline="")
            parent = None if str(target.parent) == "." else str(target.parent)
            self._client.log_artifact(run_id, str(Path(folder) / target.name), parent)

    def read_text(self, run_id: str, path: str) -> str:
        """Read a text artifact of a run.

        Raises
        ------
        RecordError
            If the run or the artifact does not exist, or is no text.
        StoreUnavailableError
            If the artifact is there, but cannot be had now.
        """
        return self._text_of(self._run(run_id), path)

    def _text_of(self, run: Any, path: str) -> str:
        # Not the client's download_artifacts: it says of whatever went wrong that the path does not exist.
        run_id, uri = str(run.info.run_id), f"{str(run.info.artifact_uri).rstrip('/')}/{path}"
        with tempfile.TemporaryDirectory() as folder:
            file = self._download(uri, folder, lambda _: _no_artifact(run_id, path))
            try:
                return file.read_bytes().decode()
            except (IsADirectoryError, UnicodeDecodeError) as error:
                raise _no_artifact(run_id, path) from error

    def write_sealed(self, run_id: str, path: str, text: str, seal: str, tags: Mapping[str, str]) -> None:
        """Write a text artifact, then tag the run with its SHA-256 (`seal`) and `tags`.

        An upload that was cut off, or an artifact that was changed later, does not match its seal.
        """
        self.write_text(run_id, path, text)
        self._tag_run(run_id, {**tags, seal: hashlib.sha256(text.encode()).hexdigest()})

    def read_sealed(self, run_id: str, path: str, seal: str) -> str | None:
        """Read what :meth:`write_sealed` wrote; None when it was never written whole.

        Raises
        ------
        RecordError
            If the artifact is not what was sealed.
        """
        return self._sealed_in(self._run(run_id), path, seal)

    def _sealed_in(self, run: Any, path: str, seal: str) -> str | None:
        written = run.data.tags.get(seal)
        if written is None:
            return None
        text = self._text_of(run, path)
        if hashlib.sha256(text.encode()).hexdigest() != written:
            raise _conflict(
                f"artifact {path} of MLflow run {run.info.run_id} is not what the run's tag {seal} was made from",
                "an artifact that nobody changes after it was written",
                "trigger a new run of the DAG, and find out who changed it",
            )
        return text

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name, tags=_SHOWN_AS))
            except MlflowException as error:  # two first runs at once: the other one was faster
                if not is_taken(error):
                    raise
                found = self._client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise _conflict(
                f"the MLflow experiment '{name}' is deleted",
                "an active experiment",
                f"restore it (mlflow experiments restore), or set tracking.experiment to another name than '{name}'",
            )
        return str(found.experiment_id)

    def _run(self, run_id: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(run_id)
        except MlflowException as error:
            if not is_missing(error):
                raise
            raise _conflict(
                f"MLflow has no run {run_id}", "a run that the loop made", "trigger a new run of the DAG"
            ) from error

    def _only(self, experiment_id: str, key: Mapping[str, str]) -> Any | None:
        """The live run with these tags; of several, which only a repeated request makes, the earliest stays."""
        query = " and ".join(f"tags.`{name}` = {quoted(value)}" for name, value in key.items())
        found = [
            run
            for run in self._client.search_runs([experiment_id], query, order_by=["attributes.start_time ASC"])
            if all(run.data.tags.get(name) == value for name, value in key.items())
        ]
        found.sort(key=lambda run: (run.info.start_time, run.info.run_id))
        for double in found[1:]:
            self._client.delete_run(double.info.run_id)
        return found[0] if found else None

    def _give_up(self, run: Any, loop_run: str, inputs: str) -> None:
        run_id = run.info.run_id
        versions = self._client.search_model_versions(f"run_id = {quoted(run_id)}")
        if versions:
            made = ", ".join(f"{v.name} version {v.version}" for v in versions)
            raise _conflict(
                f"{loop_run} already registered {made}, from other data or another specification "
                f"({run.data.tags.get(INPUTS)}, now {inputs})",
                "one loop run makes one version, from one snapshot and one specification",
                "trigger a new run of the DAG instead of clearing this one",
            )
        for model in self._models_of(run):
            self._client.delete_logged_model(model.model_id)
        self._client.delete_run(run_id)

    def _models_of(self, run: Any) -> list[Any]:
        """Logged models that this run made and nobody deleted."""
        return list(
            self._client.search_logged_models(
                [run.info.experiment_id], filter_string=f"source_run_id = {quoted(run.info.run_id)}"
            )
        )

    def _resume(self, run: Any, wanted: Mapping[str, str]) -> None:
        run_id, have = run.info.run_id, run.data.tags
        self._tag_run(run_id, {name: value for name, value in wanted.items() if have.get(name) != value})
        if run.info.status in _ENDED_BADLY:
            if FAILURE in have:
                self._client.delete_tag(run_id, FAILURE)
            self._client.update_run(run_id, status="RUNNING")

    def _tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run in one request, all or none."""
        from mlflow.entities import RunTag

        if tags:
            self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _download(self, uri: str, folder: str, missing: Callable[[str], RecordError]) -> Path:
        """Download a file or a folder; if it is not there, raise what `missing` makes of the reason."""
        from mlflow.artifacts import download_artifacts, list_artifacts

        address = self._client.address
        above, _, name = uri.rpartition("/")

        def is_there() -> bool:
            listed = list_artifacts(artifact_uri=above, tracking_uri=address.uri)
            return name in {PurePosixPath(entry.path).name for entry in listed}

        with reading_files(address, is_there, missing), answering(address):
            return Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=address.uri))


def _fits(run: Any, inputs: str) -> bool:
    have = run.data.tags.get(INPUTS, "")
    return not inputs or not have or have == inputs


def _no_artifact(run_id: str, path: str) -> RecordError:
    return RecordError(
        Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field=path,
            found=f"MLflow run {run_id} has no readable artifact {path}",
            allowed="the artifact that an earlier stage of the loop wrote",
            fix="trigger a new run of the DAG; do not delete artifacts of runs that have versions",
        )
    )


def _conflict(found: str, allowed: str, fix: str) -> RecordError:
    return RecordError(Problem(code=ReasonCode.RECORD_CONFLICT, field="MLflow", found=found, allowed=allowed, fix=fix))
