"""What a candidate was made from, as its MLflow run keeps it: specification, snapshot, packages, golden batch."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.json_text import read_json
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.reproduction import Circumstances
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.training import Golden, GoldenBatch, make_golden, read_environment, read_golden
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.artifacts import MLflowArtifacts, download
from airflow_mlops.stores.mlflow.client import GuardedClient
from airflow_mlops.stores.mlflow.errors import conflict
from airflow_mlops.stores.mlflow.queries import get_run
from airflow_mlops.stores.model_files.format import environment, lock

if TYPE_CHECKING:
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.training import Fitted

SPEC = "spec.json"
SNAPSHOT = "snapshot.json"
ENVIRONMENT = "environment.txt"
LOCK = "requirements.lock"
"""Packages that serving needs, with hashes; its digest is in the candidate."""
PROFILE = "reference_profile.json"
SPEC_SEAL = "mlops.spec_digest"
SNAPSHOT_SEAL = "mlops.snapshot_digest"
ENVIRONMENT_SEAL = "mlops.environment_digest"
PROFILE_SEAL = "mlops.profile_digest"
GOLDEN = "golden"
GOLDEN_ROWS = "rows.parquet"
GOLDEN_PREDICTIONS = "predictions.json"
GOLDEN_SEAL = "mlops.golden_digest"


class MLflowLineage:
    """Reads what :class:`~airflow_mlops.stores.mlflow.candidates.MLflowCandidates` wrote beside a candidate."""

    def __init__(self, client: GuardedClient, artifacts: MLflowArtifacts) -> None:
        self._client, self._artifacts = client, artifacts

    def spec_of(self, run_id: str) -> ModelSpec:
        """Return the specification that the run's candidate was trained by.

        Raises
        ------
        RecordError
            If it is gone, was changed since, or this version of the package cannot read it.
        """
        # Runs of the first format have no seal of it.
        text = self._artifacts.read_sealed_or_older(run_id, SPEC, SPEC_SEAL)
        try:
            return ModelSpec.model_validate(read_json(text))
        except ValueError as error:
            raise RecordError(
                Problem(
                    code=ReasonCode.RECORD_CONFLICT,
                    field=SPEC,
                    found=f"a specification that cannot be read: {' '.join(str(error).split())[:500]}",
                    allowed="a specification that this version of airflow_mlops knows",
                    fix="use the version that wrote it: environment.txt of the run names it",
                ),
                subject=f"MLflow run {run_id}",
            ) from error

    def snapshot_of(self, run_id: str) -> Snapshot:
        """Return the snapshot that the run's candidate was trained on; its rows are in the storage."""
        return Snapshot.from_json(self._artifacts.read_sealed_or_older(run_id, SNAPSHOT, SNAPSHOT_SEAL))

    def environment_of(self, run_id: str) -> Mapping[str, str]:
        """Return the packages, by name, that were installed where the run's candidate was trained."""
        return self.circumstances_of(run_id).packages

    def circumstances_of(self, run_id: str) -> Circumstances:
        """Return Python, packages and code that the run's candidate was trained with."""
        return read_environment(
            self._artifacts.read_sealed_or_older(run_id, ENVIRONMENT, ENVIRONMENT_SEAL),
            commit=get_run(self._client, run_id).data.tags.get("mlflow.source.git.commit"),
        )

    def profile(self, run_id: str) -> Profile:
        """Return the reference profile of a run's candidate."""
        return Profile.from_json(self._artifacts.read_sealed_or_older(run_id, PROFILE, PROFILE_SEAL))

    def lock_of(self, candidate: Candidate) -> str:
        """Return the packages and hashes that were recorded with a candidate for serving it.

        Raises
        ------
        RecordError
            If none were recorded, or they are not those that were.
        """
        if candidate.requirements is None:
            raise conflict(
                f"the packages of MLflow run {candidate.run_id} were recorded without hashes: "
                "gate.serving.environment was not 'fresh' when it was trained",
                "a candidate that was trained with gate.serving.environment: fresh",
                "train the model again, or set gate.serving.environment: current",
            )
        text = self._artifacts.read_text(candidate.run_id, LOCK)
        if hashlib.sha256(text.encode()).hexdigest() != candidate.requirements:
            raise conflict(
                f"{LOCK} of MLflow run {candidate.run_id} is not what was recorded when the model was trained",
                "an artifact that nobody changes after it was written: what stands in it is installed",
                "train the model again, and find out who changed it",
            )
        return text

    def golden(self, run_id: str) -> GoldenBatch:
        """Return the golden batch of the run's candidate.

        Raises
        ------
        RecordError
            If the run is older than golden batches, or the batch is gone or was changed since.
        StoreUnavailableError
            If it is there, but cannot be had now.
        """
        run = get_run(self._client, run_id)
        if GOLDEN_SEAL not in run.data.tags:
            raise conflict(
                f"MLflow run {run_id} has no golden batch: airflow_mlops recorded none when it was made",
                "a candidate recorded with a golden batch",
                "train the model again",
            )
        uri = f"{str(run.info.artifact_uri).rstrip('/')}/{GOLDEN}"
        with tempfile.TemporaryDirectory() as folder:
            path = download(self._client, uri, folder, lambda why: _no_golden(run_id, why))
            try:
                text, rows = (path / GOLDEN_PREDICTIONS).read_text(encoding="utf-8"), (path / GOLDEN_ROWS).read_bytes()
            except (FileNotFoundError, UnicodeDecodeError) as error:
                raise _no_golden(run_id, type(error).__name__) from error
        self._artifacts.require_sealed(run, f"{GOLDEN}/{GOLDEN_PREDICTIONS}", GOLDEN_SEAL, text)
        return read_golden(Golden.from_json(text), rows)


def origin_files(fitted: Fitted, snapshot: Snapshot, spec: ModelSpec) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the files that are kept of a training, by their path, and by their tags the texts that are sealed.

    The golden rows need no seal: their digest is in the predictions.
    """
    golden, rows = make_golden(fitted.pipeline, fitted.holdout_frame, fitted, name=spec.name, seed=spec.training.seed)
    spec_text = json.dumps(spec.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    texts = {
        SPEC: spec_text,
        SNAPSHOT: snapshot.to_text(),
        ENVIRONMENT: environment(),
        **({LOCK: lock(spec)} if spec.gate.serving.environment == "fresh" else {}),
        f"{GOLDEN}/{GOLDEN_PREDICTIONS}": golden.to_text(),
    }
    files = {name: text.encode() for name, text in texts.items()}
    seals = {
        SPEC_SEAL: spec_text,
        SNAPSHOT_SEAL: texts[SNAPSHOT],
        ENVIRONMENT_SEAL: texts[ENVIRONMENT],
        GOLDEN_SEAL: golden.to_text(),
    }
    return {**files, f"{GOLDEN}/{GOLDEN_ROWS}": rows}, seals


def _no_golden(run_id: str, why: str) -> RecordError:
    return conflict(
        f"the golden batch of MLflow run {run_id} cannot be used: {why}",
        "the two files that were written with the candidate",
        "restore them, or train the model again",
    )
