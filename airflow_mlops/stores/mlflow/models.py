"""Stored models in MLflow: downloaded, held against the digest that was recorded when they were trained, and loaded.

Nothing of a model is believed or loaded before its bytes are what its candidate's record, which is sealed, says: so it
does not matter which of them somebody changed, added or took away.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.artifacts import download
from airflow_mlops.stores.mlflow.candidates import MLflowCandidates
from airflow_mlops.stores.mlflow.client import GuardedClient
from airflow_mlops.stores.mlflow.errors import conflict, is_missing, said
from airflow_mlops.stores.model_files.digest import digest_folder
from airflow_mlops.stores.model_files.format import load_model


class MLflowModels:
    """Stored models."""

    def __init__(self, client: GuardedClient, candidates: MLflowCandidates) -> None:
        self._client, self._candidates = client, candidates

    def load_pipeline(self, model: Candidate | str, *, spec: ModelSpec) -> Any:
        """Download a model, compare its bytes with what was recorded, audit it, and only then load its pipeline.

        Parameters
        ----------
        model
            The candidate, or its model's address, `models:/m-...`: then its record is looked up.

        Raises
        ------
        RecordError
            MODEL_ALTERED, if it is not the model that was recorded; TYPE_UNTRUSTED, if it needs a type or a format
            that neither the reviewed list nor the specification trusts; RECORD_CONFLICT, if it is gone or broken.
        StoreUnavailableError
            If it is there, but cannot be had now.
        """
        with tempfile.TemporaryDirectory() as folder:
            return load_model(self.download(model, folder), spec, subject=_uri(model))

    def download(self, model: Candidate | str, folder: str) -> Path:
        """Download a model's files into a folder; return where they are. Nothing of it is loaded.

        Raises
        ------
        RecordError
            MODEL_ALTERED, if they are not the files that were recorded; RECORD_CONFLICT, if the model is gone.
        StoreUnavailableError
            If it is there, but cannot be had now.
        """
        uri = _uri(model)
        stored = self._stored(uri)
        candidate = model if isinstance(model, Candidate) else self._candidate_of(uri, stored)
        if candidate.model_uri != uri:
            raise _altered(candidate, f"{uri}, which its run {candidate.run_id} did not record")
        path = download(self._client, str(stored.artifact_location), folder, lambda why: _gone(uri, why))
        if candidate.model_digest and (found := digest_folder(path)) != candidate.model_digest:
            raise _altered(candidate, f"files of {uri} with digest {found[:12]}")
        return path

    def require_intact(self, candidate: Candidate) -> None:
        """Compare the bytes of a candidate's stored model with its record.

        Raises
        ------
        RecordError
            As :meth:`download`.
        StoreUnavailableError
            If the model is there, but cannot be had now.
        """
        if candidate.model_digest:  # of what was trained before digests were recorded there is nothing to compare
            with tempfile.TemporaryDirectory() as folder:
                self.download(candidate, folder)

    def _candidate_of(self, uri: str, stored: Any) -> Candidate:
        if not stored.source_run_id:
            raise _gone(uri, "no run of the loop stored it")
        return self._candidates.candidate(str(stored.source_run_id))

    def _stored(self, uri: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_logged_model(uri.removeprefix("models:/"))
        except MlflowException as error:
            if not is_missing(error):
                raise
            raise _gone(uri, said(error)) from error


def _uri(model: Candidate | str) -> str:
    return model if isinstance(model, str) else model.model_uri


def _altered(candidate: Candidate, found: str) -> RecordError:
    return RecordError(
        Problem(
            code=ReasonCode.MODEL_ALTERED,
            field="stored model",
            found=found,
            allowed=f"the files that MLflow run {candidate.run_id} recorded, with digest {candidate.model_digest[:12]}",
            fix="restore them from a backup, or train again; if it is the champion's, roll back; and find out who "
            "changed them",
        ),
        subject=candidate.model,
    )


def _gone(model_uri: str, why: str) -> RecordError:
    return conflict(
        f"{model_uri} cannot be read from MLflow: {why}",
        "a model that the loop stored",
        "restore it, or train again; do not delete models that versions point at",
    )
