"""MLflow as the one system of record: runs, candidates, decisions, versions, drift history, and where to see them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.promotion import claim_folder, require_owner
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.ownership import Claim, SpecIdentity
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.artifacts import MLflowArtifacts, download
from airflow_mlops.stores.mlflow.audit_trail import MLflowAuditTrail
from airflow_mlops.stores.mlflow.candidates import MLflowCandidates
from airflow_mlops.stores.mlflow.challenges import MLflowChallenges
from airflow_mlops.stores.mlflow.client import GuardedClient, connect
from airflow_mlops.stores.mlflow.decisions import MLflowDecisions
from airflow_mlops.stores.mlflow.errors import Address, conflict, is_missing, said, without_credentials
from airflow_mlops.stores.mlflow.experiments import MLflowExperiments
from airflow_mlops.stores.mlflow.lineage import MLflowLineage
from airflow_mlops.stores.mlflow.monitoring import MLflowWindows
from airflow_mlops.stores.mlflow.queries import get_run
from airflow_mlops.stores.mlflow.registry import MLflowRegistry
from airflow_mlops.stores.mlflow.retraining_log import MLflowRetrainLog
from airflow_mlops.stores.mlflow.runs import MLflowRuns
from airflow_mlops.stores.model_files.format import load_model


class MLflowStore:
    """Everything that the loop keeps in MLflow, and reads from it.

    Parameters
    ----------
    client
        See :func:`airflow_mlops.stores.mlflow.client.connect`.
    ui_url
        Address of MLflow's pages for people, when it is not the tracking server's.
    spec
        Whose stage it is opened for: experiments of other specifications are refused. None: a person's command.

    Examples
    --------
    >>> store = MLflowStore.connect("http://127.0.0.1:5000")
    >>> store.version_url("flight_delay", 3)
    'http://127.0.0.1:5000/#/models/flight_delay/versions/3'
    """

    def __init__(self, client: GuardedClient, *, ui_url: str = "", spec: ModelSpec | None = None) -> None:
        self._client = client
        self.artifacts = MLflowArtifacts(client)
        experiments = MLflowExperiments(client, spec)
        self.runs = MLflowRuns(client, experiments)
        self.lineage = MLflowLineage(client, self.artifacts)
        self.candidates = MLflowCandidates(client, self.runs, self.artifacts)
        self.decisions = MLflowDecisions(self.artifacts)
        self.registry = MLflowRegistry(client, self.candidates)
        self.trail = MLflowAuditTrail(client, self.registry)
        experiments.follow(self.registry, self.trail)
        self.windows = MLflowWindows(client, self.runs, self.artifacts)
        self.retraining_log = MLflowRetrainLog(client)
        self.challenges = MLflowChallenges(client, self.trail, self.retraining_log)
        self.ui_url = without_credentials(ui_url or client.address.uri).rstrip("/")

    @classmethod
    def connect(cls, tracking_uri: str, *, registry_uri: str | None = None, ui_url: str = "") -> MLflowStore:
        """Open a store by its address alone, with credentials from MLflow's own environment variables."""
        return cls(connect(Address(uri=tracking_uri), registry_uri), ui_url=ui_url)

    # models --------------------------------------------------------------------------------------------------------

    def load_pipeline(self, model_uri: str, *, spec: ModelSpec) -> Any:
        """Download a model, audit it, and only then load its pipeline.

        Raises
        ------
        RecordError
            TYPE_UNTRUSTED, if the model needs a type or a format that neither the reviewed list nor the
            specification trusts; RECORD_CONFLICT, if it is gone or broken.
        StoreUnavailableError
            If it is there, but cannot be had now.
        """
        with tempfile.TemporaryDirectory() as folder:
            return load_model(self.download_model(model_uri, folder), spec, subject=model_uri)

    def download_model(self, model_uri: str, folder: str) -> Path:
        """Download a model's files into a folder; return where they are. Nothing of it is believed or loaded.

        Raises
        ------
        RecordError
            RECORD_CONFLICT, if it is gone.
        StoreUnavailableError
            If it is there, but cannot be had now.
        """
        return download(self._client, self._location(model_uri), folder, lambda why: _gone(model_uri, why))

    def _location(self, model_uri: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_logged_model(model_uri.removeprefix("models:/")).artifact_location)
        except MlflowException as error:
            if not is_missing(error):
                raise
            raise _gone(model_uri, said(error)) from error

    def require_owner(self, spec: ModelSpec, serves: Champion | None = None) -> None:
        """Refuse a specification whose registered model, or the version of it that is to be used, is another's.

        Raises
        ------
        RecordError
            OWNED_BY_ANOTHER, AUDIT_BROKEN.
        """
        model, asker = spec.registered_model, SpecIdentity.of(spec)
        require_owner(self.registry, self.trail, registered_model=model, specification=asker, serves=serves)

    def claim_folder(self, spec: ModelSpec, storage: Storage) -> None:
        """Write down whose folder of the storage it is, or refuse who it is not.

        Raises
        ------
        RecordError
            OWNED_BY_ANOTHER.
        """
        asker = Claim(holder=SpecIdentity.of(spec), registered_model=spec.registered_model)
        claim_folder(storage, self.registry, self.trail, asker)

    def require_champion(self, spec: ModelSpec) -> Champion:
        """Return the champion.

        Raises
        ------
        RecordError
            NO_CHAMPION, if no version serves yet; OWNED_BY_ANOTHER, if it is another specification's.
        """
        found = self.registry.champion(spec.registered_model)
        if found is None:
            raise RecordError(
                Problem(
                    code=ReasonCode.NO_CHAMPION,
                    field=f"{spec.registered_model}@champion",
                    found="no version under the alias champion",
                    allowed="a version that the gate accepted",
                    fix=f"run {spec.name}.train until a candidate is accepted",
                )
            )
        self.require_owner(spec, found)
        return found

    # addresses -----------------------------------------------------------------------------------------------------

    def run_url(self, run_id: str) -> str:
        """Return the page of a run."""
        return f"{self.ui_url}/#/experiments/{get_run(self._client, run_id).info.experiment_id}/runs/{run_id}"

    def artifact_url(self, run_id: str, path: str) -> str:
        """Return the page of a run's artifact."""
        return f"{self.run_url(run_id)}/artifacts/{quote(path)}"

    def version_url(self, model: str, version: int) -> str:
        """Return the page of a registered version."""
        return f"{self.ui_url}/#/models/{quote(model, safe='')}/versions/{version}"


def _gone(model_uri: str, why: str) -> RecordError:
    return conflict(
        f"{model_uri} cannot be read from MLflow: {why}",
        "a model that the loop stored",
        "restore it, or train again; do not delete models that versions point at",
    )
