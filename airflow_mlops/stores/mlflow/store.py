"""MLflow as the one system of record: runs, candidates, decisions, versions, drift history, and where to see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.promotion import claim_folder, find_champion, require_owner
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.ownership import Claim, SpecIdentity
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.artifacts import MLflowArtifacts
from airflow_mlops.stores.mlflow.attempts import MLflowAttempts
from airflow_mlops.stores.mlflow.audit_trail import MLflowAuditTrail
from airflow_mlops.stores.mlflow.candidates import MLflowCandidates
from airflow_mlops.stores.mlflow.challenges import MLflowChallenges
from airflow_mlops.stores.mlflow.client import GuardedClient, connect
from airflow_mlops.stores.mlflow.decisions import MLflowDecisions
from airflow_mlops.stores.mlflow.errors import Address, without_credentials
from airflow_mlops.stores.mlflow.experiments import MLflowExperiments
from airflow_mlops.stores.mlflow.lineage import MLflowLineage
from airflow_mlops.stores.mlflow.models import MLflowModels
from airflow_mlops.stores.mlflow.monitoring import MLflowWindows
from airflow_mlops.stores.mlflow.queries import get_run
from airflow_mlops.stores.mlflow.registry import MLflowRegistry
from airflow_mlops.stores.mlflow.retraining_log import MLflowRetrainLog
from airflow_mlops.stores.mlflow.runs import MLflowRuns
from airflow_mlops.stores.mlflow.seals import SealKeys
from airflow_mlops.stores.mlflow.trail_heads import TrailHeads


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
    keys
        Of seals; see :mod:`airflow_mlops.stores.mlflow.seals`. None: seals are plain.
    witness
        Opens the storage that holds the heads of audit trails, too; None: only the registered models do.

    Examples
    --------
    >>> store = MLflowStore.connect("http://127.0.0.1:5000")
    >>> store.version_url("flight_delay", 3)
    'http://127.0.0.1:5000/#/models/flight_delay/versions/3'
    """

    def __init__(
        self,
        client: GuardedClient,
        *,
        ui_url: str = "",
        spec: ModelSpec | None = None,
        keys: SealKeys | None = None,
        witness: Callable[[], Storage] | None = None,
    ) -> None:
        self._client = client
        self.artifacts = MLflowArtifacts(client, keys)
        experiments = MLflowExperiments(client, spec)
        self.runs = MLflowRuns(client, experiments)
        self.lineage = MLflowLineage(client, self.artifacts)
        self.candidates = MLflowCandidates(client, self.runs, self.artifacts)
        self.decisions = MLflowDecisions(self.artifacts)
        self.models = MLflowModels(client, self.candidates)
        self.registry = MLflowRegistry(client, self.candidates, self.models)
        heads = TrailHeads(client, self.artifacts.keys, witness)
        self.trail = MLflowAuditTrail(client, self.registry, heads)
        experiments.follow(self.registry, self.trail)
        self.attempts = MLflowAttempts(self.runs, self.registry, self.trail)
        self.windows = MLflowWindows(client, self.runs, self.artifacts)
        self.retraining_log = MLflowRetrainLog(client)
        self.challenges = MLflowChallenges(client, self.trail, self.retraining_log)
        self.ui_url = without_credentials(ui_url or client.address.uri).rstrip("/")

    @classmethod
    def connect(cls, tracking_uri: str, *, registry_uri: str | None = None, **given: Any) -> MLflowStore:
        """Open a store by its address alone, with credentials from MLflow's own environment variables.

        What else is given is the store's own.
        """
        return cls(connect(Address(uri=tracking_uri), registry_uri), **given)

    # models --------------------------------------------------------------------------------------------------------

    def load_pipeline(self, model: Candidate | str, *, spec: ModelSpec) -> Any:
        """Load a stored model; see :meth:`~airflow_mlops.stores.mlflow.models.MLflowModels.load_pipeline`."""
        return self.models.load_pipeline(model, spec=spec)

    def download_model(self, model: Candidate | str, folder: str) -> Path:
        """Download a model's files; see :meth:`~airflow_mlops.stores.mlflow.models.MLflowModels.download`."""
        return self.models.download(model, folder)

    def find_champion(self, spec: ModelSpec) -> Champion | None:
        """Return the champion; None for a model that never had one.

        Raises
        ------
        RecordError
            CHAMPION_MISSING, if one is known and gone; see :func:`airflow_mlops.core.promotion.find_champion`.
        """
        return find_champion(self.registry, self.trail, spec.registered_model)

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
            NO_CHAMPION, if no version serves yet; OWNED_BY_ANOTHER, if it is another specification's; otherwise as
            :meth:`find_champion`.
        """
        found = self.find_champion(spec)
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
