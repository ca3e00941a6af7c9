"""The policies that are replayed: each says at every step what to do, by what is known then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from airflow_mlops.core.backtest.costs import RetrainingCost, cost_of
from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.loss_tasks import losses_before, table_of
from airflow_mlops.core.backtest.losses import LossTable
from airflow_mlops.core.backtest.oracle import best_path
from airflow_mlops.core.backtest.peers.forecast import BOUNDED
from airflow_mlops.core.backtest.peers.registry import PEERS, missing_library
from airflow_mlops.core.backtest.peers.rules import PeerInput, Rule
from airflow_mlops.core.backtest.tasks import judge, judge_by_point, refer, train, watch
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.records.backtest import Judged, Trained, Turn
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.retraining import Challenge, History, MonitoringInput, RetrainDecision
from airflow_mlops.core.records.shadow import ShadowReport
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError
from airflow_mlops.spec.suggest import did_you_mean

OWN = "specification"
NAMES = ("never", "always", "schedule", "point_estimate", OWN)
GATED = frozenset({"schedule", OWN})
"""Policies whose promotions the gate has let through."""
ORACLE = "oracle"
"""The schedule that is best in hindsight. It is no policy: it is looked for where this or a peer is asked for."""
GROUPS = {"simple": NAMES, "peers": (*PEERS, ORACLE)}
"""Names of several policies at once."""
PATIENCE = 50
"""Windows that are remembered at least: hints say since when something is so."""


def policies_of(names: Sequence[str]) -> tuple[str, ...]:
    """Read the names of policies and groups of them; the specification's own is always among them.

    So is the oracle where a peer is: the losses that the one needs are those that the other does.

    Raises
    ------
    SpecError
        Every name that there is not; and the policies that need a library which is not installed.

    Examples
    --------
    >>> policies_of(["never", "cusum"])
    ('never', 'specification', 'cusum', 'oracle')
    """
    known = (*NAMES, *PEERS, ORACLE)
    asked: list[str] = [OWN]
    problems = []
    for name in names:
        if name in GROUPS:
            asked += GROUPS[name]
        elif name in known:
            asked.append(name)
        else:
            allowed = (*known, *GROUPS)
            fix = did_you_mean(name, allowed) or "see docs/backtest.md"
            problems.append(
                Problem(
                    code=ReasonCode.SPEC_INVALID_VALUE,
                    field="--policies",
                    found=f"{name!r}",
                    allowed=f"one of: {', '.join(allowed)}",
                    fix=fix,
                )
            )
    missing = missing_library(asked)
    if problems or missing is not None:
        raise SpecError([*problems, *([] if missing is None else [missing])], subject="backtest")
    if any(name in PEERS for name in asked):
        asked.append(ORACLE)
    return tuple(name for name in known if name in asked)


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
    """Make a policy of this name (one of `NAMES`, or of `PEERS`), without a memory.

    Parameters
    ----------
    spec
        Whose gate, monitoring and retraining rules it goes by.
    """
    if name in PEERS:
        return make_peer(name, inputs)
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


@dataclass(frozen=True)
class PeerPolicy:
    """A published policy: it has no gate, so that what it trains is promoted."""

    table: LossTable
    rule: Rule

    def __call__(self, context: PolicyContext) -> PolicyAction:
        """Show the rule what is known, and train where it would."""
        wish = self.rule(self.table.known(context.step, context.served))
        if not wish.retrain:
            return PolicyAction(action="wait", reason=wish.reason)
        return _untrained(context) or _retrained(context, promoted=True, reason=wish.reason, seconds=0.0)


def make_peer(name: str, inputs: Inputs) -> PeerPolicy:
    """Make a peer, tuned on the steps before the span where it is one that is."""
    table = table_of(inputs)
    return PeerPolicy(table, PEERS[name].make(peer_input(inputs, retraining_cost(inputs))))


def peer_input(inputs: Inputs, cost: RetrainingCost) -> PeerInput:
    """What a peer of these inputs is made from, where a retraining costs so much."""
    primary = metric.primary(inputs.spec, inputs.candidate(first_version(inputs)).task)
    return PeerInput(history=losses_before(inputs), cost=cost, every=inputs.plan.every, bounded=primary in BOUNDED)


def retraining_cost(inputs: Inputs) -> RetrainingCost:
    """What one retraining costs in this backtest."""
    first = inputs.candidate(first_version(inputs))
    return cost_of(inputs.spec, first, metric.primary(inputs.spec, first.task))


def tells_history(inputs: Inputs) -> bool:
    """Whether enough is known of the steps before the span to tune a policy on."""
    return losses_before(inputs) is not None


def find_oracle(inputs: Inputs, price: float, versions: Sequence[int]) -> tuple[Turn, ...]:
    """Return the turns of the best schedule in hindsight.

    Parameters
    ----------
    price
        What one retraining adds to the mean loss.
    versions
        That served in a replay: they are among the models that the oracle may train.
    """
    plan = inputs.plan
    table = table_of(inputs, versions)
    path = best_path(table, price)
    sign = -1.0 if greater_is_better(inputs) else 1.0
    turns = []
    for step, version in path.served:
        trained, loss = step in path.retrained, table.loss(version, step)
        counts = loss is not None and step in table.weights
        turns.append(
            Turn(
                as_of=plan.steps[step].start,
                action="start" if step == table.first else "retrain" if trained else "wait",
                retrained=trained,
                promoted=trained,
                serving=plan.steps[plan.step_of(version)].start,
                reason="the first model" if step == table.first else "with the future known, this costs least",
                rows=table.rows(step),
                loss=sign * loss if loss is not None and counts else None,
            )
        )
    return tuple(turns)


def greater_is_better(inputs: Inputs) -> bool:
    """Whether more of the primary metric is better."""
    primary = metric.primary(inputs.spec, inputs.candidate(first_version(inputs)).task)
    return metric.metrics_of(inputs.spec)[primary].greater_is_better


def first_version(inputs: Inputs) -> int:
    """Version of the first model, with which every policy begins."""
    versions = range(1, len(inputs.plan.steps) + 1)
    return next(version for version in versions if train(inputs, version).outcome == "trained")


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
