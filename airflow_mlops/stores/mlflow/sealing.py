"""Everything of a model that is sealed: held against its seals and against the audit trail, and sealed anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.promotion import MOVES, REPLACED, REPLACED_SEAL, fold, no_trail, verify_trail
from airflow_mlops.core.snapshot import open_snapshot_of, verify_snapshot
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.candidates import CANDIDATE, CANDIDATE_SEAL
from airflow_mlops.stores.mlflow.decisions import APPROVAL, APPROVAL_SEAL, DECISION, DECISION_SEAL
from airflow_mlops.stores.mlflow.lineage import (
    ENVIRONMENT,
    ENVIRONMENT_SEAL,
    GOLDEN,
    GOLDEN_PREDICTIONS,
    GOLDEN_SEAL,
    PROFILE,
    PROFILE_SEAL,
    SNAPSHOT,
    SNAPSHOT_SEAL,
    SPEC,
    SPEC_SEAL,
)
from airflow_mlops.stores.mlflow.monitoring import SEALS as WINDOW_SEALS

if TYPE_CHECKING:
    from airflow_mlops.stores.mlflow.store import MLflowStore

SEALED = {
    CANDIDATE_SEAL: CANDIDATE,
    SPEC_SEAL: SPEC,
    SNAPSHOT_SEAL: SNAPSHOT,
    ENVIRONMENT_SEAL: ENVIRONMENT,
    PROFILE_SEAL: PROFILE,
    GOLDEN_SEAL: f"{GOLDEN}/{GOLDEN_PREDICTIONS}",
    DECISION_SEAL: DECISION,
    APPROVAL_SEAL: APPROVAL,
    REPLACED_SEAL: REPLACED,
    **{seal: path for path, seal in WINDOW_SEALS.items()},
}
"""Every artifact that is sealed, by the tag of its seal."""
LATER = frozenset({SPEC_SEAL, SNAPSHOT_SEAL, ENVIRONMENT_SEAL, PROFILE_SEAL})
"""Seals of artifacts that were written before they were sealed, too."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found of a model."""

    model: str
    events: int
    versions: tuple[int, ...]
    """Versions whose records were held against seals and trail."""
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    """What is no fault, and weakens what was proved."""


def verify_model(records: MLflowStore, storage: Storage, model: str) -> Verification:
    """Hold everything of a model that serves, has served or waits against its seals, its bytes and the trail.

    The chain and its heads; aliases and tags; the stored models of champion, previous and challenger; of every version
    that the trail names the candidate, the decision and what the trail says of it; the champion's snapshot.

    Raises
    ------
    StoreUnavailableError
        If a store does not answer.
    """
    problems = list(verify_trail(records.registry, records.trail, model))
    try:
        events = records.trail.events(model)
    except RecordError:  # told already
        return Verification(model=model, events=0, versions=(), problems=tuple(problems), notes=())
    if not events and records.registry.alias(model, "champion") is None:
        problems += no_trail(model).problems
    state, notes = fold(events), list(records.trail.heads.notes(model, events)) if events else []
    there = [one for one in sorted(state.statuses) if records.registry.version_tags(model, one) is not None]
    for version in there:
        moves = [event for event in events if event.version == version and event.kind in MOVES]
        decisions = [event.decision for event in moves if event.decision]
        digests = [event.model_digest for event in moves if event.model_digest]
        problems += list(_record_problems(records, model, version, decisions[-1:], digests[-1:]))
        notes += _record_notes(records, model, version)
    if state.champion in there:
        problems += list(_snapshot_problems(records, storage, model, state.champion))
    unique = tuple(dict.fromkeys(problems))
    return Verification(
        model=model, events=len(events), versions=tuple(there), problems=unique, notes=tuple(dict.fromkeys(notes))
    )


