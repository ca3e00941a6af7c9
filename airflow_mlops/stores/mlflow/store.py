"""MLflow as the one system of record: runs, candidates, decisions, versions, drift history, and where to see them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_mlops.core.errors import RecordError, StaleDecisionError
from airflow_mlops.core.records.base import Record
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.promotion import Approval, PromotionRecord
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.candidates import PROFILE
from airflow_mlops.stores.mlflow.client import GuardedClient, connect
from airflow_mlops.stores.mlflow.errors import Address, is_missing, said, without_credentials
from airflow_mlops.stores.mlflow.monitoring import MLflowMonitoring
from airflow_mlops.stores.mlflow.retraining_log import MLflowRetraining
from airflow_mlops.stores.mlflow.runs import _conflict
from airflow_mlops.stores.model_files.format import load_model

DECISION = "gate/decision.json"
DECISION_PAGE = "gate/decision.html"
DECISION_SEAL = "mlops.decision_digest"
APPROVAL = "approval/approval.json"
APPROVAL_SEAL = "mlops.approval_digest"


class MLflowStore(MLflowMonitoring, MLflowRetraining):
    """Everything that the loop keeps in MLflow, and reads from it.

    Parameters
    ----------
    client
        See :func:`airflow_mlops.stores.mlflow.client.connect`.
    ui_url
        Address of MLflow's pages for people, when it is not the tracking server's.

    Examples
    --------
    >>> store = MLflowStore.connect("http://127.0.0.1:5000")
    >>> store.version_url("flight_delay", 3)
    'http://127.0.0.1:5000/#/models/flight_delay/versions/3'
    """

    def __init__(self, client: GuardedClient, *, ui_url: str = "") -> None:
        super().__init__(client)
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
        return self._download(self._location(model_uri), folder, lambda why: _gone(model_uri, why))

    def _location(self, model_uri: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_logged_model(model_uri.removeprefix("models:/")).artifact_location)
        except MlflowException as error:
            if not is_missing(error):
                raise
            raise _gone(model_uri, said(error)) from error

    def require_champion(self, spec: ModelSpec) -> Champion:
        """Return the champion.

        Raises
        ------
        RecordError
            NO_CHAMPION, if no version serves yet.
        """
        found = self.champion(spec.registered_model)
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
        return found

    def profile(self, run_id: str) -> Profile:
        """Return the reference profile of a run's candidate."""
        return Profile.from_json(self.read_text(run_id, PROFILE))

    # decisions -----------------------------------------------------------------------------------------------------

    def record_decision(self, run_id: str, decision: GateDecision, page_html: str | None = None) -> None:
        """Keep a decision as artifact `gate/decision.json` of its run, and its page beside it.

        A gate that runs again before promotion replaces the decision; promotion reads the one that stands then.
        """
        if page_html is not None:
            self.write_text(run_id, DECISION_PAGE, page_html)
        tags = {"mlops.verdict": decision.verdict.value}
        self.write_sealed(run_id, DECISION, decision.to_text(), DECISION_SEAL, tags)

    def decision(self, run_id: str, expected: GateDecision | None = None) -> GateDecision:
        """Return the decision that stands in MLflow.

        Parameters
        ----------
        expected
            The decision that was handed along; it must be the same.

        Raises
        ------
        RecordError
            If there is none, or it was edited after the fact.
        StaleDecisionError
            DECISION_MISMATCH, if `expected` is another one.
        """
        text = self.read_sealed(run_id, DECISION, DECISION_SEAL)
        if text is None:
            raise _conflict(
                f"MLflow run {run_id} has no decision",
                "a run that the gate has judged",
                "let the gate task succeed first",
            )
        found = GateDecision.from_json(text)
        if expected is not None and expected.digest != found.digest:
            raise StaleDecisionError(
                Problem(
                    code=ReasonCode.DECISION_MISMATCH,
                    field="decision",
                    found=f"decision {expected.digest[:12]} was handed along, but {found.digest[:12]} stands in MLflow",
                    allowed="the decision that the gate recorded last",
                    fix="clear the gate task of this run together with the tasks after it",
                )
            )
        return found

    def record_approval(self, run_id: str, approval: Approval) -> None:
        """Keep a person's answer as artifact `approval/approval.json` of its run. A later answer replaces it."""
        said = "timed_out" if approval.timed_out else "approved" if approval.approved else "declined"
        self.write_sealed(run_id, APPROVAL, approval.to_text(), APPROVAL_SEAL, {"mlops.approval": said})

    def approval(self, run_id: str) -> Approval | None:
        """Return the answer that stands in MLflow; None when nobody was asked, or nobody answered yet.

        Raises
        ------
        RecordError
            If it was edited after the fact.
        """
        text = self.read_sealed(run_id, APPROVAL, APPROVAL_SEAL)
        return None if text is None else Approval.from_json(text)

    def record_promotion(self, run_id: str, record: PromotionRecord) -> None:
        """Keep what promotion did as artifact `promotion.json` of the run."""
        self.record_report(run_id, "promotion", record)

    def record_report(self, run_id: str, name: str, record: Record) -> None:
        """Keep a report as artifact ``<name>.json`` of a run."""
        self.write_text(run_id, f"{name}.json", record.to_text())

    # addresses -----------------------------------------------------------------------------------------------------

    def run_url(self, run_id: str) -> str:
        """Return the page of a run."""
        return f"{self.ui_url}/#/experiments/{self._run(run_id).info.experiment_id}/runs/{run_id}"

    def artifact_url(self, run_id: str, path: str) -> str:
        """Return the page of a run's artifact."""
        return f"{self.run_url(run_id)}/artifacts/{quote(path)}"

    def version_url(self, model: str, version: int) -> str:
        """Return the page of a registered version."""
        return f"{self.ui_url}/#/models/{quote(model, safe='')}/versions/{version}"


def _gone(model_uri: str, why: str) -> RecordError:
    return _conflict(
        f"{model_uri} cannot be read from MLflow: {why}",
        "a model that the loop stored",
        "restore it, or train again; do not delete models that versions point at",
    )
