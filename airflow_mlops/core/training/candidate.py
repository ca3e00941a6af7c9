"""The record of a training, made of what it was given and what it gave; and that of its version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    from airflow_mlops.core.training.fit import Fitted


def candidate_from(
    spec: ModelSpec, snapshot: Snapshot, fitted: Fitted, *, loop_run: str, run_id: str, model_uri: str
) -> Candidate:
    """Return the record of a model that was trained on a snapshot.

    Parameters
    ----------
    loop_run, run_id, model_uri
        Where it was trained, where that is recorded, and where the model is kept, as in
        :class:`~airflow_mlops.core.records.candidate.Candidate`.
    """
    return Candidate(
        model=spec.name,
        loop_run=loop_run,
        run_id=run_id,
        model_uri=model_uri,
        task=fitted.task,
        as_of=snapshot.as_of,
        train=fitted.train,
        holdout=fitted.holdout,
        train_rows=len(fitted.train_frame),
        holdout_rows=len(fitted.holdout_frame),
        snapshot_uri=snapshot.uri,
        snapshot_fingerprint=snapshot.fingerprint,
        spec_fingerprint=spec.fingerprint,
        features=fitted.features,
        classes=fitted.classes,
        parameters=fitted.parameters,
        metrics=fitted.metrics,
        convergence=fitted.convergence,
        seed=spec.training.seed,
        positive=fitted.positive,
        changed=fitted.changed,
        refit_of=fitted.refit_of,
    )


def champion_of(model: str, candidate: Candidate, version: int) -> Champion:
    """Return a version of a registered model as if it served."""
    return Champion(
        model=model, version=version, run_id=candidate.run_id, model_uri=candidate.model_uri, candidate=candidate
    )
