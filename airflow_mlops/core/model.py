"""The records between training and promotion, and what the model store can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from airflow_mlops.core.data import Window
from airflow_mlops.core.record import Record
from airflow_mlops.spec.problems import ReasonCode

Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A feature column and how the pipeline treats it."""

    name: str
    role: Literal["numeric", "categorical"]


@dataclass(frozen=True, kw_only=True)
class Candidate(Record):
    """A trained model that is not judged yet, and everything that made it."""

    model: str
    loop_run: str
    """`<dag_id>/<run_id>`: the idempotency key of everything that this loop run writes."""
    run_id: str
    """MLflow run."""
    model_uri: str
    """`models:/m-...`: exactly this model is judged and promoted."""
    task: Task
    as_of: datetime
    train: Window
    holdout: Window
    """Event times of the two parts; `train.end == holdout.start`."""
    train_rows: int
    holdout_rows: int
    snapshot_uri: str
    snapshot_fingerprint: str
    spec_fingerprint: str
    features: tuple[Feature, ...]
    classes: tuple[str | int | float | bool, ...] = ()
    """Class labels in the order of `predict_proba`'s columns; empty for regression."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The estimator's parameters after any search."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """On the holdout rows."""
    seed: int


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The version that serves, as the registry tells it."""

    model: str
    version: int
    run_id: str
    model_uri: str
    candidate: Candidate
    """What was recorded when it was trained."""


class Verdict(StrEnum):
    """What the gate says. `inconclusive` keeps the champion, and is not the same as worse."""

    ACCEPT = "accept"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """One rule of the gate: what was seen, what was allowed, and on how many rows."""

    rule: str
    """`absolute`, `as_of`, `baseline`, `champion`, `finite`, `first_model`, `holdout` or `leakage`."""
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


@dataclass(frozen=True, kw_only=True)
class Evaluation(Record):
    """Candidate, champion and baseline on identical holdout rows."""

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


@dataclass(frozen=True, kw_only=True)
class GateDecision(Record):
    """Accept, reject or inconclusive, for exactly one model against exactly one champion."""

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


class Registry(Protocol):
    """What promotion needs of the system of record. Each method is one effect, or none."""

    def champion(self, model: str) -> Champion | None:
        """The version under the alias `champion`.

        Raises
        ------
        RecordError
            If the alias points at a version whose record is missing or unreadable.
        """

    def version_of(self, model: str, run_id: str) -> int | None:
        """The version that this run registered, if it did."""

    def register(self, model: str, candidate: Candidate, tags: Mapping[str, str]) -> int:
        """Register the candidate's model; returns the version that already stands for this run, if one does."""

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point an alias at a version."""

    def alias(self, model: str, alias: str) -> int | None:
        """The version under an alias, if any."""

    def version_tags(self, model: str, version: int) -> Mapping[str, str] | None:
        """Tags of a version; None if it does not exist (any more)."""

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
