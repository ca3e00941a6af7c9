"""The attempts of a loop run: one for each of its inputs, none beside one that has served, the older ones marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import Registry
from airflow_mlops.core.promotion.alias_log import CHAMPION, PREVIOUS, STATUS_TAG, AliasLog, tag
from airflow_mlops.core.promotion.audit_state import SERVED_STATUSES, SUPERSEDED, AuditState
from airflow_mlops.core.records.attempt import SUPERSEDED_BY, LoopVersion, inputs_of, judged_run
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.spec.problems import Problem, ReasonCode


def has_served(registry: Registry, model: str, version: int, state: AuditState | None = None) -> bool:
    """Whether a version serves or has served: its decision is history then, and is not made again.

    Parameters
    ----------
    state
        Of the model's trail, which remembers what tags were taken from; None: the registry alone is asked.
    """
    if state is not None and version in state.served:
        return True
    if version in (registry.alias(model, CHAMPION), registry.alias(model, PREVIOUS)):
        return True  # also when a kill came between the alias and the status
    return (registry.version_tags(model, version) or {}).get(STATUS_TAG) in SERVED_STATUSES


class LoopAttempts:
    """What the loop run of one candidate has registered, at one model's ledger."""

    def __init__(self, alias_log: AliasLog, candidate: Candidate) -> None:
        self.alias_log, self.candidate = alias_log, candidate
        self.inputs = inputs_of(candidate.snapshot_fingerprint, candidate.spec_fingerprint)

    def others(self, state: AuditState, judged: int | None) -> tuple[LoopVersion, ...]:
        """Return the versions of the loop run's other attempts, none of which may have served.

        Asked in each round, right before a version is registered: whatever was deleted, cleared or tried at the same
        time meanwhile, the registry and the trail know what stands.

        Parameters
        ----------
        judged
            The version that was judged in this attempt; None before it is registered.
        """
        alias_log, versions = self.alias_log, self._versions()
        told = {"model": alias_log.model, "loop_run": self.candidate.loop_run, "inputs": self.inputs}
        require_one_run(versions, **told, run_id=self.candidate.run_id)
        others = tuple(one for one in versions if one.attempt != judged)
        require_new_attempt(alias_log.registry, state, others, **told)
        return others

    def supersede(self, state: AuditState, others: Sequence[LoopVersion], judged: int | None) -> bool:
        """Mark what earlier attempts registered; True when an event was written, and the trail must be read anew."""
        alias_log, attempt = self.alias_log, str(judged)
        for one in others:
            if state.statuses.get(one.number) != SUPERSEDED:
                what = changed(one.inputs, self.inputs)
                reason = f"superseded by version {attempt}: the same run was judged anew, from {what}"
                alias_log.append(state, kind="superseded", reason=reason, version=one.number)
                return True
            if (one.tags.get(SUPERSEDED_BY), one.tags.get(STATUS_TAG)) != (attempt, SUPERSEDED):
                alias_log.follow_challenger(one.number)
                tag(alias_log.registry, alias_log.model, one.number, {SUPERSEDED_BY: attempt})
        return False

    def superseded(self, judged: int | None) -> tuple[int, ...]:
        """Return the versions that this attempt has superseded."""
        return tuple(
            one.number
            for one in self._versions()
            if one.attempt != judged and one.tags.get(SUPERSEDED_BY) == str(judged)
        )

    def _versions(self) -> Sequence[LoopVersion]:
        run = self.candidate.loop_run
        return self.alias_log.registry.loop_versions(
            self.alias_log.model, run if self.candidate.refit_of is None else judged_run(run)
        )


def require_new_attempt(
    registry: Registry, state: AuditState, versions: Sequence[LoopVersion], *, model: str, loop_run: str, inputs: str
) -> None:
    """Refuse to judge a loop run anew from other inputs, once a version of it has served.

    Parameters
    ----------
    state
        Of the model's trail.
    versions
        What the loop run and its refit have registered.
    inputs
        What it is to be judged from now. The attempt of the same inputs is taken up again, whatever became of it.

    Raises
    ------
    RecordError
        VERSION_SERVED: what has served keeps its record.
    """
    kept = next(
        (one for one in versions if one.inputs != inputs and has_served(registry, model, one.number, state)), None
    )
    if kept is not None:
        raise RecordError(
            Problem(
                code=ReasonCode.VERSION_SERVED,
                field=loop_run,
                found=f"it already registered {model} version {kept.number}, which serves or has served, from "
                f"{changed(kept.inputs, inputs)} ({kept.inputs}, now {inputs})",
                allowed="other rows or another specification for a run that was rejected or never promoted",
                fix="nothing is to be done where it may stay as it is; else trigger a new run of the DAG instead of "
                "clearing this one",
            )
        )


def require_one_run(versions: Iterable[LoopVersion], *, model: str, loop_run: str, inputs: str, run_id: str) -> None:
    """Refuse a second version of the same loop run from the same inputs, which only another MLflow run could make.

    Raises
    ------
    RecordError
        RECORD_CONFLICT.
    """
    other = next(
        (one for one in versions if one.loop_run == loop_run and one.inputs == inputs and one.run_id != run_id), None
    )
    if other is not None:
        raise registered_by(other, model, loop_run, f"MLflow run {other.run_id}, and not by {run_id}")


def registered_by(version: LoopVersion, model: str, loop_run: str, whom: str) -> RecordError:
    """Return the refusal of a loop run whose version stands, and whose MLflow run is not the one at hand."""
    return RecordError(
        Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field=loop_run,
            found=f"it already registered {model} version {version.number} from the same rows and specification, by "
            f"{whom}",
            allowed="one version of a loop run from the same inputs",
            fix=f"restore that MLflow run if it was deleted (mlflow runs restore --run-id {version.run_id}), or "
            "trigger a new run of the DAG",
        )
    )


def changed(before: str, now: str) -> str:
    """Say what differs between the inputs of two attempts.

    >>> changed("8c1f/04ba", "8c1f/77aa"), changed("8c1f/04ba", "9d2e/77aa")
    ('another specification', 'other rows and another specification')
    """
    words = ("other rows", "another specification")
    differ = [word for word, old, new in zip(words, before.split("/"), now.split("/"), strict=True) if old != new]
    return " and ".join(differ)
