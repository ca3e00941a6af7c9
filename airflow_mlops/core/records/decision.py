"""The records between training and promotion, and what the model store can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.candidate import Label
from airflow_mlops.core.records.evidence import Evidence
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import ReasonCode


class Verdict(StrEnum):
    """What the gate says. `inconclusive` keeps the champion, and is not the same as worse."""

    ACCEPT = "accept"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """One rule of the gate: what was seen, what was allowed, and on how many rows."""

    rule: str
    """`absolute`, `as_of`, `baseline`, `calibration`, `champion`, `convergence`, `fairness`, `finite`, `first_model`,
    `holdout`, `leakage`, `robustness`, `serving` or `slices`."""
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
