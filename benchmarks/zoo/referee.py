"""Right, weak or wrong: the rules by which a stream's facts are held against its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from benchmarks.zoo.facts import Facts, Step
from benchmarks.zoo.oracle import mean_loss
from benchmarks.zoo.truth import Kind, Truth

Mark = Literal["RIGHT", "WEAK", "WRONG"]
MARKS: tuple[Mark, ...] = get_args(Mark)
CHANGING = ("decay", "sudden", "recurring", "growth")
QUIET = ("none", "watch", "persistence")
"""Rules of the controller that say nothing to anybody."""
GRACE = 30
"""Days after a span to learn in, in which a retraining is still for its change."""
SPOILED = 62
"""Days after a fault in which a training window, and the label delay, still reach into it."""
BLOCKED = ("pipeline_fault", "invalid_data")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the referee says of one stream."""

    name: str
    kind: Kind
    mark: Mark
    severe: tuple[str, ...]
    mild: tuple[str, ...]
    retrainings: int = 0
    promotions: int = 0
    blocked: int = 0
    escalations: int = 0
    unknown_drift: float = 0.0
    """Share of the windows; so is the next."""
    unknown_performance: float = 0.0
    false_alarms: int = 0
    """Retrainings where nothing had changed."""
    delay: float | None = None
    """Days from the change to the first promotion, of a fault to the first block."""
    own: float | None = None
    """Mean loss of the specification's own policy; so are the next, of the others."""
    losses: dict[str, float | None] = field(default_factory=dict)
    oracle: float | None = None
    regret: float | None = None
    """Own mean loss over the oracle's, less 1."""
    gap_left: float | None = None
    """Share of what the oracle gains on never training that the own policy loses; where it gains enough to tell."""
    seconds: float = 0.0


class _Case:
    """A stream's facts in the words of the rules, and what they find."""

    def __init__(self, facts: Facts, truth: Truth) -> None:
        self.facts, self.truth = facts, truth
        self.severe: list[str] = []
        self.mild: list[str] = []
        self.retrain_days = [step.day for step in facts.steps if step.retrained]
        self.promotion_days = [step.day for step in facts.steps if step.promoted]
        self.outside = [day for day in self.retrain_days if not self._is_for_a_change(day)]
        self.blocked = sum(step.rule in BLOCKED for step in facts.steps)
        self.escalations = sum(step.action == "escalate" for step in facts.steps)
        self.own = mean_loss((step.rows, step.loss) for step in facts.steps)
        self.delay: float | None = None
        self.false_alarms = len(self.outside)

    def _is_for_a_change(self, day: float) -> bool:
        return any(after < day <= until + GRACE for after, until in self.truth.learn)

    def grade(self, value: float, severe: float, mild: float, words: str) -> None:
        """Above `severe` it is a severe fault, above `mild` a mild one."""
        if value > severe:
            self.severe.append(words)
        elif value > mild:
            self.mild.append(words)

    @property
    def regret(self) -> float | None:
        """Own mean loss over the oracle's, less 1."""
        return None if self.own is None or not self.facts.oracle else self.own / self.facts.oracle - 1

    @property
    def gap_left(self) -> float | None:
        """Share of the oracle's gain that is lost."""
        never, oracle = self.facts.losses.get("never"), self.facts.oracle
        if never is None or oracle is None or self.own is None or not self.truth.learn:
            return None
        gap = never - oracle
        return (self.own - oracle) / gap if gap > 0.005 * oracle else None

    def unknown(self, what: Literal["drift", "performance"]) -> float:
        """Share of the windows of which monitoring could say nothing."""
        verdicts = [getattr(look, what) for look in self.facts.looks]
        return verdicts.count("unknown") / max(1, len(verdicts))


def judge(facts: Facts, truth: Truth) -> Finding:
    """Hold a stream's facts against its truth.

    A single severe fault makes it WRONG, a mild one WEAK; RIGHT is what has none.
    """
    if facts.crash is not None:
        why = (f"the backtest crashes: {facts.crash}",)
        return Finding(name=facts.name, kind=truth.kind, mark="WRONG", severe=why, mild=())
    case = _Case(facts, truth)
    _judge_first_gate(case)
    _judge_unknown(case)
    if truth.kind in ("stable", "harmless"):
        _judge_stable(case)
    elif truth.kind in CHANGING:
        _judge_change(case)
    elif truth.fault is not None:
        _judge_fault(case, *truth.fault)
    _judge_blocks(case)
    return Finding(
        name=facts.name,
        kind=truth.kind,
        mark="WRONG" if case.severe else "WEAK" if case.mild else "RIGHT",
        severe=tuple(case.severe),
        mild=tuple(case.mild),
        retrainings=len(case.retrain_days),
        promotions=len(case.promotion_days),
        blocked=case.blocked,
        escalations=case.escalations,
        unknown_drift=case.unknown("drift"),
        unknown_performance=case.unknown("performance"),
        false_alarms=case.false_alarms,
        delay=case.delay,
        own=case.own,
        losses=dict(facts.losses),
        oracle=facts.oracle,
        regret=case.regret,
        gap_left=case.gap_left,
        seconds=facts.seconds,
    )


