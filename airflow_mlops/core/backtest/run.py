"""The time machine: replay history through the loop's own stages, under one policy and another, and compare.

Everything a policy decides on lies before the step at which it decides; only the measurement of what came of it looks
further. There is no server, so the gate's rule on serving is off, and nobody who approves: what the gate accepts is
promoted at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from airflow_mlops.core.backtest.cache import State, identity_of
from airflow_mlops.core.backtest.measures import line_of, with_front
from airflow_mlops.core.backtest.plan import Plan
from airflow_mlops.core.backtest.policies import Controlled, Dialogue, Now, Policy, policies
from airflow_mlops.core.backtest.scheduler import Tell, crew
from airflow_mlops.core.backtest.tasks import BASE, Look, Train, look_settings
from airflow_mlops.core.backtest.worker import Opening
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.metrics import registry as metric
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.backtest import Answer, BacktestReport, Future, Line, Trained, Turn
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

OWN = "specification"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a grid: a specification with other settings."""

    settings: Mapping[str, str]
    spec: ModelSpec

    @property
    def name(self) -> str:
        """The settings in one line."""
        return ", ".join(f"{path}={value}" for path, value in self.settings.items())


def backtest(
    plan: Plan,
    open_store: Callable[[], DataStore],
    open_storage: Callable[[str], Storage],
    *,
    grid: Sequence[Point] = (),
    state: str | None = None,
    workers: int = 1,
    tell: Tell = lambda _done, _asked, _words: None,
) -> tuple[BacktestReport, Storage]:
    """Replay history under every policy, and under the specification's own at every point of a grid.

    Parameters
    ----------
    plan
        What `plan_of` made.
    open_store
        Opens the source; it is called in every process, so it can be sent to one.
    open_storage
        Opens a folder by its URI or path; an empty path is `[mlops] storage`.
    grid
        Other settings for the specification's own policy.
    state
        Folder of finished work; left out, it is below `[mlops] storage`, and named after everything that decides.
    workers
        Processes; 1: all is done in this one.
    tell
        Told of the progress.

    Returns
    -------
    tuple
        The report, and the folder of finished work, where it may be written to. The same for the same data,
        specification and versions of the packages, but for the seconds that were measured.

    Raises
    ------
    DataError
        If there is no row in the span, no step could train a model, or no step has a future with labels.
    RecordError
        If the folder holds finished work of something else.
    StoreUnavailableError
        If a store does not answer, or a process ended.
    """
    identity = identity_of(plan, open_store())
    where = open_storage_of(open_storage, state, identity.name)
    storage = where()
    State(storage).claim(identity)
    variants = {BASE: plan.spec, **{point.name: point.spec for point in grid}}
    opening = Opening(plan=plan, variants=variants, open_store=open_store, open_storage=where)
    with crew(opening, workers=workers, tell=tell) as hands:
        (trained,) = hands.lead([_trainings(plan)])
        _require_a_model(plan, trained)
        known = policies(plan.spec)
        own = [Controlled(point.spec, point.name) for point in grid]
        every: list[Policy] = [*known.values(), *own]
        turns = hands.lead([replay(plan, trained, policy) for policy in every])
    return _report(
        plan, identity.data, trained, dict(zip(known, turns, strict=False)), grid, turns[len(known) :]
    ), storage


def open_storage_of(open_storage: Callable[[str], Storage], state: str | None, name: str) -> Callable[[], Storage]:
    """Say how every process opens the folder of finished work."""
    if state is not None:
        return partial(open_storage, state)
    return partial(open_below, open_storage, name)


def open_below(open_storage: Callable[[str], Storage], name: str) -> Storage:
    """Open a folder below `[mlops] storage`."""
    from airflow_mlops.core.backtest.score_log import Below

    return Below(open_storage(""), name)


def replay(plan: Plan, trained: Sequence[Trained], policy: Policy) -> Dialogue[tuple[Turn, ...]]:
    """Lead one policy through every step, from the first one that trained a model; then look at what came of it."""
    first = next(step for step, found in enumerate(trained) if found.outcome == "trained")
    serving, newest = first + 1, first + 1
    served: list[tuple[int, int]] = []
    turns: list[Turn] = []
    looks: list[tuple[Look, Look]] = []
    look = partial(Look, settings=look_settings(plan.spec))
    for step in range(first, len(plan.steps)):
        before = serving
        as_of = plan.steps[step].start
        newest = step + 1 if trained[step].outcome == "trained" else newest
        turn = Turn(
            as_of=as_of, action="start", retrained=False, promoted=False, serving=as_of, reason="the first model"
        )
        if step > first:
            now = Now(step=step, as_of=as_of, trained=trained[step], champion=serving, served=tuple(served))
            move = yield from policy(now)
            serving = step + 1 if move.promoted else serving
            turn = replace(
                turn,
                action=move.action,
                reason=move.reason,
                retrained=move.retrained,
                promoted=move.promoted,
                serving=plan.steps[serving - 1].start,
                seconds=move.seconds,
            )
        served.append((step, serving))
        turns.append(turn)
        looks.append((look(version=serving, step=step, newest=newest), look(version=before, step=step, newest=newest)))
    return (yield from _futures(turns, looks))


