"""What a backtest finds out: answers to its questions, kept one by one, and the report that is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True)
class Answer(Record):
    """What became of one piece of work. It is written when it is finished, and never computed again."""

    seconds: float
    """Wall time of the work."""


@dataclass(frozen=True, kw_only=True)
class Trained(Answer):
    """A candidate as of one step, or why there is none."""

    outcome: Literal["trained", "invalid", "failed"]
    """`invalid`: the data is not there or was refused; `failed`: the training was."""
    problems: tuple[str, ...] = ()
    candidate: Candidate | None = None
    snapshot: Snapshot | None = None


@dataclass(frozen=True, kw_only=True)
class Judged(Answer):
    """What the gate says of a candidate against a champion."""

    decision: GateDecision


@dataclass(frozen=True, kw_only=True)
class Pointed(Answer):
    """The same two by the point estimate of the primary metric alone, on the same rows."""

    candidate: float
    champion: float
    better: bool


@dataclass(frozen=True, kw_only=True)
class Referred(Answer):
    """A model's reference profile."""

    profile: Profile


@dataclass(frozen=True, kw_only=True)
class Scored(Answer):
    """A window was scored, and stands in the scratch score log."""

    rows: int


@dataclass(frozen=True, kw_only=True)
class Watched(Answer):
    """What monitoring saw at a step."""

    drift: DriftReport
    performance: PerformanceReport
    new_rows: int


@dataclass(frozen=True, kw_only=True)
class Future(Answer):
    """What a model achieves in a step's future, by the labels as they are known in the end."""

    rows: int
    """Labelled rows."""
    loss: float | None
    """The primary metric; None without rows or where it is not defined."""
    gain: float | None = None
    """Gain of the newest candidate over it on the same rows, positive where a fresh model is better; None where it is
    the newest itself."""
    lower: float | None = None
    upper: float | None = None
    """Bounds of the gain at 95 % each; None where there are too few blocks."""

    @property
    def behind(self) -> bool | None:
        """Whether the newest candidate would surely have done better: the model has decayed. None: not known."""
        if self.loss is None:
            return None
        if self.gain is None:
            return False
        return None if self.lower is None else self.lower > 0


@dataclass(frozen=True, kw_only=True)
class LossBlock:
    """A model's primary metric on the rows of at most a day."""

    start: datetime
    end: datetime
    rows: int
    """Labelled rows."""
    loss: float | None
    """None without rows, or where the metric is not defined."""


@dataclass(frozen=True, kw_only=True)
class StepLoss:
    """A model's primary metric on the future of one step, whole and in blocks."""

    step: int
    rows: int
    loss: float | None
    blocks: tuple[LossBlock, ...]


@dataclass(frozen=True, kw_only=True)
class ModelLosses(Answer):
    """What a version achieves in the futures of its own step and of every later one, and on its holdout rows."""

    steps: tuple[StepLoss, ...]
    holdout_loss: float | None
    holdout: tuple[LossBlock, ...]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One policy at one step: what it did, and what came of it until the next."""

    as_of: datetime
    action: str
    """`retrain`, `wait`, `escalate` or `block`; `invalid` where there was nothing to train on."""
    retrained: bool
    promoted: bool
    serving: datetime
    """As-of time of the model that serves from then on."""
    reason: str
    """One sentence."""
    rows: int = 0
    loss: float | None = None
    behind: bool | None = None
    """Whether the newest model would surely have done better."""
    false_alarm: bool = False
    """It retrained, though the model that served had not decayed."""
    seconds: float = 0.0
    decayed: bool | None = added(None)
    """Where it retrained: whether the model that served until then had decayed. None: not known."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One policy over all steps."""

    policy: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """What differs from the specification, by dotted path; for points of a grid."""
    turns: tuple[Turn, ...]
    retrainings: int
    """Trainings after the first model's."""
    promotions: int
    """Changes of the serving model after the first."""
    mean_loss: float | None
    """Of the primary metric over all steps, weighted by rows."""
    worst_loss: float | None
    worst_step: datetime | None
    recovery_days: float | None
    """Mean days from the beginning of a decay to its end, over all decays; None without any, or when not known."""
    longest_days: float | None
    """The longest of them."""
    decays: int
    false_alarms: int
    escalations: int
    compute_seconds: float
    """Of its trainings, judgements and monitoring, as if it had been alone."""
    pareto: bool = False
    """No other point of the grid has both a better mean and fewer promotions, or is equal in one and better in the
    other."""
    objective: float | None = added(None)
    """Mean loss, made worse by what the retrainings cost (`retraining.cost`); None where the loss is not known."""
    to_oracle: float | None = added(None)
    """How many times the oracle's objective that is, where less is better; the oracle's over this one where more is.
    1: as good; above: worse. None where one of the two is not above 0, or there is no oracle."""

    @property
    def measured_steps(self) -> int:
        """Steps whose future has a loss."""
        return sum(turn.loss is not None for turn in self.turns)

    @property
    def known_steps(self) -> int:
        """Those of them of which it is known whether the serving model was behind."""
        return sum(turn.loss is not None and turn.behind is not None for turn in self.turns)

    @property
    def known_retrainings(self) -> int:
        """Retrainings of which it is known whether the model that served had decayed."""
        return sum(turn.retrained and (turn.decayed is not None or turn.false_alarm) for turn in self.turns)


@dataclass(frozen=True, kw_only=True)
class BacktestReport(Record):
    """A replay of history under several policies."""

    FORMAT: ClassVar[int] = 1

    model: str
    spec_fingerprint: str
    data_fingerprint: str
    start: datetime
    end: datetime
    every_seconds: float
    metric: str
    greater_is_better: bool
    lines: tuple[Line, ...]
    grid: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    """What was left out or could not be computed, one sentence each."""
    retraining_cost: float | None = added(None)
    """What one retraining adds to the mean loss over the span, in units of the metric."""
    oracle: Line | None = added(None)
    """The schedule of retrainings that would have had the best objective of all, found by looking at the future."""