def _judge_first_gate(case: _Case) -> None:
    facts = case.facts
    if facts.first_gate is not None:
        refused = f"{facts.scheduled - facts.accepted} of {facts.scheduled}"
        case.severe.append(
            f"the gate refuses the first model ({facts.first_gate}), and {refused} after it: "
            "in the loop there is no champion"
        )


def _judge_unknown(case: _Case) -> None:
    days = len(case.facts.steps) * _every(case.facts.steps)
    # After each promotion nothing is known for the label delay and some days.
    excused = (1 + len(case.promotion_days)) * (case.truth.label_delay + 7) / max(1.0, days)
    drift, performance = case.unknown("drift"), max(0.0, case.unknown("performance") - excused)
    case.grade(drift, 0.5, 0.2, f"drift unknown in {drift:.0%} of the windows")
    case.grade(performance, 0.5, 0.2, f"performance unknown in {performance:.0%} of the windows")


def _every(steps: Sequence[Step]) -> float:
    return steps[1].day - steps[0].day if len(steps) > 1 else 0.0


def _judge_stable(case: _Case) -> None:
    allowed, asked = case.truth.most_retrainings, len(case.retrain_days)
    case.grade(asked, allowed + 2, allowed, f"{asked} retrainings, {allowed} would do")
    regret = case.regret or 0.0
    case.grade(regret, 0.03, 0.01, f"loss {regret:.1%} above the oracle's")


def _judge_change(case: _Case) -> None:
    truth = case.truth
    change = truth.change or 0.0
    asked = next((day for day in case.retrain_days if day > change), None)
    done = next((day for day in case.promotion_days if day > change), None)
    case.delay = None if done is None else done - change
    if asked is None:
        case.severe.append("never retrained")
    elif truth.kind in ("sudden", "recurring") and asked > change + truth.label_delay + 14:
        case.mild.append(f"retraining only {asked - change:.0f} days after the change")
    lost = truth.point_loss_day
    if lost and (done is None or done > lost + truth.label_delay + 7):
        case.mild.append(
            f"5 points were lost on day {lost:.0f}, promoted on {'no day' if done is None else f'day {done:.0f}'}"
        )
    _judge_loss(case)
    outside, retrained = len(case.outside), len(case.retrain_days)
    case.grade(outside, 2, 0, f"{outside} retrainings without a change")
    if retrained > truth.most_retrainings:
        case.mild.append(f"{retrained} retrainings, {truth.most_retrainings} would do")


def _judge_loss(case: _Case) -> None:
    """What was lost against the oracle, and for how long nobody was told."""
    gap, regret, run = case.gap_left or 0.0, case.regret or 0.0, _silent_run(case.facts.steps)
    case.grade(gap, 0.7, 0.35, f"{gap:.0%} of what the oracle gains is lost")
    words = "steps on end a fresh model is > 10 % better, and the loop says nothing"
    case.grade(run, 12, 3, f"{run} {words}")
    case.grade(regret, 0.25, 0.08, f"loss {regret:.0%} above the oracle's")


def _silent_run(steps: Sequence[Step]) -> int:
    """Longest row of steps in which a fresh model is more than a tenth better, and no rule speaks."""
    longest = run = 0
    for step in steps:
        behind = bool(step.loss and step.fresh and step.loss > 1.1 * step.fresh)
        run = run + 1 if behind and step.rule in QUIET else 0
        longest = max(longest, run)
    return longest


def _judge_fault(case: _Case, begin: float, end: float) -> None:
    """Whether a fault from one day to another was called one, and nothing was learned from its rows."""
    looks, promotions, retrainings = case.facts.looks, case.promotion_days, case.retrain_days
    called = [look.day for look in looks if begin < look.day <= end + 7 and (look.faults or look.drift == "invalid")]
    case.delay = called[0] - begin if called else None
    if case.delay is None:
        case.severe.append("the fault was never called one")
    elif case.delay > 7:
        case.severe.append(f"called a fault only {case.delay:.0f} days after it began")
    for days, words in (
        (
            [day for day in promotions if begin < day <= end + SPOILED],
            "a model that was trained or judged on broken rows was promoted on day",
        ),
        ([day for day in retrainings if begin < day <= end + 14], "retrained for the fault on day"),
        ([look.day for look in looks if look.day > end + 7 and look.faults], "still blocked on day"),
    ):
        if days:
            case.severe.append(f"{words} {', '.join(f'{day:.0f}' for day in days)}")
    sound = sum(day <= begin or day > end + SPOILED for day in retrainings)
    case.grade(sound, 2, 0, f"{sound} retrainings on sound rows without a change")
    case.false_alarms = len(retrainings)


def _judge_blocks(case: _Case) -> None:
    if not case.truth.block_wanted:
        faults = sorted({fault for look in case.facts.looks for fault in look.faults})
        case.grade(case.blocked, 2, 0, f"{case.blocked} windows blocked ({', '.join(faults)})")
    if case.escalations and not case.truth.escalation_ok:
        case.mild.append(f"{case.escalations} escalations")
