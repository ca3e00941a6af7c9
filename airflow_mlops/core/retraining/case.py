"""What the rules of retraining share: the case, its signals, and how far cooldown and budget are used up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import takewhile

from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.retraining import Action, Challenge, RetrainDecision, Signal
from airflow_mlops.core.retraining.persistence import SignalInput
from airflow_mlops.core.retraining.signals import signals_of
from airflow_mlops.core.rows.windows import split

_SEEN = ("decay", "estimated_decay", "prediction_drift", "input_drift")
"""Signals that say that the champion got worse, or may have."""
ROWS_OF_CHANGE = 3
"""Times `gate.min_rows`: a third of the rows since a change is judged on (`core.rows.windows.HELD_OUT`)."""
_STAGES = 5
"""Tasks of a training run that the specification's time limit holds for, one after the other: snapshot, validate,
train, gate, promote."""


@dataclass(frozen=True, kw_only=True)
class Objection:
    """What a rule holds against a retraining."""

    rule: str
    reasons: tuple[str, ...]
    action: Action = "wait"
    situation: str = ""
    """Of the playbook."""


@dataclass(frozen=True, kw_only=True)
class RetrainCase(SignalInput):
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

    @property
    def of_change(self) -> bool:
        """Whether the highest signal is that of a change: realised decay, or what follows its cure."""
        return bool(self.on) and self.on[0].kind in ("decay", "follow_up")

    @property
    def rows_of_change(self) -> int | None:
        """Rows since the change whose outcomes are known; None: no change is known, or nothing was measured."""
        changed, report = self.changed, self.performance
        if changed is None or report is None:
            return None
        return sum(block.rows for block in report.blocks if block.start >= changed)

    @property
    def needed_of_change(self) -> int:
        """Rows since a change that are needed to learn it: a third of them is judged on."""
        return ROWS_OF_CHANGE * self.spec.gate.min_rows

    @property
    def learnable(self) -> bool:
        """Whether so many rows are known since the change that it can be learned from them.

        What the champion was trained for has been learned once: its blocks in service are only the newest of them.
        """
        if self.changed is not None and self.changed == self.champion.candidate.changed:
            return True
        return self.rows_of_change is not None and self.rows_of_change >= self.needed_of_change

    @cached_property
    def refused(self) -> tuple[Challenge, ...]:
        """Challengers that were to cure what monitoring saw, refused since the last that was not; newest first.

        What a schedule, a person or the mere volume of rows trains while the champion is all right is refused as a
        matter of course, and says nothing about a cure. Neither does one whose training rows end before the change.
        """
        asked = {decision.key: decision.changed for decision in self.retrainings if decision.signal in _SEEN}
        row = takewhile(
            lambda one: not one.promoted and (one.declined or one.verdict != Verdict.ACCEPT), self.history.challenges
        )
        return tuple(one for one in row if one.refused and self._could_cure(one, asked))

    def _could_cure(self, one: Challenge, asked: Mapping[str, datetime | None]) -> bool:
        """Whether a challenger answers one of these decisions, and learned from rows since the change, if one is known.

        Parameters
        ----------
        asked
            By key: the change that the decision told its training of.
        """
        told = [asked[key] for key in one.answers if key in asked]
        changed = self.changed
        return any(changed is None or split(self.spec, one.as_of, known)[0].end > changed for known in told)

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
        """The cooldown, multiplied by backoff for each refused challenger; not beyond the budget's period."""
        rules = self.spec.retraining
        longest = max(rules.cooldown, rules.budget.per)
        length = rules.cooldown
        for _ in self.refused:
            if length >= longest:
                break
            length = timedelta(seconds=min(length.total_seconds() * rules.backoff, longest.total_seconds()))
        return length

    @property
    def pause(self) -> timedelta:
        """Between two attempts at an urgent decay: so that the budget lasts for its period, within the cooldown."""
        budget = self.spec.retraining.budget
        return min(budget.per / budget.runs, self.cooldown)

    @property
    def longest_training(self) -> timedelta:
        """How long a training run may take, by the time limits of its tasks and of an approval, within the cooldown."""
        execution, approval = self.spec.execution, self.spec.promotion.approval
        asked = approval.timeout if self.spec.risk_tier in approval.tiers else timedelta(0)
        return min(_STAGES * (1 + execution.retries) * execution.timeout + asked, self.cooldown)

    @cached_property
    def latest(self) -> tuple[str, datetime]:
        """What the cooldown is counted from: the champion, or the last retraining that was decided after it.

        Not what a schedule trained: more often than the cooldown, it would keep decay from being acted on for ever.
        """
        asked = [decision.as_of for decision in self.retrainings]
        known = [("The champion is of", self.champion.candidate.as_of)]
        known += [("The last retraining was decided as of", max(asked))] if asked else []
        return max(known, key=lambda one: one[1])


def already_notified(case: RetrainCase, first: Objection) -> RetrainDecision | None:
    """Return the logged decision that told the owner of this episode already.

    A block's episode ends with a window that was seen without the fault. A fault of the pipeline that outlasts its
    window is told again: none of the rows that were told of is in it any more, and still nobody has mended their cause.
    """
    if first.action == "escalate":
        return notified_of(case, first.rule)
    before = [one for one in case.history.decisions if one.action == "block" and one.rule == first.rule]
    newest = before[0] if before else None
    if newest is None or _recovered(case, first.rule, newest.as_of) or _outlasted(case, first.rule, newest.as_of):
        return None
    return newest


def _outlasted(case: RetrainCase, rule: str, since: datetime) -> bool:
    """Whether a window with a fault of the pipeline has no row any more of those that were told of."""
    report = case.seen.drift
    return rule == "pipeline_fault" and report is not None and since <= report.window.start


def notified_of(case: RetrainCase, rule: str) -> RetrainDecision | None:
    """Return the escalation that told the owner of this champion's episode already.

    That of `escalate_after` ends with the next refused challenger, that of `budget` with the budget's period.
    """
    for one in _of_this_champion(case):
        if one.action != "escalate" or one.rule != rule:
            continue
        if rule == "budget":
            return one if abs(case.as_of - one.as_of) < case.spec.retraining.budget.per else None
        return one if not case.refused or one.as_of >= case.refused[0].as_of else None
    return None


def _of_this_champion(case: RetrainCase) -> Iterator[RetrainDecision]:
    version = str(case.champion.version)
    return takewhile(lambda one: one.evidence.get("champion_version") == version, case.history.decisions)


def _recovered(case: RetrainCase, rule: str, since: datetime) -> bool:
    """Whether a window was seen without the fault since then, by what sees the fault now."""
    seen, history = case.seen, case.history
    looks: list[datetime] = []
    if rule == "pipeline_fault":
        looks += [r.as_of for r in history.drift if r.verdict in ("ok", "drift") and not r.pipeline_fault]
    else:
        if seen.drift is not None and seen.drift.verdict == "invalid":
            looks += [r.as_of for r in history.drift if r.verdict in ("ok", "drift")]
        if seen.performance is not None and seen.performance.verdict == "invalid":
            looks += [r.as_of for r in history.performance if r.verdict in ("ok", "decay")]
    return any(since < look < case.as_of for look in looks)
