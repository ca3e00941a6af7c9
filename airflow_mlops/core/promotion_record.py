"""The records of promotion, and what it needs of the system of record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from airflow_mlops.core.model import Candidate, Champion, Verdict
from airflow_mlops.core.record import Record


@dataclass(frozen=True, kw_only=True)
class Approval(Record):
    """A person's answer to an accepting decision, or the lack of one."""

    model: str
    run_id: str
    decision: str
    """Digest of the decision that was put to them."""
    approved: bool
    by: str
    """User name; empty when nobody answered in time."""
    at: datetime
    note: str = ""
    timed_out: bool = False


@dataclass(frozen=True, kw_only=True)
class PromotionRecord(Record):
    """What promotion did, and why."""

    model: str
    version: int
    run_id: str
    promoted: bool
    champion_version: int | None
    """The champion after it."""
    previous_version: int | None
    as_of: datetime
    verdict: Verdict
    reasons: tuple[str, ...]
    """Of the decision; when a person declined it, that first."""
    declined: bool = False
    """Accepted by the gate, and not approved."""


@dataclass(frozen=True, kw_only=True)
class Rollback(Record):
    """What a rollback did: the only way in which the champion's as-of time goes back."""

    model: str
    version: int
    """The champion after it."""
    run_id: str
    displaced: int | None
    """The champion before it."""
    previous_version: int | None
    """What the next rollback would return to."""
    as_of: datetime
    """Of the version that serves again."""
    by: str
    reason: str
    forced: bool = False
    """To a version that had never served."""


@dataclass(frozen=True, kw_only=True)
class AuditEvent(Record):
    """One line of the audit trail: who did what, when, why, from which version to which, by which decision.

    `number` counts from 1 without gaps, and `before` is the digest of the event before (empty for the first): the
    events are a hash chain.
    """

    number: int
    before: str
    model: str
    """Registered model."""
    kind: Literal[
        "promoting",
        "promoted",
        "registered",
        "declined",
        "rolling_back",
        "rolled_back",
        "moved_by_hand",
        "retired",
        "unretired",
    ]
    """`promoting` and `rolling_back` are written before the alias moves, `promoted` and `rolled_back` after it."""
    at: datetime
    by: str
    """`airflow:<dag_id>/<run_id>`, `user:<name>`."""
    reason: str
    version: int | None = None
    """What it is about; None for the model as a whole."""
    displaced: int | None = None
    """The champion before."""
    decision: str | None = None
    """Digest of the gate's decision; None for an override, which says so in its reason."""
    approval: str | None = None
    """Digest of the approval, where one was asked for."""
    forced: bool = False
    """A person's override of the gate."""
    status: str | None = None
    """What the version is after `registered`: `challenger`, `rejected` or `inconclusive`."""
    nonce: str
    """Random: no two events are equal. Of a request that names itself, its digest: done again, it is found."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; the kind of event is `event` there, since `kind` names the kind of record."""
        body = super().to_json()
        event = body.pop("kind")
        return {"kind": type(self).__name__, "format": body.pop("format"), "event": event, **body}

    @classmethod
    def upgrade(cls, body: dict[str, Any], written: int) -> dict[str, Any]:  # noqa: ARG003 - for the formats to come
        """Read `event` as the kind of event."""
        if "event" in body and "kind" not in body:
            body["kind"] = body.pop("event")
        return body


class Registry(Protocol):
    """What promotion needs of the system of record. Each method is one effect, or none."""

    def champion(self, model: str) -> Champion | None:
        """The version under the alias `champion`.

        Raises
        ------
        RecordError
            If the alias points at a version whose record is missing or unreadable.
        """

    def version(self, model: str, number: int) -> Champion:
        """A version as if it served: with the record of its training.

        Raises
        ------
        RecordError
            VERSION_MISSING, if it does not exist (any more); CHAMPION_UNREADABLE, if its record cannot be read.
        """

    def version_of(self, model: str, run_id: str) -> int | None:
        """The version that this run registered, if it did."""

    def register(self, model: str, candidate: Candidate, tags: Mapping[str, str]) -> int:
        """Register the candidate's model; returns the version that already stands for this run, if one does.

        Raises
        ------
        RecordError
            If that version was made from another model.
        """

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point an alias at a version."""

    def alias(self, model: str, alias: str) -> int | None:
        """The version under an alias, if any."""

    def version_tags(self, model: str, version: int) -> Mapping[str, str] | None:
        """Tags of a version; None if it does not exist (any more)."""

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""

    def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias; nothing happens if there is none."""

    def model_tags(self, model: str) -> Mapping[str, str]:
        """Tags of the registered model; none when there is no such model."""

    def tag_model(self, model: str, tags: Mapping[str, str]) -> None:
        """Set tags of the registered model."""


class Trail(Protocol):
    """The audit trail of one registered model: append-only, numbered without gaps, and the arbiter of who is first."""

    def events(self, model: str) -> tuple[AuditEvent, ...]:
        """Every event, oldest first.

        Raises
        ------
        RecordError
            AUDIT_BROKEN, if an event is missing, or one is not what its successor's hash says.
        """

    def append(self, model: str, event: AuditEvent) -> bool:
        """Write an event at its number, once: False when another event stands there already.

        Of several that write the same number at the same time, exactly one gets True, on every machine; the one
        that wrote it gets True again when its answer was lost and it asks again.
        """
