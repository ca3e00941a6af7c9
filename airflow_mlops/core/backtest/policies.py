"""The policies that are replayed: each says at every step what to do, by what is known then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.tasks import judge, judge_by_point, refer, train, watch
from airflow_mlops.core.records.backtest import Judged, Trained
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.retraining import Challenge, History, MonitoringInput, RetrainDecision
from airflow_mlops.spec.model import ModelSpec

OWN = "specification"
NAMES = ("never", "always", "schedule", "point_estimate", OWN)
GATED = frozenset({"schedule", OWN})
"""Policies whose promotions the gate has let through."""
PATIENCE = 50
"""Windows that are remembered at least: hints say since when something is so."""


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


def make_policy(name: str, inputs: Inputs, spec: ModelSpec) -> Policy:
    """Make a policy of this name (one of `NAMES`), without a memory.

    Parameters
    ----------
    spec
        Whose gate, monitoring and retraining rules it goes by.
    """
    made: dict[str, Policy] = {
        "never": never_train,
        "always": always_promote,
        "schedule": lambda context: promote_by_gate(inputs, spec, context),
        "point_estimate": lambda context: promote_by_point(inputs, context),
        OWN: ControlledPolicy(inputs, spec),
    }
    return made[name]


def never_train(context: PolicyContext) -> PolicyAction:  # noqa: ARG001 - a policy like the others
    """Let the first model serve for ever."""
    return PolicyAction(action="wait", reason="this policy never trains")


def always_promote(context: PolicyContext) -> PolicyAction:
    """Train at every step, and promote unseen."""
    return _untrained(context) or _retrained(context, promoted=True, reason="promoted unseen", seconds=0.0)


def promote_by_point(inputs: Inputs, context: PolicyContext) -> PolicyAction:
    """Train at every step, and promote what has the better number on the holdout."""
    untrained = _untrained(context)
    if untrained is not None:
        return untrained
    found = judge_by_point(inputs, context.version, context.champion)
    reason = f"{found.candidate:.5g} against the serving model's {found.champion:.5g} on the holdout"
    return _retrained(context, promoted=found.better, reason=reason, seconds=found.seconds)


def promote_by_gate(inputs: Inputs, spec: ModelSpec, context: PolicyContext) -> PolicyAction:
    """Train at every step, and promote what the gate accepts."""
    untrained = _untrained(context)
    if untrained is not None:
        return untrained
    found = judge(inputs, spec, context.version, context.champion)
    return _retrained(context, promoted=_accepts(found), reason=_why(found), seconds=found.seconds)


@dataclass
class ControlledPolicy:
    """The specification's own policy: watch at every step, train when the controller says so, promote by the gate."""

    inputs: Inputs
    spec: ModelSpec
    promoted_over: dict[int, int] = field(default_factory=dict)
    """By version: the champion that the gate accepted it against."""
    drift: list[DriftReport] = field(default_factory=list)
    """Newest first; so are the next three."""
    performance: list[PerformanceReport] = field(default_factory=list)
    decisions: list[RetrainDecision] = field(default_factory=list)
    challenges: list[Challenge] = field(default_factory=list)
    referred: set[int] = field(default_factory=set)
    """Versions whose reference profile was paid for."""

    def __call__(self, context: PolicyContext) -> PolicyAction:
        """Watch, decide, and train where that is the decision."""
        seen, seconds = self._watch(context)
        decision = self._decide(context, seen)
        reason = f"{decision.rule}: {next(iter(decision.reasons), 'no reason was given')}"
        if decision.action != "retrain":
            return PolicyAction(action=decision.action, reason=reason, seconds=seconds)
        context = self._since_change(context, decision.changed)
        untrained = _untrained(context)
        if untrained is not None:
            return PolicyAction(action="invalid", reason=f"{reason}; {untrained.reason}", seconds=seconds)
        found = judge(self.inputs, self.spec, context.version, context.champion)
        accepted = _accepts(found)
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
        why = f"{reason} Gate: {_why(found)}"
        return _retrained(context, promoted=accepted, reason=why, seconds=seconds + found.seconds)

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

    def _decide(self, context: PolicyContext, seen: MonitoringInput) -> RetrainDecision:
        """What the controller says, by what was seen before this step."""
        from airflow_mlops.core.retraining import decide_retraining

        champion = self.inputs.champion(context.champion)
        before = slice(1, 1 + self._patience)
        history = History(
            decisions=tuple(self.decisions),
            challenges=tuple(self.challenges),
            drift=tuple(self.drift[before]),
            performance=tuple(self.performance[before]),
        )
        decision = decide_retraining(self.spec, champion, seen, history, context.as_of)
        if decision.action != "wait":
            self.decisions.insert(0, replace(decision, number=len(self.decisions) + 1))
        return decision


def _untrained(context: PolicyContext) -> PolicyAction | None:
    trained = context.trained
    if trained.outcome == "trained":
        return None
    return PolicyAction(action="invalid", reason="; ".join(trained.problems[:3]), seconds=trained.seconds)


def _retrained(context: PolicyContext, *, promoted: bool, reason: str, seconds: float) -> PolicyAction:
    return PolicyAction(
        action="retrain",
        reason=reason,
        retrained=True,
        promoted=promoted,
        seconds=seconds + context.trained.seconds,
        version=context.version,
    )


def _accepts(found: Judged) -> bool:
    return found.decision.verdict is Verdict.ACCEPT


def _why(found: Judged) -> str:
    """The gate's verdict and its first reason: of an acceptance, the comparison that decided."""
    return f"{found.decision.verdict.value}: {next(iter(found.decision.reasons), 'no rule spoke')}"