def _futures(turns: Sequence[Turn], looks: Sequence[tuple[Look, Look]]) -> Dialogue[tuple[Turn, ...]]:
    """What came of each turn: the serving model's loss, and whether the one before it had decayed."""
    answers: tuple[Answer, ...] = yield tuple(need for pair in looks for need in pair)
    made = []
    for turn, after, before in zip(turns, answers[::2], answers[1::2], strict=True):
        if not isinstance(after, Future) or not isinstance(before, Future):
            raise TypeError("a look at the future was answered with something else")
        made.append(
            replace(
                turn,
                rows=after.rows,
                loss=after.loss,
                behind=after.behind,
                false_alarm=turn.retrained and before.behind is False,
            )
        )
    return tuple(made)


def _trainings(plan: Plan) -> Dialogue[tuple[Trained, ...]]:
    """Every step's candidate: they depend on the as-of time alone, so they are trained side by side, once for all."""
    answers = yield tuple(Train(version=step + 1) for step in range(len(plan.steps)))
    return tuple(answer for answer in answers if isinstance(answer, Trained))


def _require_a_model(plan: Plan, trained: Sequence[Trained]) -> None:
    if any(found.outcome == "trained" for found in trained):
        return
    first = "; ".join(trained[0].problems[:3])
    raise DataError(
        Problem(
            code=ReasonCode.TRAINING_FAILED,
            field="--from",
            found=f"no model at any of {len(trained)} steps; at the first: {first}",
            allowed="at least one step at which a model can be trained",
            fix="choose a later --from, or mend the data or the specification",
        ),
        subject=f"backtest of {plan.spec.name}",
    )


def _report(  # noqa: PLR0917 - one private maker of one record
    plan: Plan,
    data: str,
    trained: Sequence[Trained],
    turns: Mapping[str, Sequence[Turn]],
    grid: Sequence[Point],
    points: Sequence[Sequence[Turn]],
) -> BacktestReport:
    task = next(found.candidate.task for found in trained if found.candidate is not None)
    name = metric.primary(plan.spec, task)
    greater = metric.metrics_of(plan.spec)[name].greater_is_better
    make = partial(line_of, end=plan.end, greater_is_better=greater)
    lines = tuple(make(policy, found) for policy, found in turns.items())
    made = [make(OWN, found, settings=point.settings) for point, found in zip(grid, points, strict=True)]
    if all(line.mean_loss is None for line in lines):
        raise DataError(_no_future(plan, name), subject=f"backtest of {plan.spec.name}")
    return BacktestReport(
        model=plan.spec.name,
        spec_fingerprint=plan.spec.fingerprint,
        data_fingerprint=data,
        start=plan.start,
        end=plan.end,
        every_seconds=plan.every.total_seconds(),
        metric=name,
        greater_is_better=greater,
        lines=lines,
        grid=with_front(made, greater_is_better=greater),
        notes=tuple(_notes(plan, trained, lines)),
    )


def _no_future(plan: Plan, name: str) -> Problem:
    return Problem(
        code=ReasonCode.WINDOW_EMPTY,
        field="--to",
        found=f"no step whose future has rows with a label that {name} can be computed on",
        allowed="at least one",
        fix=f"choose --from and --to where {plan.spec.data.label!r} is filled",
    )


def _notes(plan: Plan, trained: Sequence[Trained], lines: Sequence[Line]) -> Generator[str, Any, None]:
    """What a reader must know to believe the numbers."""
    yield "Serving is not judged (a backtest has no server), and what the gate accepts is promoted without approval."
    if plan.spec.schedule.cron is not None:
        yield "The specification's own policy trains only when its controller says so; its schedule is not replayed."
    for step, found in enumerate(trained):
        if found.outcome != "trained":
            what = "nothing was trained" if found.outcome == "invalid" else "the training failed"
            yield f"{plan.steps[step].start:%Y-%m-%d}: {what}: {'; '.join(found.problems[:3])}"
    for turn in lines[0].turns:
        if turn.loss is None:
            why = "no row with a label" if not turn.rows else "the metric is not defined"
            yield f"{turn.as_of:%Y-%m-%d}: {why} in this step's future, so it counts for no policy"
    if any(turn.behind is None and turn.loss is not None for line in lines for turn in line.turns):
        yield (
            "Of some steps it is not known whether a fresh model would have done better: fewer than ten blocks of "
            "gate.champion.block. They count neither as decay nor as false alarm."
        )
