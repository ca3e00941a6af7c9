"""What somebody may do who can write to MLflow, or to the storage: by the ways that are open to them, not by ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.stores.mlflow.store import MLflowStore


def stored_files(store: MLflowStore, candidate: Candidate, folder: Path) -> Path:
    """Download a stored model as MLflow hands it out; return its folder."""
    from mlflow.artifacts import download_artifacts

    found = store._client.get_logged_model(candidate.model_uri.removeprefix("models:/"))
    uri = store._client.address.uri
    return Path(download_artifacts(artifact_uri=found.artifact_location, dst_path=str(folder), tracking_uri=uri))


def put_back(store: MLflowStore, candidate: Candidate, folder: Path) -> None:
    """Write files over those of a stored model."""
    store._client.log_model_artifacts(candidate.model_uri.removeprefix("models:/"), str(folder))


def swap_model(store: MLflowStore, candidate: Candidate, folder: Path) -> tuple[Path, bytes]:
    """Put a model of the same types and of the opposite opinion in the place of a stored one.

    Returns
    -------
    Path and bytes
        Our copy of the changed file, and what it held before.
    """
    import skops.io

    file = stored_files(store, candidate, folder) / "model.skops"
    honest = file.read_bytes()
    pipeline = skops.io.loads(honest, trusted=skops.io.get_untrusted_types(data=honest))
    estimator = pipeline.named_steps["estimator"]
    estimator.coef_, estimator.intercept_ = -estimator.coef_, estimator.intercept_ + 50
    file.write_bytes(skops.io.dumps(pipeline))
    put_back(store, candidate, file.parent)
    return file, honest


def rewrite_sealed(
    store: MLflowStore, run_id: str, path: str, seal: str, change: Callable[[str], str], **tags: str
) -> None:
    """Change a sealed artifact of a run, and write the plain SHA-256 of what it is now where its seal stands."""
    client: Any = store._client
    text = change(store.artifacts.read_text(run_id, path))
    store.artifacts.write_text(run_id, path, text)
    for name, value in {seal: hashlib.sha256(text.encode()).hexdigest(), **tags}.items():
        client.set_tag(run_id, name, value)


def rewrite_plain(store: MLflowStore, run_id: str, path: str, change: Callable[[str], str]) -> None:
    """Change an artifact of a run that has no seal."""
    store.artifacts.write_text(run_id, path, change(store.artifacts.read_text(run_id, path)))
