"""The specification's own policy, replayed: monitoring, the retraining controller and the gate, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.policy import (
    PolicyAction,
    PolicyContext,
    gate_words,
    is_accepted,
    retrained_action,
    untrained_action,
)
from airflow_mlops.core.backtest.tasks import judge, refer, train, watch
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.retraining import Challenge, History, MonitoringInput, RetrainDecision
from airflow_mlops.core.records.shadow import ShadowReport
from airflow_mlops.spec.model import ModelSpec

PATIENCE = 50
"""Windows that are remembered at least: hints say since when something is so."""


@dataclass
class ControlledPolicy:
    """The specification's own policy: watch at every step, train when the controller says so, promote by the gate."""

    inputs: Inputs
    spec: ModelSpec
    promoted_over: dict[int, int] = field(default_factory=dict)
    """By version: the champion that the gate accepted it against."""
    drift: list[DriftReport] = field(default_factory=list)
    """Newest first; so are the next four."""
    performance: list[PerformanceReport] = field(default_factory=list)
    decisions: list[RetrainDecision] = field(default_factory=list)
    challenges: list[Challenge] = field(default_factory=list)
    shadows: list[ShadowReport] = field(default_factory=list)
    referred: set[int] = field(default_factory=set)
    """Versions whose reference profile was paid for."""

    def __call__(self, context: PolicyContext) -> PolicyAction:
        """Watch, decide, and train where that is the decision."""
        seen, seconds = self._watch(context)
        history = self._history()
        seen, took = self._compare(context, seen, history)
        seconds += took
        decision = self._decide(context, seen, history)
        reason = f"{decision.rule}: {next(iter(decision.reasons), 'no reason was given')}"
        if decision.action != "retrain":
            return PolicyAction(action=decision.action, reason=reason, seconds=seconds)
        context = self._since_change(context, decision.changed)
        untrained = untrained_action(context)
        if untrained is not None:
            return PolicyAction(action="invalid", reason=f"{reason}; {untrained.reason}", seconds=seconds)
        found = judge(self.inputs, self.spec, context.version, context.champion)
        accepted = is_accepted(found)
        challenge = Challenge(
            as_of=context.as_of,
            run_id=found.decision.run_id,
            verdict=found.decision.verdict,
            promoted=accepted,
            answers=(decision.key,),
        )
        self.challenges.insert(0, challenge)
        if accepted:
            self.promoted_over[context.version] = context.champion
        why = f"{reason} Gate: {gate_words(found)}"
        return retrained_action(context, promoted=accepted, reason=why, seconds=seconds + found.seconds)

    def _since_change(self, context: PolicyContext, changed: datetime | None) -> PolicyContext:
        """Where the decision knows of a change, the model that is trained knows of it too."""
        if changed is None:
            return context
        version = self.inputs.plan.version_of(context.step, changed)
        return replace(context, version=version, trained=train(self.inputs, version))

    @property
    def _patience(self) -> int:
        """Windows that are remembered: at least as many as a rule counts among."""
        return max(PATIENCE, self.spec.monitoring.drift.of, self.spec.monitoring.performance.of)

    def _watch(self, context: PolicyContext) -> tuple[MonitoringInput, float]:
        """What monitoring sees of the champion now, and how many seconds that took."""
        over = self.promoted_over.get(self.inputs.plan.judged_of(context.champion))
        found = watch(
            self.inputs,
            self.spec,
            context.step,
            context.served,
            judged_against=over,
            history=self.drift[: self._patience],
            performances=self.performance[: self._patience],
        )
        seconds = found.seconds
        if context.champion not in self.referred:
            seconds += refer(self.inputs, context.champion).seconds
            self.referred.add(context.champion)
        self.drift.insert(0, found.drift)
        self.performance.insert(0, found.performance)
        rules = self.spec.retraining
        counted = found.new_rows if rules.min_new_rows or rules.on_volume is not None else None
        return MonitoringInput(drift=found.drift, performance=found.performance, new_rows=counted), seconds

    def _compare(
        self, context: PolicyContext, seen: MonitoringInput, history: History
    ) -> tuple[MonitoringInput, float]:
        """Add what the gate says of a fresh model, where one is due; and how many seconds that took."""
        from airflow_mlops.core.retraining import report_shadow, shadow_due

        champion = self.inputs.champion(context.champion)
        if not shadow_due(self.spec, champion, seen, history, context.as_of):
            return seen, 0.0
        fresh = self._since_change(context, champion.candidate.changed)
        trained, judged = fresh.trained, None
        if trained.outcome == "trained":
            judged = judge(self.inputs, self.spec, fresh.version, context.champion)
        decision = judged.decision if judged else None
        report = report_shadow(self.spec, champion, context.as_of, decision, trained.problems)
        self.shadows.insert(0, report)
        return replace(seen, shadow=report), trained.seconds + (judged.seconds if judged else 0.0)

    def _history(self) -> History:
        """What was seen and decided before this step."""
        before = slice(1, 1 + self._patience)
        return History(
            decisions=tuple(self.decisions),
            challenges=tuple(self.challenges),
            drift=tuple(self.drift[before]),
            performance=tuple(self.performance[before]),
            shadows=tuple(self.shadows),
        )

    def _decide(self, context: PolicyContext, seen: MonitoringInput, history: History) -> RetrainDecision:
        """What the controller says, by what was seen before this step."""
        from airflow_mlops.core.retraining import decide_retraining

        champion = self.inputs.champion(context.champion)
        decision = decide_retraining(self.spec, champion, seen, history, context.as_of)
        if decision.action != "wait":
            self.decisions.insert(0, replace(decision, number=len(self.decisions) + 1))
        return decision
