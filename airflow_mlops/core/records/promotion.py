"""Who agreed to a version, what was promoted or rolled back, and the events of the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.ownership import SpecIdentity
from airflow_mlops.core.records.people import Person, name_people
from airflow_mlops.spec.model import ModelSpec


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
    refitted_as: int | None = added(None)
    """Of a judged version: the one that repeats its recipe on all rows, and serves by its evidence."""
    supersedes: tuple[int, ...] = added(())
    """Versions that the same loop run registered before, from other inputs, and that never served."""
    superseded_by: int | None = added(None)
    """The version that a later attempt of the same loop run registered, from other inputs; this one is kept as it was
    judged."""


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


_LATER = ("rows_from", "rows_until", "model_digest")
"""Fields that events of before do not have: left out where they are not set, for the digests are of the JSON."""


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
        "superseded",
        "rolling_back",
        "rolled_back",
        "moved_by_hand",
        "retired",
        "unretired",
        "released",
        "adopted",
        "handed_over",
        "rules_changed",
    ]
    """`promoting` and `rolling_back` are written before the alias moves, `promoted` and `rolled_back` after it;
    `superseded` says that the same loop run was judged anew from other inputs, as another version.
    `adopted`: the model had no owner, and has one now; `handed_over`: it has another. `rules_changed`: gate, risk tier
    or approval of the specification are others than those that the version before was judged by."""
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
    """What the version is after `registered`: `challenger`, `judged` (another one repeats it, and serves), `rejected`
    or `inconclusive`."""
    nonce: str
    """Random: no two events are equal. Of a request that names itself, its digest: done again, it is found."""
    rows_from: datetime | None = None
    """Of `released`: first event time of the rows that are right as they are."""
    rows_until: datetime | None = None
    """Of `released`: where they end; None: they do not, the change is to stay."""
    model_digest: str | None = None
    """Of `promoting` and `rolling_back`: digest of the model that is to serve; None: recorded before there were any."""
    people: tuple[Person, ...] = added(())
    """Who stands behind `by`, where anybody is known."""
    specification: SpecIdentity | None = added(None)
    """For which specification it was written, where there is one: the first that is named owns the model, until it is
    `handed_over` to the one that such an event names."""

    @property
    def who(self) -> str:
        """`by`, and the people behind it.

        A person's own command names them already, all but their machine.
        """
        hosts = [person.host for person in self.people if person.host and self.by == f"user:{person.name}"]
        behind = hosts[0] if hosts else name_people(self.people)
        return f"{self.by} ({behind})" if behind else self.by

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; the kind of event is `event` there, since `kind` names the kind of record.

        What only some events have is left out where it is not set: older events keep the digests that they had.
        """
        body = {key: value for key, value in super().to_json().items() if key not in _LATER or value is not None}
        event = body.pop("kind")
        return {"kind": type(self).__name__, "format": body.pop("format"), "event": event, **body}

    @classmethod
    def upgrade(cls, body: dict[str, Any], written: int) -> dict[str, Any]:  # noqa: ARG003 - for the formats to come
        """Read `event` as the kind of event."""
        if "event" in body and "kind" not in body:
            body["kind"] = body.pop("event")
        return body


def retired_because(spec: ModelSpec, registered: str | None = None) -> str | None:
    """Return why a model is out of use; None when it is in use.

    There are two ways out, and either is enough: the specification's `retired`, which a review put there, and
    ``airflow mlops retire``, which registry and audit trail keep. Parsing a DAG file knows the first only.

    Parameters
    ----------
    registered
        What the registry's tag or the state of the audit trail says.
    """
    return spec.retired or registered
