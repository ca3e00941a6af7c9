"""What a rule of the gate is given: two models, the rows that neither has seen, and what both said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import Metric
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.decision import RuleResult
from airflow_mlops.core.records.evidence import ServingReport
from airflow_mlops.core.records.snapshot import Snapshot, Window
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd


class StoredModel(Protocol):
    """What a rule needs that looks at the stored model alone, and at no row that it is judged on."""

    @property
    def spec(self) -> ModelSpec:
        """By which it is judged."""

    @property
    def candidate(self) -> Candidate:
        """Its record."""

    @property
    def serving(self) -> ServingReport | Callable[[], ServingReport] | None:
        """What a fresh interpreter saw of it, or what waits for it; None when it was not tried."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RuleInput:
    """The rows on which candidate and champion stand beside each other; n rows."""

    spec: ModelSpec
    candidate: Candidate
    pipeline: Any
    """The candidate's, as it was loaded from the store."""
    champion: Champion | None
    snapshot: Snapshot
    metric: Metric
    """The primary metric."""
    window: Window
    """Of the judged rows."""
    rows: pd.DataFrame
    """Judged rows with every column of the snapshot, sorted by event time; labelled ones only."""
    labels: pd.Series[Any]
    block: Array | None
    """Number of each row's block for the bootstrap, shape (n,); None: row by row."""
    judged: LabelledPredictions
    """The candidate on the judged rows, with their weights."""
    other: LabelledPredictions | None
    """The champion on the same rows, in the same classes as `judged`; None when they are not compared."""
    train: pd.DataFrame
    """The candidate's training rows, labelled ones only."""
    train_labels: pd.Series[Any]
    serving: ServingReport | Callable[[], ServingReport] | None
    """What a fresh interpreter saw of the stored candidate, or what waits for it; None when it was not tried."""
    own: LabelledPredictions | None = None
    """The candidate, judged by its own classes alone; None where those are the classes of `judged`."""
    candidate_metrics: Mapping[str, float] = field(default_factory=dict)
    """Every metric of the candidate on the judged rows."""
    constant: LabelledPredictions | None = None
    """The trivial model on the same rows; None where nothing is compared with it."""
    constant_metrics: Mapping[str, float] = field(default_factory=dict)
    """Every metric of the trivial model."""
    champion_refused: RuleResult | None = None
    """A rejection, when there is a champion to compare with that cannot be scored."""
    entities: Array | None = None
    """Number of each row's entity in panel data, shape (n,); None where blocks alone count."""

    @property
    def sign(self) -> float:
        """+1 where more of the primary metric is better, else -1."""
        return 1.0 if self.metric.greater_is_better else -1.0


@dataclass(frozen=True, kw_only=True)
class RuleOutcome:
    """What a rule says, and the numbers behind it."""

    rules: tuple[RuleResult, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """By field of :class:`~airflow_mlops.core.records.evidence.Evidence`."""
