"""What the gate saw of a candidate, and what it decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.candidate import Label
from airflow_mlops.core.records.evidence import Evidence
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import ReasonCode

_SHOWN = 8
"""Changed fields that the sentence names."""


class Verdict(StrEnum):
    """What the gate says. `inconclusive` keeps the champion, and is not the same as worse."""

    ACCEPT = "accept"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """One rule of the gate: what was seen, what was allowed, and on how many rows."""

    rule: str
    """Name of the rule in the gate's registry, `core.gate.rules.RULES`."""
    metric: str
    verdict: Verdict
    value: float | None
    """Observed value; for comparisons the gain over the other model (positive is better)."""
    lower: float | None = None
    upper: float | None = None
    """Confidence interval of `value`, when the rule is decided on one."""
    bound: str
    """The bound in words: `>= 0.62`, `lower bound > 0`."""
    rows: int
    code: ReasonCode | None
    reason: str
    """One sentence for a person."""
    enforced: bool = True
    """Whether it counts; with `mode: dry_run` it is only recorded."""
    detectable: float | None = None
    """Smallest true gain that would be shown with 80 % power on these rows."""
    rows_needed: int | None = None
    """Rows that would show the observed gain with 80 % power, when these do not; None when none would."""
    confidence: float | None = added(None)
    """One-sided confidence of `lower` and of `upper`; None where there is no interval, and of before it was kept."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What may help a first model that was refused, and what in the evidence says so."""

    name: Literal["calibrate", "metric", "simplify", "holdout", "window"]
    title: str
    """In words: `calibrated probabilities`."""
    because: str
    """What was seen, in words that follow a colon; empty where nothing was."""
    settings: Mapping[str, Any]
    """What to write into the specification, by dotted path."""


@dataclass(frozen=True, kw_only=True)
class Evaluation(Record):
    """Candidate, champion and baseline on identical holdout rows.

    Format 2 added `evidence`, and to each rule `enforced`, `detectable` and `rows_needed`.
    """

    FORMAT: ClassVar[int] = 2

    model: str
    run_id: str
    rows: int
    window: Window
    """The rows that were judged on: the holdout, less what the champion was trained on."""
    primary: str
    champion_version: int | None
    candidate_metrics: Mapping[str, float]
    champion_metrics: Mapping[str, float] | None
    baseline_metrics: Mapping[str, float]
    rules: tuple[RuleResult, ...]
    evidence: Evidence = field(default_factory=Evidence)
    positive: Label | None = added(None)
    """Of two classes, the one that the candidate's metrics are about; None: no two classes, or not recorded."""
    remedies: tuple[Remedy, ...] = added(())
    """What may help, where no model serves yet and this one was refused: the best founded first."""


@dataclass(frozen=True, kw_only=True)
class JudgedVersion:
    """What was judged in place of a refitted model, which repeats its recipe."""

    version: int
    run_id: str
    decision: str
    """Digest of the decision that accepted it."""


@dataclass(frozen=True, kw_only=True)
class GateDecision(Record):
    """Accept, reject or inconclusive, for exactly one model against exactly one champion.

    Format 2 added `mode` and `would`; older decisions were all enforced.
    """

    FORMAT: ClassVar[int] = 2

    model: str
    run_id: str
    loop_run: str
    model_uri: str
    as_of: datetime
    verdict: Verdict
    champion_version: int | None
    """The champion that the candidate was judged against; None when there was none."""
    evaluation: Evaluation
    reasons: tuple[str, ...]
    """Why, in sentences: the failed rules first."""
    decided_at: datetime
    mode: Literal["enforce", "dry_run", "off"] = "enforce"
    """`gate.mode`: with dry_run the rules are recorded and do not count, but for those that can never be waived."""
    would: Verdict | None = None
    """What the verdict would have been, had every rule that was evaluated counted."""
    refit_of: JudgedVersion | None = added(None)
    """Of a refitted model: the version whose evaluation this is, but for the rules that look at the stored model
    alone, which this one has passed itself."""
    overrides: tuple[str, ...] = added(())
    """What whoever triggered the run changed of the specification: `training.seed = 7`, the value as JSON."""
    overridden_by: str = added("")
    """Who that was, where Airflow knows."""
    model_digest: str = added("")
    """SHA-256 of the files of the stored model that was judged; empty: decided before it was recorded."""
    judged_by: Mapping[str, Any] | None = added(None)
    """Gate, risk tier and approval of the specification, by dotted path; None: not recorded."""
    rules_changed: tuple[str, ...] = added(())
    """What the specification says otherwise than the one that the version before was judged by, of gate, risk tier and
    approval: `gate.mode: "enforce" -> "off"`."""
    earlier_changes: tuple[str, ...] = added(())
    """Such changes that stand in the audit trail since a person last approved a version, oldest first."""

    @property
    def overridden(self) -> str:
        """What was changed for this run, in one sentence; empty where nothing was."""
        if not self.overrides:
            return ""
        by = f" by {self.overridden_by}" if self.overridden_by else ""
        return f"Changed for this run{by}: {told_changes(self.overrides)}."

    @property
    def other_rules(self) -> str:
        """What of gate, risk tier and approval has changed since a person last approved; empty where nothing has."""
        changed = [*self.earlier_changes, *self.rules_changed]
        return f"Rules changed since the last approval: {told_changes(changed)}." if changed else ""


def told_changes(changes: Sequence[str]) -> str:
    """Return changes in one line; of many the first.

    >>> told_changes(["a: 1 -> 2", "b: 1 -> 2"])
    'a: 1 -> 2; b: 1 -> 2'
    """
    more = len(changes) - _SHOWN
    return "; ".join(changes[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
