"""Where an accepted candidate goes, who must agree, and who is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.fields import duration, part, plain_mapping, text, texts
from airflow_mlops.spec.value_checks import connection, import_path

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem

TIERS = ("low", "medium", "high")
EVENTS = (
    "accepted",
    "rejected",
    "inconclusive",
    "promoted",
    "rolled_back",
    "waiting_for_approval",
    "declined",
    "retrain",
    "escalate",
    "block",
    "watch",
)
"""What a notification can be about. `declined`: a person rejected the promotion, or nobody answered in time. The last
four are what monitoring decides: `watch` is drift that calls for nothing yet."""


class ApprovalSpec(SpecModel):
    """Which models a person must approve before they serve."""

    tiers: tuple[str, ...] = texts(
        default=(), words="list of `low`, `medium`, `high`", doc="Risk tiers whose promotions wait for a person."
    )
    approvers: tuple[str, ...] = texts(
        default=(), words="list of user names", doc="Who may answer; none: whoever may edit the DAG's runs in Airflow."
    )
    timeout: timedelta = duration(default="7d", doc="Without an answer by then, the candidate is not promoted.")

    def problems_within(self) -> Iterator[Problem]:
        """Tiers that exist; approvers only where something is to be approved."""
        for tier in self.tiers:
            if tier not in TIERS:
                yield wrong("tiers", repr(tier), "low, medium or high", "correct it")
        if self.approvers and not self.tiers:
            yield wrong("approvers", "approvers, but no tiers", "approvers of the tiers that wait", "add tiers: [high]")


class PromotionSpec(SpecModel):
    """Where an accepted candidate goes."""

    registered_model: str | None = text(
        default=None,
        max_length=200,
        doc="Name in MLflow's registry; the model's name when left out. No other specification's.",
    )
    approval: ApprovalSpec = part(ApprovalSpec, default={}, doc="Which promotions wait for a person.")


class NotificationSpec(SpecModel):
    """One who is told of some events: by a webhook, or by any notifier that Airflow has."""

    events: tuple[str, ...] = texts(
        words=f"list of {', '.join(f'`{name}`' for name in EVENTS)}", doc="What it is told of."
    )
    conn_id: str | None = text(
        default=None, check=connection, doc="Connection of type http: the event is posted to it as JSON, with a `text`."
    )
    notifier: str | None = text(
        default=None,
        words="import path",
        check=import_path,
        doc="A notifier class instead, such as airflow.providers.smtp.notifications.smtp.SmtpNotifier.",
    )
    arguments: dict[str, Any] = plain_mapping(
        doc="Arguments of the notifier; templates see `event`: `{subject: '{{ event.title }}'}`."
    )

    def problems_within(self) -> Iterator[Problem]:
        """Events that exist, and one way to be told."""
        for event in self.events:
            if event not in EVENTS:
                yield wrong("events", repr(event), f"one of {', '.join(EVENTS)}", "correct it")
        if (self.conn_id is None) == (self.notifier is None):
            found = "both conn_id and notifier" if self.conn_id else "neither conn_id nor notifier"
            yield wrong("conn_id", found, "one of the two", "name a connection of type http, or a notifier class")
        if self.arguments and self.notifier is None:
            yield wrong("arguments", "arguments without a notifier", "arguments of a notifier", "remove them")
