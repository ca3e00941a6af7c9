"""Files of runs: text artifacts, sealed where they must not change, and downloads that tell gone from away."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.base import Record
from airflow_mlops.redaction.raised import raising_no_secrets
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.client import GuardedClient
from airflow_mlops.stores.mlflow.errors import answering, conflict, reading_files
from airflow_mlops.stores.mlflow.queries import get_run, tag_run
from airflow_mlops.stores.mlflow.seals import Flaw, SealKeys


class MLflowArtifacts:
    """Text artifacts of runs."""

    def __init__(self, client: GuardedClient, keys: SealKeys | None = None) -> None:
        self._client = client
        self.keys = keys or SealKeys()

    def write_text(self, run_id: str, path: str, text: str) -> None:
        """Write a text artifact of a run, replacing what stood there."""
        with tempfile.TemporaryDirectory() as folder:
            target = PurePosixPath(path)
            (Path(folder) / target.name).write_text(text, encoding="utf-8", newline="")
            parent = None if str(target.parent) == "." else str(target.parent)
            self._client.log_artifact(run_id, str(Path(folder) / target.name), parent)

    def write_record(self, run_id: str, name: str, record: Record) -> None:
        """Keep a record as artifact ``<name>.json`` of a run."""
        self.write_text(run_id, f"{name}.json", record.to_text())

    def read_text(self, run_id: str, path: str) -> str:
        """Read a text artifact of a run.

        Raises
        ------
        RecordError
            If the run or the artifact does not exist, or is no text.
        StoreUnavailableError
            If the artifact is there, but cannot be had now.
        """
        return self._text_of(get_run(self._client, run_id), path)

    def find_text(self, run_id: str, path: str) -> str | None:
        """Read a text artifact of a run; None when the run has none there.

        Raises
        ------
        RecordError
            If the run does not exist, or the artifact is no text.
        StoreUnavailableError
            If the artifact is there, but cannot be had now.
        """
        from mlflow.artifacts import list_artifacts

        above = str(PurePosixPath(path).parent)
        root = str(get_run(self._client, run_id).info.artifact_uri).rstrip("/")
        address = self._client.address
        with answering(address):
            listed = list_artifacts(artifact_uri=root if above == "." else f"{root}/{above}", tracking_uri=address.uri)
        there = PurePosixPath(path).name in {PurePosixPath(entry.path).name for entry in listed}
        return self.read_text(run_id, path) if there else None

    def write_sealed(self, run_id: str, path: str, text: str, seal: str, tags: Mapping[str, str]) -> None:
        """Write a text artifact, then tag the run with its seal (under the name `seal`) and `tags`.

        An upload that was cut off, or an artifact that was changed later, does not match its seal.
        """
        self.write_text(run_id, path, text)
        tag_run(self._client, run_id, {**tags, seal: self.seal_of(run_id, seal, text)})

    def seal(self, run_id: str, texts: Mapping[str, str]) -> None:
        """Seal texts that stand in a run already, by the tags of their seals."""
        tag_run(self._client, run_id, {seal: self.seal_of(run_id, seal, text) for seal, text in texts.items()})

    def tags_of(self, run_id: str) -> Mapping[str, str]:
        """Return the tags of a run."""
        return dict(get_run(self._client, run_id).data.tags)

    def seal_of(self, run_id: str, seal: str, text: str) -> str:
        """Return what the tag `seal` of a run is to be, for a text."""
        return self.keys.seal(f"{run_id}/{seal}", text)

    def read_sealed(self, run_id: str, path: str, seal: str) -> str | None:
        """Read what :meth:`write_sealed` wrote; None when it was never written whole.

        Raises
        ------
        RecordError
            RECORD_CONFLICT, if the artifact is not what was sealed; SEAL_REFUSED, if its seal is of a key that is not
            here, or of none where there is one.
        """
        return self.read_sealed_of(get_run(self._client, run_id), path, seal)

    def read_sealed_or_older(self, run_id: str, path: str, seal: str) -> str:
        """Read a sealed artifact; or one that was written before this kind was sealed, where plain seals are good.

        Raises
        ------
        RecordError
            As :meth:`read_sealed`, and SEAL_REFUSED if it has no seal where there is a key: a tag can be deleted.
        """
        run = get_run(self._client, run_id)
        if seal in run.data.tags:
            return str(self.read_sealed_of(run, path, seal))
        if not self.keys.accept_unkeyed:
            raise Flaw(words="no seal, while [mlops] seal_secret gives a key").refusal(f"{path} of MLflow run {run_id}")
        return self._text_of(run, path)

    def read_sealed_of(self, run: Any, path: str, seal: str) -> str | None:
        """As :meth:`read_sealed`, of a run that was read already, with its tags as they were then."""
        written = run.data.tags.get(seal)
        if written is None:
            return None
        text = self._text_of(run, path)
        self.require_sealed(run, path, seal, text)
        return text

    def require_sealed(self, run: Any, path: str, seal: str, text: str) -> None:
        """Refuse a text that is not what the tag `seal` of a run was made from.

        Raises
        ------
        RecordError
            As :meth:`read_sealed`.
        """
        run_id = str(run.info.run_id)
        flaw = self.keys.flaw(f"{run_id}/{seal}", text, str(run.data.tags.get(seal, "")))
        if flaw is None:
            return
        if not flaw.altered:
            raise flaw.refusal(f"{path} of MLflow run {run_id}")
        raise conflict(
            f"artifact {path} of MLflow run {run_id} is not what the run's tag {seal} was made from",
            "an artifact that nobody changes after it was written",
            "trigger a new run of the DAG, and find out who changed it",
        )

    def _text_of(self, run: Any, path: str) -> str:
        # Not the client's download_artifacts: it says of whatever went wrong that the path does not exist.
        run_id, uri = str(run.info.run_id), f"{str(run.info.artifact_uri).rstrip('/')}/{path}"
        with tempfile.TemporaryDirectory() as folder:
            file = download(self._client, uri, folder, lambda _: _no_artifact(run_id, path))
            try:
                return file.read_bytes().decode()
            except (IsADirectoryError, UnicodeDecodeError) as error:
                raise _no_artifact(run_id, path) from error


def download(client: GuardedClient, uri: str, folder: str, missing: Callable[[str], RecordError]) -> Path:
    """Download a file or a folder; if it is not there, raise what `missing` makes of the reason."""
    from mlflow.artifacts import download_artifacts, list_artifacts

    address = client.address
    above, _, name = uri.rpartition("/")

    def is_there() -> bool:
        listed = list_artifacts(artifact_uri=above, tracking_uri=address.uri)
        return name in {PurePosixPath(entry.path).name for entry in listed}

    with raising_no_secrets(), reading_files(address, is_there, missing), answering(address):
        return Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=address.uri))


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
