"""A candidate in MLflow: everything that made it, written so that it is there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.base import Record
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.training import candidate_from
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.artifacts import MLflowArtifacts
from airflow_mlops.stores.mlflow.client import GuardedClient
from airflow_mlops.stores.mlflow.errors import conflict, is_missing
from airflow_mlops.stores.mlflow.lineage import LOCK, PROFILE, PROFILE_SEAL, origin_files
from airflow_mlops.stores.mlflow.queries import get_run, logged_models_of
from airflow_mlops.stores.mlflow.runs import INPUTS, MLflowRuns
from airflow_mlops.stores.model_files.digest import digest_folder
from airflow_mlops.stores.model_files.format import write_model

if TYPE_CHECKING:
    from airflow_mlops.core.training import Fitted

CANDIDATE = "candidate.json"
CANDIDATE_SEAL = "mlops.candidate_digest"
_PARAM_LENGTH = 500
_DIGEST_LENGTH = 36
"""MLflow keeps so many characters of a dataset's digest; the whole fingerprint is in the manifest and in a tag."""


class MLflowCandidates:
    """Candidates: recorded once for a run, read back, and never half there.

    The order of writing is: parameters, dataset, model, files, `candidate.json`, and last the tag with its digest.
    Only that tag makes it a candidate; whatever an earlier try left before it is replaced.
    """

    def __init__(self, client: GuardedClient, runs: MLflowRuns, artifacts: MLflowArtifacts) -> None:
        self._client, self._runs, self._artifacts = client, runs, artifacts

    def record_candidate(
        self,
        run_id: str,
        fitted: Fitted,
        snapshot: Snapshot,
        spec: ModelSpec,
        *,
        loop_run: str,
        provenance: Mapping[str, str],
        profile: Record | None = None,
    ) -> Candidate:
        """Record a trained pipeline in its run; a run that has its candidate already returns that one.

        Parameters
        ----------
        run_id
            What :meth:`~airflow_mlops.stores.mlflow.runs.MLflowRuns.open_run` returned.
        fitted, snapshot, spec
            What was trained, on what, by which specification.
        loop_run
            ``<dag_id>/<run_id>``.
        provenance
            Tags that say who made it.
        profile
            The reference profile that drift will be measured against.

        Returns
        -------
        Candidate
            As it stands in MLflow.

        Raises
        ------
        RecordError
            If the run's candidate was made from another snapshot or specification.
        StoreUnavailableError
            If MLflow or its artifact store fails; the run then has no candidate.
        """
        standing = self.find_candidate(run_id)
        if standing is None:
            run = get_run(self._client, run_id)
            self._describe(run, snapshot, spec, provenance)
            candidate = self._write(run, fitted, snapshot, spec, loop_run=loop_run, profile=profile)
        else:
            candidate = _same_inputs(standing, snapshot, spec)
        self._settle(candidate)
        return candidate

    def find_candidate(self, run_id: str) -> Candidate | None:
        """Return the run's candidate; None when it was not recorded whole."""
        text = self._artifacts.read_sealed(run_id, CANDIDATE, CANDIDATE_SEAL)
        return None if text is None else Candidate.from_json(text)

    def candidate(self, run_id: str) -> Candidate:
        """Return the run's candidate.

        Raises
        ------
        RecordError
            If it was not recorded whole, or was changed since.
        """
        found = self.find_candidate(run_id)
        if found is None:
            raise conflict(
                f"MLflow run {run_id} has no candidate: its training did not end",
                "a run whose training ended",
                "let the training task succeed first",
            )
        return found

    def candidate_of(self, model: str, version: int) -> Candidate:
        """Return the candidate that a registered version was made from.

        Raises
        ------
        RecordError
            VERSION_MISSING, if there is no such version, or the loop did not make it.
        """
        from mlflow.exceptions import MlflowException

        run_id = None
        try:
            run_id = self._client.get_model_version(model, str(version)).run_id
        except MlflowException as error:
            if not is_missing(error):
                raise
        if not run_id:
            raise RecordError(
                Problem(
                    code=ReasonCode.VERSION_MISSING,
                    field=f"{model} version {version}",
                    found="no such version that a run of the loop registered",
                    allowed="a version in MLflow's registry that the loop made",
                    fix="look the number up on the model's page in MLflow",
                )
            )
        return self.candidate(str(run_id))

    def _describe(self, run: Any, snapshot: Snapshot, spec: ModelSpec, provenance: Mapping[str, str]) -> None:
        """Parameters, tags and dataset. Writing them again with the same inputs changes nothing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

        run_id = run.info.run_id
        tags = {
            **provenance,
            "mlops.model": spec.name,
            "mlops.as_of": snapshot.as_of.isoformat(),
            "mlops.snapshot": snapshot.fingerprint,
            "mlops.spec": spec.fingerprint,
        }
        # Only what the specification says: MLflow's parameters cannot be changed, and a retry must be able to write
        # them again. What a search chose is in candidate.json.
        params = [Param(name, text[:_PARAM_LENGTH]) for name, text in flatten(spec.training.model_dump(mode="json"))]
        self._client.log_batch(run_id, params=params, tags=[RunTag(k, v) for k, v in tags.items()])
        # Our own digest: MLflow's reads the first 10,000 rows only.
        entity = Dataset(
            name=spec.name,
            digest=snapshot.fingerprint[:_DIGEST_LENGTH],
            source_type="code",
            source=json.dumps(
                {"tags": {"uri": snapshot.uri, "source": snapshot.source, "query": snapshot.query[:2000]}}
            ),
            profile=json.dumps({"num_rows": snapshot.rows}),
        )
        self._client.log_inputs(
            run_id, datasets=[DatasetInput(dataset=entity, tags=[InputTag("mlflow.data.context", "training")])]
        )

    def _write(
        self, run: Any, fitted: Fitted, snapshot: Snapshot, spec: ModelSpec, *, loop_run: str, profile: Record | None
    ) -> Candidate:
        run_id = run.info.run_id
        model_id, digest = self._log_model(run, fitted, spec)
        self._log_metrics(run, model_id, fitted.metrics)
        # Others are left by tries that were killed, and by requests that were sent twice.
        for left in logged_models_of(self._client, run):
            if left.model_id != model_id:
                self._client.delete_logged_model(left.model_id)
        files, seals = origin_files(fitted, snapshot, spec)
        if profile is not None:
            files[PROFILE], seals[PROFILE_SEAL] = profile.to_text().encode(), profile.to_text()
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                file = Path(folder) / name
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(content)
            self._client.log_artifacts(run_id, folder)
        uri = f"models:/{model_id}"
        candidate = candidate_from(spec, snapshot, fitted, loop_run=loop_run, run_id=run_id, model_uri=uri)
        candidate = replace(candidate, model_digest=digest)
        if LOCK in files:
            candidate = replace(candidate, requirements=hashlib.sha256(files[LOCK]).hexdigest())
        tags = {INPUTS: f"{snapshot.fingerprint}/{spec.fingerprint}"}
        tags |= {seal: self._artifacts.seal_of(run_id, seal, text) for seal, text in seals.items()}
        self._artifacts.write_sealed(run_id, CANDIDATE, candidate.to_text(), CANDIDATE_SEAL, tags)
        return candidate

    def _log_model(self, run: Any, fitted: Fitted, spec: ModelSpec) -> tuple[str, str]:
        """Store the model; return its id, and the digest of its files as they were written here."""
        # Not mlflow.sklearn.log_model: it needs a process-wide active run, loads the model once more to try the input
        # example, and links the run to it before it is whole.
        with tempfile.TemporaryDirectory() as folder:
            model = self._client.create_logged_model(
                run.info.experiment_id, name="model", source_run_id=run.info.run_id, model_type="sklearn"
            )
            path = Path(folder) / "model"
            write_model(path, fitted, spec, run_id=run.info.run_id, logged=model)
            digest = digest_folder(path)
            self._client.log_model_artifacts(model.model_id, str(path))
            self._client.finalize_logged_model(model.model_id, "READY")
        return str(model.model_id), digest

    def _log_metrics(self, run: Any, model_id: str, metrics: Mapping[str, float]) -> None:
        """Finite metrics as metrics; others as a tag, because MLflow shows NaN of a model as 0.0."""
        from mlflow.entities import Metric, RunTag

        started = run.info.start_time  # not now: writing the same value twice must be the same point
        finite = [
            Metric(name, value, started, 0, model_id=model_id, run_id=run.info.run_id)
            for name, value in metrics.items()
            if math.isfinite(value)
        ]
        broken = {name: str(value) for name, value in metrics.items() if not math.isfinite(value)}
        tags = [RunTag("mlops.non_finite_metrics", json.dumps(broken))] if broken else []
        self._client.log_batch(run.info.run_id, metrics=finite, tags=tags)

    def _settle(self, candidate: Candidate) -> None:
        """What may follow the commit: link the model to the run and end the run. Done again, it changes nothing."""
        run = get_run(self._client, candidate.run_id)
        self._link(run, candidate.model_uri.removeprefix("models:/"))
        if run.info.status != "FINISHED":
            self._runs.finish_run(candidate.run_id)

    def _link(self, run: Any, model_id: str) -> None:
        from mlflow.entities import LoggedModelOutput
        from mlflow.exceptions import MlflowException

        if model_id in _outputs(run):
            return
        try:
            self._client.log_outputs(run.info.run_id, models=[LoggedModelOutput(model_id, step=0)])
        except MlflowException:
            # A request whose answer was lost is sent again, and the second is refused as a duplicate.
            if model_id not in _outputs(get_run(self._client, run.info.run_id)):
                raise


def _outputs(run: Any) -> set[str]:
    return {output.model_id for output in (run.outputs.model_outputs if run.outputs else [])}


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and JSON text, in the order of writing.

    >>> list(flatten({"estimator": "a.B", "parameters": {"C": 1.0}, "trusted_types": []}))
    [('estimator', 'a.B'), ('parameters.C', '1.0'), ('trusted_types', '[]')]
    """
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from flatten(part, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _same_inputs(standing: Candidate, snapshot: Snapshot, spec: ModelSpec) -> Candidate:
    have, now = (standing.snapshot_fingerprint, standing.spec_fingerprint), (snapshot.fingerprint, spec.fingerprint)
    if have != now:
        raise conflict(
            f"MLflow run {standing.run_id} has a candidate of snapshot {have[0][:12]} and specification "
            f"{have[1][:12]}, now {now[0][:12]} and {now[1][:12]}",
            "one candidate for a run, from one snapshot and one specification",
            "trigger a new run of the DAG",
        )
    return standing
