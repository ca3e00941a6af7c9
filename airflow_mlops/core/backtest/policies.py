"""The policies that are replayed. Each is a dialogue: it asks for pieces of work, and acts on the answers.

A policy is a function of a step, or an object with a memory; it yields the pieces that it needs next, is sent their
answers, and returns its move. So the policies of a backtest, and the points of a grid, go forward side by side, and
what two of them need is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from airflow_mlops.core.backtest.tasks import (
    BASE,
    Judge,
    Need,
    Point,
    Refer,
    Score,
    Train,
    Watch,
    gate_settings,
    watch_settings,
)
from airflow_mlops.core.records.backtest import Answer, Judged, Pointed, Trained, Watched
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.retraining import Challenge, History, MonitoringInput, RetrainDecision
from airflow_mlops.core.training import champion_of
from airflow_mlops.spec.model import ModelSpec

Result = TypeVar("Result")
Found = TypeVar("Found", bound=Answer)
Dialogue = Generator[tuple[Need, ...], tuple[Answer, ...], Result]


@dataclass(frozen=True, kw_only=True)
class Now:
    """Where a replay stands when its policy is asked."""

    step: int
    as_of: datetime
    trained: Trained
    """What a training as of this step gives."""
    champion: int
    """Version that serves."""
    served: tuple[tuple[int, int], ...]
    """Step and version of every window that was served so far."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """What a policy does at a step."""

    action: str
    reason: str
    retrained: bool = False
    promoted: bool = False
    seconds: float = 0.0


Policy = Callable[[Now], Dialogue[Move]]
PATIENCE = 50
"""Windows that are remembered at least: hints say since when something is so."""


def asked(need: Need, kind: type[Found]) -> Dialogue[Found]:
    """Ask for one piece of work."""
    (answer,) = yield (need,)
    if not isinstance(answer, kind):
        raise TypeError(f"{type(need).__name__} was answered with {type(answer).__name__}, not {kind.__name__}")
    return answer


def never(now: Now) -> Dialogue[Move]:  # noqa: ARG001 - a policy like the others
    """Let the first model serve for ever."""
    yield from ()
    return Move(action="wait", reason="this policy never trains")


def always(now: Now) -> Dialogue[Move]:
    """Train at every step, and promote unseen."""
    yield from ()
    return _untrained(now) or _retrained(now, promoted=True, reason="promoted unseen", seconds=0.0)


def point_estimate(spec: ModelSpec) -> Policy:
    """Train at every step, and promote what has the better number on the holdout."""
    settings = gate_settings(spec)

    def move(now: Now) -> Dialogue[Move]:
        refused = _untrained(now)
        if refused is not None:
            return refused
        version = now.step + 1
        found = yield from asked(Point(version=version, champion=now.champion, settings=settings), Pointed)
        reason = f"{found.candidate:.5g} against the serving model's {found.champion:.5g} on the holdout"
        return _retrained(now, promoted=found.better, reason=reason, seconds=found.seconds)

    return move


def schedule(spec: ModelSpec, variant: str = BASE) -> Policy:
    """Train at every step, and promote what the gate accepts."""
    settings = gate_settings(spec)

    def move(now: Now) -> Dialogue[Move]:
        refused = _untrained(now)
        if refused is not None:
            return refused
        need = Judge(version=now.step + 1, champion=now.champion, settings=settings, variant=variant)
        found = yield from asked(need, Judged)
        accepted = found.decision.verdict is Verdict.ACCEPT
        return _retrained(now, promoted=accepted, reason=_why(found), seconds=found.seconds)

    return move


@dataclass
class Controlled:
    """The specification's own policy: watch at every step, train when the controller says so, promote by the gate."""

    spec: ModelSpec
    variant: str = BASE
    judged: dict[int, Judge] = field(default_factory=dict)
    """By which judgement each version serves."""
    watched: list[str] = field(default_factory=list)
    """Keys of what was seen, newest first; so are the next four."""
    drift: list[DriftReport] = field(default_factory=list)
    performance: list[PerformanceReport] = field(default_factory=list)
    decisions: list[RetrainDecision] = field(default_factory=list)
    challenges: list[Challenge] = field(default_factory=list)
    referred: set[int] = field(default_factory=set)

    @property
    def patience(self) -> int:
        """Windows that are remembered: at least as many as a rule counts among."""
        return max(PATIENCE, self.spec.monitoring.drift.of, self.spec.monitoring.performance.of)

    def __call__(self, now: Now) -> Dialogue[Move]:
        """Watch, decide, and train where that is the decision."""
        from airflow_mlops.core.retraining import decide_retraining

        seen, champion, seconds = yield from self._look(now)
        history = History(
            decisions=tuple(self.decisions),
            challenges=tuple(self.challenges),
            drift=tuple(self.drift[: self.patience]),
            performance=tuple(self.performance[: self.patience]),
        )
        decision = decide_retraining(self.spec, champion, seen, history, now.as_of)
        self._remember(seen, decision)
        reason = f"{decision.rule}: {next(iter(decision.reasons), 'no reason was given')}"
        if decision.action != "retrain":
            return Move(action=decision.action, reason=reason, seconds=seconds)
        refused = _untrained(now)
        if refused is not None:
            return Move(action="invalid", reason=f"{reason}; {refused.reason}", seconds=seconds)
        need = Judge(
            version=now.step + 1, champion=now.champion, settings=gate_settings(self.spec), variant=self.variant
        )
        found = yield from asked(need, Judged)
        accepted = found.decision.verdict is Verdict.ACCEPT
        self.challenges.insert(
            0,
            Challenge(
                as_of=now.as_of,
                run_id=found.decision.run_id,
                verdict=found.decision.verdict,
                promoted=accepted,
                answers=(decision.key,),
            ),
        )
        if accepted:
            self.judged[need.version] = need
        why = f"{reason} Gate: {_why(found)}"
        return _retrained(now, promoted=accepted, reason=why, seconds=seconds + found.seconds)

    def _look(self, now: Now) -> Dialogue[tuple[MonitoringInput, Champion, float]]:
        """What monitoring sees of the champion now, the champion, and how long that took."""
        by = self.judged.setdefault(
            now.champion,
            Judge(version=now.champion, champion=None, settings=gate_settings(self.spec), variant=self.variant),
        )
        settings = watch_settings(self.spec)
        refer = Refer(version=now.champion, settings=settings)
        step, version = now.served[-1]
        _, reference, _, trained = yield (
            by, refer, Score(version=version, step=step), Train(version=now.champion)
        )  # fmt: skip
        watch = Watch(
            step=now.step,
            served=now.served,
            version=now.champion,
            decision=by.key,
            reference=refer.key,
            before=tuple(self.watched[: self.patience]),
            settings=settings,
            variant=self.variant,
        )
        found = yield from asked(watch, Watched)
        self.watched.insert(0, watch.key)
        seconds = found.seconds if now.champion in self.referred else found.seconds + reference.seconds
        self.referred.add(now.champion)
        rules = self.spec.retraining
        counted = found.new_rows if rules.min_new_rows or rules.on_volume is not None else None
        seen = MonitoringInput(drift=found.drift, performance=found.performance, new_rows=counted)
        if not isinstance(trained, Trained) or trained.candidate is None:
            raise TypeError(f"version {now.champion} serves, and no model was trained for it")
        return seen, champion_of(self.spec.registered_model, trained.candidate, now.champion), seconds

    def _remember(self, seen: MonitoringInput, decision: RetrainDecision) -> None:
        from dataclasses import replace

        if seen.drift is not None:
            self.drift.insert(0, seen.drift)
        if seen.performance is not None:
            self.performance.insert(0, seen.performance)
        if decision.action != "wait":
            self.decisions.insert(0, replace(decision, number=len(self.decisions) + 1))


