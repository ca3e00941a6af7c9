"""Changes of the rules themselves, as the audit trail tells them: gate, risk tier and approval of a specification."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_mlops.core.promotion.audit_chain import LONGEST_REASON
from airflow_mlops.core.promotion.manual_move import nonce_of
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.promotion import AuditEvent

_JUDGED = {"promoting", "registered", "declined"}


def versions_judged(events: Sequence[AuditEvent]) -> tuple[int, ...]:
    """Return the versions that were registered with a decision, the newest first."""
    judged = [event.version for event in reversed(events) if event.kind in _JUDGED and event.decision is not None]
    return tuple(version for version in dict.fromkeys(judged) if version is not None)


def earlier_changes(events: Sequence[AuditEvent], candidate: Candidate) -> tuple[str, ...]:
    """Return the changes of rules since a person last approved a version, oldest first, but for a candidate's own.

    Where nobody ever approved, those of the whole trail: whoever is asked first has seen none of them.
    """
    approved = [n for n, event in enumerate(events) if event.approval is not None and event.kind in _APPROVED]
    since = approved[-1] + 1 if approved else 0
    own = change_nonce(candidate)
    return tuple(
        f"{event.reason} (event {event.number}, {event.at:%Y-%m-%d}, {event.who})"
        for event in events[since:]
        if event.kind == "rules_changed" and event.nonce != own
    )


_APPROVED = {"promoting", "registered"}
"""`registered` with an approval: what was judged, of a version that is refitted before it serves."""


def change_nonce(candidate: Candidate) -> str:
    """Return the nonce of the event that tells what had changed before a candidate; its refit has the same."""
    return nonce_of(f"rules changed before {candidate.judged_uri}")


def name_changes(changes: Sequence[str]) -> str:
    """Return changes as the reason of an event: whole where they fit into one, else by their paths.

    The decision has the values.

    >>> name_changes(['gate.mode: "enforce" -> "off"', "gate.min_rows: 100 -> 1"])
    'gate.mode: "enforce" -> "off"; gate.min_rows: 100 -> 1'
    """
    told = "; ".join(changes)
    if len(told) <= LONGEST_REASON:
        return told
    paths = ", ".join(change.partition(": ")[0] for change in changes)
    return f"{len(changes)} values, which the decision has: {paths}"
