"""What serves of a registered model, since when and by whom, and what is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import AuditTrail, Registry
from airflow_mlops.core.promotion.audit_state import fold, no_trail
from airflow_mlops.core.promotion.verify import verify_aliases
from airflow_mlops.spec.problems import Problem


@dataclass(frozen=True, kw_only=True)
class ModelStatus:
    """One registered model as registry and audit trail have it now. None: there is none."""

    model: str
    champion: int | None = None
    judged_as: int | None = None
    """Of a champion that was refitted on all rows: the version that was judged."""
    as_of: datetime | None = None
    """Of the champion."""
    since: datetime | None = None
    """When the champion was last moved, or written about."""
    by: str | None = None
    why: str | None = None
    """Reason of that event: of a promotion, the comparison that decided."""
    previous: int | None = None
    challenger: int | None = None
    last_event: tuple[str, int | None] | None = None
    """Kind and version of the newest event."""
    retired: str | None = None
    owner: str | None = None
    """The specification that the model belongs to, in words."""
    problems: tuple[Problem, ...] = ()


def status_of(registry: Registry, trail: AuditTrail, model: str) -> ModelStatus:
    """Return the state of a model; what cannot be read is among its problems, so that others are shown all the same.

    Raises
    ------
    StoreUnavailableError
        If a store does not answer.
    """
    try:
        events = trail.events(model)
        state = fold(events)
        champion = registry.champion(model)
        if not events and champion is None:
            raise no_trail(model)
    except RecordError as error:
        return ModelStatus(model=model, problems=tuple(error.problems))
    version = None if champion is None else champion.version
    origin = None if champion is None else champion.candidate.refit_of
    moved = next((e for e in reversed(events) if version is not None and e.version == version), None)
    return ModelStatus(
        model=model,
        champion=version,
        judged_as=None if origin is None else registry.version_of(model, origin.run_id),
        as_of=None if champion is None else champion.candidate.as_of,
        since=None if moved is None else moved.at,
        by=None if moved is None else moved.who,
        why=None if moved is None else moved.reason,
        previous=registry.alias(model, "previous"),
        challenger=registry.alias(model, "challenger"),
        last_event=(events[-1].kind, events[-1].version) if events else None,
        retired=state.retired,
        problems=tuple(verify_aliases(registry, trail, model)),
        owner=None if state.owner is None else state.owner.words,
    )
