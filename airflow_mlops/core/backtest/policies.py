"""The policies that are replayed: each says at every step what to do, by what is known then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_mlops.core.backtest.controlled import ControlledPolicy
from airflow_mlops.core.backtest.costs import RetrainingCost, cost_of
from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.loss_tasks import losses_before, table_of
from airflow_mlops.core.backtest.losses import LossTable
from airflow_mlops.core.backtest.oracle import best_path
from airflow_mlops.core.backtest.peers.forecast import BOUNDED
from airflow_mlops.core.backtest.peers.registry import PEERS, missing_library
from airflow_mlops.core.backtest.peers.rules import PeerInput, Rule
from airflow_mlops.core.backtest.policy import (
    Policy,
    PolicyAction,
    PolicyContext,
    gate_words,
    is_accepted,
    retrained_action,
    untrained_action,
)
from airflow_mlops.core.backtest.tasks import judge, judge_by_point, train
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.records.backtest import Turn
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
    return untrained_action(context) or retrained_action(context, promoted=True, reason="promoted unseen", seconds=0.0)


def promote_by_point(inputs: Inputs, context: PolicyContext) -> PolicyAction:
    """Train at every step, and promote what has the better number on the holdout."""
    untrained = untrained_action(context)
    if untrained is not None:
        return untrained
    found = judge_by_point(inputs, context.version, context.champion)
    reason = f"{found.candidate:.5g} against the serving model's {found.champion:.5g} on the holdout"
    return retrained_action(context, promoted=found.better, reason=reason, seconds=found.seconds)


def promote_by_gate(inputs: Inputs, spec: ModelSpec, context: PolicyContext) -> PolicyAction:
    """Train at every step, and promote what the gate accepts."""
    untrained = untrained_action(context)
    if untrained is not None:
        return untrained
    found = judge(inputs, spec, context.version, context.champion)
    return retrained_action(context, promoted=is_accepted(found), reason=gate_words(found), seconds=found.seconds)


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
        return untrained_action(context) or retrained_action(context, promoted=True, reason=wish.reason, seconds=0.0)


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