def seal_anew(records: MLflowStore, model: str) -> int:
    """Seal everything of a model with the newest key, after it was held against the seals that it has; return how much.

    What was sealed without a key must be accepted here (`[mlops] seal_unkeyed_until`); what does not fit its seal is
    refused, and nothing after it is sealed.

    Raises
    ------
    RecordError
        RECORD_CONFLICT or SEAL_REFUSED, for the first artifact that is not what its seal says; AUDIT_BROKEN;
        NO_CHAMPION, if the loop never registered such a model.
    StoreUnavailableError
        If a store does not answer.
    """
    sealed = 0
    if not records.trail.events(model):
        raise no_trail(model)
    for run in records.runs.runs_of_model(model):
        texts = dict(_to_seal(records, run))
        records.artifacts.seal(str(run.info.run_id), texts)
        sealed += len(texts)
    events = records.trail.events(model)
    if records.trail.heads.notes(model, events):
        records.trail.heads.keep(model, lambda: records.trail.events(model))
        sealed += 1
    return sealed


def _to_seal(records: MLflowStore, run: Any) -> Iterator[tuple[str, str]]:
    """Yield the tags of seals that are to be made anew, with the texts that they are of."""
    artifacts = records.artifacts
    for seal, path in SEALED.items():
        standing = run.data.tags.get(seal)
        if standing is not None:
            text = artifacts.read_sealed_of(run, path, seal)
            if text is not None and not artifacts.keys.is_current(str(standing)):
                yield seal, text
        elif seal in LATER and CANDIDATE_SEAL in run.data.tags:
            try:
                yield seal, artifacts.read_sealed_or_older(str(run.info.run_id), path, seal)
            except RecordError as refusal:
                if any(problem.code is not ReasonCode.RECORD_CONFLICT for problem in refusal.problems):
                    raise  # anything but that the run has no such artifact


def _record_problems(
    records: MLflowStore, model: str, version: int, decided: list[str], digests: list[str]
) -> Iterator[Problem]:
    try:
        candidate = records.registry.version(model, version).candidate
        decision = records.decisions.find_decision(candidate.run_id)
    except RecordError as error:
        yield from error.problems
        return
    if decided and (decision is None or decision.digest != decided[0]):
        found = "no decision" if decision is None else f"decision {decision.digest[:12]}"
        yield _not_of_trail(model, version, found, f"decision {decided[0][:12]}", ReasonCode.DECISION_MISMATCH)
    if digests and candidate.model_digest != digests[0]:
        found = f"a stored model with digest {candidate.model_digest[:12] or 'none'}"
        yield _not_of_trail(model, version, found, f"digest {digests[0][:12]}", ReasonCode.MODEL_ALTERED)


def _not_of_trail(model: str, version: int, found: str, allowed: str, code: ReasonCode) -> Problem:
    return Problem(
        code=code,
        field=f"{model} version {version}",
        found=f"{found} in its MLflow run",
        allowed=f"{allowed}, which the audit trail names",
        fix="restore the run's artifacts from a backup; roll back if it serves; and find out who changed them",
    )


def _record_notes(records: MLflowStore, model: str, version: int) -> list[str]:
    try:
        candidate = records.registry.version(model, version).candidate
    except RecordError:  # a problem, told already
        return []
    said = []
    if not candidate.model_digest:
        said.append(f"version {version} was trained before digests of models were recorded: its bytes cannot be held")
    tags = records.artifacts.tags_of(candidate.run_id)
    old = [seal for seal in SEALED if seal in tags and not records.artifacts.keys.is_current(tags[seal])]
    if old:
        until = records.artifacts.keys.unkeyed_until
        limit = f", accepted until {until.isoformat()}" if until is not None else ""
        said.append(f"version {version} has {len(old)} seals that are not of the newest key{limit}")
    return said


def _snapshot_problems(records: MLflowStore, storage: Storage, model: str, version: int) -> Iterator[Problem]:
    """Rows of the champion's snapshot that are not what it was trained on; a snapshot that is gone is no fault here."""
    try:
        candidate = records.registry.version(model, version).candidate
        verify_snapshot(open_snapshot_of(candidate, storage), storage)
    except (DataError, RecordError) as refusal:
        yield from (one for one in refusal.problems if one.code is ReasonCode.SNAPSHOT_ALTERED)
