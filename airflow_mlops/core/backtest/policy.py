"""What every policy is asked at a step, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from airflow_mlops.core.records.backtest import Judged, Trained
from airflow_mlops.core.records.decision import Verdict


@dataclass(frozen=True, kw_only=True)
class PolicyContext:
    """Where a replay stands when its policy is asked."""

    step: int
    as_of: datetime
    trained: Trained
    """What a training as of this step gives."""
    version: int
    """Of the model that it gives."""
    served: tuple[tuple[int, int], ...]
    """Step and version of every window that was served so far."""

    @property
    def champion(self) -> int:
        """Version that serves."""
        return self.served[-1][1]


@dataclass(frozen=True, kw_only=True)
class PolicyAction:
    """What a policy does at a step."""

    action: str
    reason: str
    retrained: bool = False
    promoted: bool = False
    seconds: float = 0.0
    version: int = 0
    """Of the model that was trained; 0: none was."""


Policy = Callable[[PolicyContext], PolicyAction]


def untrained_action(context: PolicyContext) -> PolicyAction | None:
    """What is done where a training as of this step gives no model; None where it does."""
    trained = context.trained
    if trained.outcome == "trained":
        return None
    return PolicyAction(action="invalid", reason="; ".join(trained.problems[:3]), seconds=trained.seconds)


def retrained_action(context: PolicyContext, *, promoted: bool, reason: str, seconds: float) -> PolicyAction:
    """A training as of this step, and whether its model serves from now on; `seconds` are those beside the training."""
    return PolicyAction(
        action="retrain",
        reason=reason,
        retrained=True,
        promoted=promoted,
        seconds=seconds + context.trained.seconds,
        version=context.version,
    )


def is_accepted(found: Judged) -> bool:
    """Whether the gate lets a model through."""
    return found.decision.verdict is Verdict.ACCEPT


def gate_words(found: Judged) -> str:
    """The gate's verdict and its first reason: of an acceptance, the comparison that decided."""
    return f"{found.decision.verdict.value}: {next(iter(found.decision.reasons), 'no rule spoke')}"
