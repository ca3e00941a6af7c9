"""The time machine: replay history through the loop's own stages, under one policy and another, and compare.

Everything a policy decides on lies before the step at which it decides; only the measurement of what came of it looks
further. There is no server, so the gate's rule on serving is off, and nobody who approves: what the gate accepts is
promoted at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from airflow_mlops.core.backtest.cache import ResultCache, identity_of
from airflow_mlops.core.backtest.grid import GridPoint
from airflow_mlops.core.backtest.inputs import InputSources
from airflow_mlops.core.backtest.measures import line_of, with_front
from airflow_mlops.core.backtest.plan import Plan
from airflow_mlops.core.backtest.policies import NAMES, OWN
from airflow_mlops.core.backtest.pool import Call, CallRunner, Tell, open_runner
from airflow_mlops.core.backtest.replay import replay
from airflow_mlops.core.backtest.score_log import SubfolderStorage
from airflow_mlops.core.backtest.tasks import judge, measure_future, train
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.backtest import BacktestReport, Line, Trained, Turn
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.types import format_duration


def backtest(
    plan: Plan,
    open_store: Callable[[], DataStore],
    open_storage: Callable[[str], Storage],
    *,
    grid: Sequence[GridPoint] = (),
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
    if state is None:
        open_folder: Callable[[], Storage] = partial(open_subfolder, open_storage, identity.name)
    else:
        open_folder = partial(open_storage, state)
    storage = open_folder()
    ResultCache(storage).claim(identity)
    sources = InputSources(plan=plan, open_store=open_store, open_storage=open_folder)
    with open_runner(sources, workers=workers, tell=tell) as runner:
        trained = _train_all(runner, plan)
        _require_a_model(plan, trained)
        replays = [*((name, plan.spec) for name in NAMES), *((OWN, point.spec) for point in grid)]
        turns = _replay_all(runner, replays)
        refusal = _refusal_of_the_first(runner, plan, trained)
    report = _report(plan, identity.data, trained, grid, turns)
    return replace(report, notes=(*report.notes, *refusal)), storage


def open_subfolder(open_storage: Callable[[str], Storage], name: str) -> Storage:
    """Open a folder below `[mlops] storage`."""
    return SubfolderStorage(open_storage(""), name)


def _train_all(runner: CallRunner, plan: Plan) -> list[Trained]:
    """Every step's candidate: they depend on the as-of time alone, so they are trained side by side, once for all."""
    versions = range(1, len(plan.steps) + 1)
    trained = runner.run([Call(f"training of version {version}", train, (version,)) for version in versions])
    if plan.spec.training.refit:
        runner.run([Call(f"refit of version {version}", train, (plan.refit_of(version),)) for version in versions])
    return trained


def _replay_all(runner: CallRunner, replays: Sequence[tuple[str, ModelSpec]]) -> list[tuple[Turn, ...]]:
    """The turns of every replay, and then, each once, the futures that say what came of them."""
    # What monitors takes longest: begun last, it would keep one process busy while the others have nothing to do.
    order = sorted(range(len(replays)), key=lambda number: replays[number][0] != OWN)
    found = runner.run([Call(f"policy {replays[number][0]}", replay, replays[number]) for number in order])
    replayed = [turns for _, turns in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]
    keys = sorted({key for turns in replayed for turn in turns for key in (turn.serving, turn.before)})
    measured = runner.run([Call(f"future of version {key.version}", measure_future, key) for key in keys])
    futures = dict(zip(keys, measured, strict=True))
    return [tuple(turn.finish(futures) for turn in turns) for turns in replayed]


def _refusal_of_the_first(runner: CallRunner, plan: Plan, trained: Sequence[Trained]) -> tuple[str, ...]:
    """What the gate says against the first model, which every policy lets serve all the same."""
    first = next(number for number, found in enumerate(trained, 1) if found.outcome == "trained")
    (found,) = runner.run([Call(f"gate of version {first}", judge, (plan.spec, first, None))])
    if found.decision.verdict is Verdict.ACCEPT:
        return ()
    said = f"{found.decision.verdict.value}: {found.decision.reasons[0]}"
    return (f"The gate would not let the first model serve ({said}); in the loop there would be no champion yet.",)


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


def _report(
    plan: Plan, data: str, trained: Sequence[Trained], grid: Sequence[GridPoint], turns: Sequence[Sequence[Turn]]
) -> BacktestReport:
    """Sum up the turns of every policy, and then of every point of the grid."""
    task = next(found.candidate.task for found in trained if found.candidate is not None)
    name = metric.primary(plan.spec, task)
    greater = metric.metrics_of(plan.spec)[name].greater_is_better
    make = partial(line_of, end=plan.end, greater_is_better=greater)
    lines = tuple(make(policy, found) for policy, found in zip(NAMES, turns, strict=False))
    made = [make(OWN, found, settings=point.settings) for point, found in zip(grid, turns[len(NAMES) :], strict=True)]
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


def _notes(plan: Plan, trained: Sequence[Trained], lines: Sequence[Line]) -> Iterator[str]:
    """What a reader must know to believe the numbers."""
    yield "Serving is not judged (a backtest has no server), and what the gate accepts is promoted without approval."
    delay = plan.spec.data.label_delay
    if delay >= plan.every:
        late = -(-delay // plan.every)
        yield (
            f"Outcomes come {format_duration(delay)} after the event and a step is {format_duration(plan.every)}: what "
            f"monitoring knows of them at a step is of {late} step{'' if late == 1 else 's'} before, or older."
        )
    if plan.spec.training.refit:
        yield "Under every policy, what serves is refitted on all rows (training.refit) after it was judged."
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
            "Of some steps it is not known whether a fresh model would have done better: they and the next ones have "
            "fewer than ten blocks of gate.champion.block. They count neither as decay nor as false alarm, and the "
            "columns say of how many it is known."
        )
