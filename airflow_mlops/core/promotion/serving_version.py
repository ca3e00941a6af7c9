"""Which version serves, by registry and audit trail together.

The registry alone cannot tell a model that never had a champion from one whose alias, version or registered model
somebody deleted or renamed; the trail can. So whoever wants to know what serves asks here, and nobody is told "there is
no champion yet" of a model that had one.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import AuditTrail, Registry
from airflow_mlops.core.promotion.audit_chain import MOVES
from airflow_mlops.core.promotion.audit_state import AuditState, fold
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import Problem, ReasonCode

_CHAMPION = "champion"


def find_champion(registry: Registry, trail: AuditTrail, model: str) -> Champion | None:
    """Return the version under the alias `champion`; None for a model that never had one.

    Raises
    ------
    RecordError
        CHAMPION_MISSING, if a version has served and none is under the alias; CHAMPION_UNREADABLE, if the alias points
        at what is gone or was not made by the loop; MODEL_ALTERED, if the record of the champion names another model
        than the trail says was promoted; AUDIT_BROKEN.
    """
    events = trail.events(model)
    champion = registry.champion(model)
    if champion is None:
        require_no_champion_known(registry, model, fold(events))
    else:
        _require_promoted(champion, events)
    return champion


def require_no_champion_known(registry: Registry, model: str, state: AuditState) -> None:
    """Refuse that no version serves, where the trail knows one that has served.

    Of a move that is under way, what it displaces counts: its own alias may not have followed yet.

    Raises
    ------
    RecordError
        CHAMPION_MISSING.
    """
    problem = missing_champion(registry, model, state)
    if problem is not None:
        raise RecordError(problem)


def missing_champion(registry: Registry, model: str, state: AuditState) -> Problem | None:
    """Return what is wrong with a model that has no champion now, and the way back; None when it never had one."""
    settled = state.settled
    if not settled.served:
        return None
    # What was rolled back comes last among what may be returned to, and what is in the line first.
    ways = sorted(settled.served, key=lambda one: (settled.statuses[one] != "rolled_back", one in settled.line, one))
    last = settled.champion if settled.champion is not None else ways[-1]
    there = [version for version in ways if registry.version_tags(model, version) is not None]
    if last in there:
        found = "no version under the alias champion, which was deleted"
        fix = f"airflow mlops rollback {model} --to {last} --reason WHY puts it back"
    elif there:
        found = f"no version under the alias champion, and no version {last}: it was deleted"
        fix = f"restore the registry from a backup, or airflow mlops rollback {model} --to {there[-1]} --reason WHY"
    else:
        found = "no version that has served in the registry: they were deleted, or the model was deleted or renamed"
        fix = f"give it the name {model} again on its page in MLflow, or restore the registry from a backup"
    return Problem(
        code=ReasonCode.CHAMPION_MISSING,
        field=f"{model}@{_CHAMPION}",
        found=found,
        allowed=f"the champion that the audit trail knows, version {last}",
        fix=f"{fix}; until then nothing is trained, judged, promoted or scored",
    )


def _require_promoted(champion: Champion, events: Sequence[AuditEvent]) -> None:
    """The champion's record names the stored model that the trail says was to serve.

    The trail cannot be changed by who may write tags and artifacts, so a record that was replaced together with its
    seal is found out by it. Events of before name no digest.
    """
    moved = next(
        (e for e in reversed(events) if e.kind in MOVES and e.version == champion.version and e.model_digest), None
    )
    if moved is not None and moved.model_digest != champion.candidate.model_digest:
        recorded = champion.candidate.model_digest[:12] or "nothing"
        raise RecordError(
            Problem(
                code=ReasonCode.MODEL_ALTERED,
                field=f"{champion.model} version {champion.version}",
                found=f"a training record that names a stored model with digest {recorded}",
                allowed=f"digest {(moved.model_digest or '')[:12]}, which event {moved.number} of the audit trail let "
                "serve",
                fix="restore candidate.json of its MLflow run, or roll back; and find out who changed it",
            )
        )