def policies(spec: ModelSpec) -> Mapping[str, Policy]:
    """Every policy by name; each call makes new ones, without a memory.

    >>> from airflow_mlops.core.backtest.policies import policies
    >>> spec = ModelSpec.model_validate({
    ...     "name": "m", "owner": "o", "training": {"estimator": "sklearn.dummy.DummyClassifier"},
    ...     "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y"}})
    >>> list(policies(spec))
    ['never', 'always', 'schedule', 'point_estimate', 'specification']
    """
    return {
        "never": never,
        "always": always,
        "schedule": schedule(spec),
        "point_estimate": point_estimate(spec),
        "specification": Controlled(spec),
    }


def _untrained(now: Now) -> Move | None:
    if now.trained.outcome == "trained":
        return None
    return Move(action="invalid", reason="; ".join(now.trained.problems[:3]), seconds=now.trained.seconds)


def _retrained(now: Now, *, promoted: bool, reason: str, seconds: float) -> Move:
    whole = seconds + now.trained.seconds
    return Move(action="retrain", retrained=True, promoted=promoted, reason=reason, seconds=whole)


def _why(found: Judged) -> str:
    """The gate's verdict; of a refusal, the first reason; of an acceptance, what it says of the champion."""
    told = [rule.reason for rule in found.decision.evaluation.rules if rule.rule == "champion"]
    reasons = told if found.decision.verdict is Verdict.ACCEPT else found.decision.reasons
    return f"{found.decision.verdict.value}: {next(iter(reasons), 'no rule spoke')}"
