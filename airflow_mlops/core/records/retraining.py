"""The records of the retraining controller: signals in, one decision out, and what became of earlier ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar, Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.shadow import ShadowReport
from airflow_mlops.core.text import one_line

SignalKind = Literal[
    "decay",
    "estimated_decay",
    "prediction_drift",
    "input_drift",
    "follow_up",
    "shadow",
    "volume",
    "event",
    "manual",
]
RANK: tuple[SignalKind, ...] = (
    "manual",
    "event",
    "decay",
    "estimated_decay",
    "prediction_drift",
    "input_drift",
    "follow_up",
    "shadow",
    "volume",
)
"""What outranks what: people and the business first, then what was seen for certain before what is only suspected."""
Action = Literal["retrain", "wait", "escalate", "block"]


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One thing that may call for a retraining. `unknown` is not `off`: it does not say that all is well."""

    kind: SignalKind
    state: Literal["on", "off", "unknown"]
    reason: str
    """One sentence for a person."""
    urgent: bool = False


@dataclass(frozen=True, kw_only=True)
class RetrainDecision(Record):
    """Whether to retrain now, with the evidence.

    Format 2 added what follows `evidence`; of a decision written before, it has its defaults.
    """

    FORMAT: ClassVar[int] = 2

    model: str
    action: Action
    as_of: datetime
    reasons: tuple[str, ...]
    evidence: Mapping[str, str]
    """`champion_version`, `champion_run_id`, `window_start`, `window_end`, digests of the reports."""
    key: str = ""
    """Names the event that this decision answers, one for each model, reference and window: the same event again is
    the same decision, and causes no second training."""
    signal: SignalKind | None = None
    """The highest signal that is on."""
    signals: tuple[Signal, ...] = ()
    """All, highest first."""
    rule: str = ""
    """What decided: `signal`, `urgent`, `none`, `persistence`, `watch`, `cooldown`, `backoff`, `under_way`,
    `young_change`, `unwatched`, `min_new_rows`, `budget`, `pipeline_fault`, `invalid_data`, `out_of_date`,
    `escalate_after` or `retired`."""
    urgent: bool = False
    """Whether cooldown was bypassed."""
    owner: str = ""
    plan: str = ""
    """What the owner is to do: the playbook's text."""
    number: int | None = None
    """Place in the log of decisions; None for `wait`, which is not logged."""
    changed: datetime | None = added(None)
    """Since when what was learned before does not hold: what is trained knows of it. None: nothing is known to have
    changed."""


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """What became of a training run: of whichever cause."""

    as_of: datetime
    run_id: str
    verdict: Verdict | None
    """What the gate said; None while it has not."""
    promoted: bool
    declined: bool = False
    """Accepted by the gate, and not approved: by a person, or since nobody answered."""
    answers: tuple[str, ...] = ()
    """Keys of the decisions that this run trained on; none: a schedule or a person started it."""

    @property
    def refused(self) -> bool:
        """Whether it is over, and the champion stayed."""
        return self.declined or self.verdict in (Verdict.REJECT, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, kw_only=True)
class History:
    """What the controller remembers, newest first each."""

    decisions: tuple[RetrainDecision, ...] = ()
    """Those that were logged: retrain, escalate and block."""
    challenges: tuple[Challenge, ...] = ()
    drift: tuple[DriftReport, ...] = ()
    """Of earlier windows, without the newest."""
    performance: tuple[PerformanceReport, ...] = ()
    """Of earlier windows, without the newest."""
    shadows: tuple[ShadowReport, ...] = ()
    """Of earlier windows: the newest is enough."""
    claimed: frozenset[str] | None = None
    """Keys of decisions that a training run holds; None: not known."""


@dataclass(frozen=True, kw_only=True)
class MonitoringInput:
    """What monitoring saw of the newest window."""

    drift: DriftReport | None = None
    performance: PerformanceReport | None = None
    new_rows: int | None = None
    """Labelled rows since the champion's as-of; None: not counted."""
    asked: tuple[Signal, ...] = field(default_factory=tuple)
    """Signals from outside: a person, or a business event by API or asset."""
    shadow: ShadowReport | None = None
    """What the gate says of a fresh model; None: none was due."""
    retired: str | None = None
    """Why the registry says that the model is out of use; the specification may say so too."""


LONGEST = 5500
"""Characters of a decision as JSON; its number is added later, and MLflow cuts a value at 6,000, without a word."""


_SIZES = ((600, 14), (400, 14), (250, 10), (120, 10), (60, 8), (24, 4))
"""Longest text and most reasons, from one try to the next."""


def fitting(decision: RetrainDecision) -> RetrainDecision:
    """Return the decision with texts that can be stored, as long as fits: one line each, printable characters only."""
    cut = decision
    for length, most in _SIZES:
        cut = _cut(decision, length, most)
        if len(as_line(cut)) <= LONGEST:
            break
    return cut


def as_line(decision: RetrainDecision) -> str:
    """Return the decision as JSON in one line."""
    return json.dumps(decision.to_json(), ensure_ascii=False, separators=(",", ":"))


def _cut(decision: RetrainDecision, length: int, most: int) -> RetrainDecision:
    reasons = tuple(one_line(reason, length) for reason in decision.reasons[:most])
    left = len(decision.reasons) - most
    return replace(
        decision,
        reasons=(*reasons, f"And {left} more reasons.") if left > 0 else reasons,
        signals=tuple(replace(one, reason=one_line(one.reason, min(length, 300))) for one in decision.signals),
        evidence={name: one_line(value, 100) for name, value in decision.evidence.items()},
        plan=one_line(decision.plan, length),
        owner=one_line(decision.owner, 100),
    )
