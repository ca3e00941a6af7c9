"""What the rules of retraining share: the case, its signals, and how far cooldown and budget are used up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import takewhile

from airflow_mlops.core.model import Verdict
from airflow_mlops.core.retrain_record import Action, Challenge, RetrainDecision, Signal
from airflow_mlops.core.signal_counts import Case
from airflow_mlops.core.signals import signals_of

_LONGEST = timedelta(days=36_525)
"""A cooldown ends after a century at the latest, whatever backoff makes of it."""
REFUSED = (Verdict.REJECT, Verdict.INCONCLUSIVE)
"""Verdicts that leave the champion where it is."""
_STAGES = 5
"""Tasks of a training run that the specification's time limit holds for, one after the other: snapshot, validate,
train, gate, promote."""


@dataclass(frozen=True, kw_only=True)
class Against:
    """What a rule holds against a retraining."""

    rule: str
    reasons: tuple[str, ...]
    action: Action = "wait"
    situation: str = ""
    """Of the playbook."""


@dataclass(frozen=True, kw_only=True)
class Matter(Case):
    """A case as of an instant, and what the rules share of it."""

    as_of: datetime

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        """All signals, highest first."""
        return signals_of(self.spec, self.champion, self.seen, self.history)

    @cached_property
    def on(self) -> tuple[Signal, ...]:
        """Signals that are on, highest first."""
        return tuple(signal for signal in self.signals if signal.state == "on")

    @property
    def manual(self) -> bool:
        """Whether a person asks."""
        return any(signal.kind == "manual" for signal in self.on)

    @property
    def urgent(self) -> bool:
        """Whether realised decay is surely beyond the urgent bound."""
        return any(signal.kind == "decay" and signal.urgent for signal in self.on)

    @cached_property
    def refused(self) -> tuple[Challenge, ...]:
        """Challengers that a decision asked for and the gate refused, since the last that it did not, newest first.

        What a schedule trains in good times is refused as a matter of course, and says nothing about bad ones.
        """
        asked = {decision.as_of for decision in self.retrainings}
        row = takewhile(lambda one: not one.promoted and one.verdict != Verdict.ACCEPT, self.history.challenges)
        return tuple(one for one in row if one.verdict in REFUSED and one.as_of in asked)

    @property
    def retrainings(self) -> tuple[RetrainDecision, ...]:
        """Logged decisions to retrain, newest first."""
        return tuple(decision for decision in self.history.decisions if decision.action == "retrain")

    @property
    def spent(self) -> int:
        """Retrainings of the budget's period: before as-of, and after it when an earlier instant is looked at late."""
        per = self.spec.retraining.budget.per
        return sum(abs(decision.as_of - self.as_of) < per for decision in self.retrainings)

    @property
    def cooldown(self) -> timedelta:
        """The cooldown, multiplied by backoff for each challenger that was refused."""
        length = self.spec.retraining.cooldown
        for _ in self.refused:
            if length >= _LONGEST:
                break
            length = timedelta(seconds=_seconds(length, self.spec.retraining.backoff))
        return min(length, _LONGEST)

    @property
    def longest_training(self) -> timedelta:
        """How long a training run may take, by the time limits of its tasks and of an approval, within the cooldown."""
        execution, approval = self.spec.execution, self.spec.promotion.approval
        asked = approval.timeout if self.spec.risk_tier in approval.tiers else timedelta(0)
        return min(_STAGES * (1 + execution.retries) * execution.timeout + asked, self.cooldown)

    @cached_property
    def latest(self) -> tuple[str, datetime]:
        """What the cooldown is counted from: the newest of champion, retraining and judged challenger."""
        judged = [one.as_of for one in self.history.challenges if one.verdict is not None]
        known = [("The champion is of", self.champion.candidate.as_of)]
        known += [("The last challenger is of", max(judged))] if judged else []
        asked = [decision.as_of for decision in self.retrainings]
        known += [("The last retraining was decided as of", max(asked))] if asked else []
        return max(known, key=lambda one: one[1])


def _seconds(length: timedelta, backoff: float) -> float:
    return min(length.total_seconds() * backoff, _LONGEST.total_seconds())
