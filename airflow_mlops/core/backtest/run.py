"""The time machine: replay history through the loop's own stages, under one policy and another, and compare.

Everything a policy decides on lies before the step at which it decides; only the measurement of what came of it looks
further. There is no server, so the gate's rule on serving is off, and nobody who approves: what the gate accepts is
promoted at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from airflow_mlops.core.backtest.cache import ResultCache, identity_of
from airflow_mlops.core.backtest.costs import RetrainingCost, cost_of
from airflow_mlops.core.backtest.futures import measure_future
from airflow_mlops.core.backtest.grid import GridPoint
from airflow_mlops.core.backtest.inputs import HISTORY, InputSources
from airflow_mlops.core.backtest.loss_tasks import measure_served, measure_served_before, train_before
from airflow_mlops.core.backtest.measures import line_of, with_front, with_objective
from airflow_mlops.core.backtest.peers.registry import PEERS, why_left_out
from airflow_mlops.core.backtest.plan import Plan, history_of
from airflow_mlops.core.backtest.policies import NAMES, ORACLE, OWN, find_oracle, tells_history
from airflow_mlops.core.backtest.pool import Call, CallRunner, Tell, open_runner
from airflow_mlops.core.backtest.replay import replay
from airflow_mlops.core.backtest.score_log import SubfolderStorage
from airflow_mlops.core.backtest.tasks import judge, train
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
    policies: Sequence[str] = NAMES,
    grid: Sequence[GridPoint] = (),
    state: str | None = None,
    workers: int = 1,
    tell: Tell = lambda _done, _asked, _words: None,
) -> tuple[BacktestReport, Storage]:
    """Replay history under policies, and under the specification's own at every point of a grid.

    Parameters
    ----------
    plan
        What `plan_of` made.
    open_store
        Opens the source; it is called in every process, so it can be sent to one.
    open_storage
        Opens a folder by its URI or path; an empty path is `[mlops] storage`.
    policies
        What `policies_of` made: names of policies, the specification's own among them; and perhaps the oracle.
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
    store = open_store()
    identity = identity_of(plan, store)
    if state is None:
        open_folder: Callable[[], Storage] = partial(open_subfolder, open_storage, identity.name)
    else:
        open_folder = partial(open_storage, state)
    storage = open_folder()
    ResultCache(storage).claim(identity)
    history = _history(plan, store, policies)
    if history is not None:
        ResultCache(SubfolderStorage(storage, HISTORY)).claim(identity_of(history, store))
    sources = InputSources(plan=plan, open_store=open_store, open_storage=open_folder, history=history)
    with open_runner(sources, workers=workers, tell=tell) as runner:
        trained = _train_all(runner, plan, history)
        _require_a_model(plan, trained)
        asked, left_out = _choose(runner, policies, trained)
        if ORACLE in policies:
            _measure_all(runner, trained)
        replays = [*((name, plan.spec) for name in asked), *((OWN, point.spec) for point in grid)]
        found = _replay_all(runner, replays)
        price = _price(plan, trained, found.turns[0])
        oracle = _oracle(runner, price, found.versions) if ORACLE in policies else None
        refusal = _refusal_of_the_first(runner, plan, trained)
    report = _report(plan, identity.data, trained, grid, Found(asked=asked, replayed=found, oracle=oracle, price=price))
    return replace(report, notes=(*report.notes, *left_out, *refusal)), storage


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What came of the replays."""

    turns: Sequence[tuple[Turn, ...]]
    """In the order of the replays."""
    versions: tuple[int, ...]
    """All that served in one of them."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one retraining costs here."""

    cost: RetrainingCost
    span: timedelta
    """Length of the steps that count in the mean loss."""

    @property
    def each(self) -> float:
        """What one retraining adds to the mean loss."""
        return self.cost.over(self.span)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that a report is made of."""

    asked: Sequence[str]
    replayed: Replayed
    oracle: Sequence[Turn] | None
    """None: nobody asked for it."""
    price: Price


def open_subfolder(open_storage: Callable[[str], Storage], name: str) -> Storage:
    """Open a folder below `[mlops] storage`."""
    return SubfolderStorage(open_storage(""), name)


def _history(plan: Plan, store: DataStore, policies: Sequence[str]) -> Plan | None:
    """The steps before the span, where a policy is tuned on them and there are enough."""
    if not any(PEERS[name].tuned for name in policies if name in PEERS):
        return None
    bounds = store.bounds(plan.spec.data.time)
    return None if bounds is None else history_of(plan, bounds[0])


def _train_all(runner: CallRunner, plan: Plan, history: Plan | None) -> list[Trained]:
    """Every step's candidate: they depend on the as-of time alone, so they are trained side by side, once for all."""
    versions = range(1, len(plan.steps) + 1)
    calls = [Call(f"training of version {version}", train, (version,)) for version in versions]
    before = range(1, 1 + (0 if history is None else len(history.steps)))
    calls += [Call(f"training of version {version} before the span", train_before, (version,)) for version in before]
    found = runner.run(calls)
    trained = found[: len(versions)]
    known = [version for version, one in zip(before, found[len(versions) :], strict=True) if one.outcome == "trained"]
    runner.run(
        [Call(f"losses of version {version} before the span", measure_served_before, (version,)) for version in known]
    )
    if plan.spec.training.refit:
        runner.run([Call(f"refit of version {version}", train, (plan.refit_of(version),)) for version in versions])
    return trained


def _measure_all(runner: CallRunner, trained: Sequence[Trained]) -> None:
    """The losses of every model at every step: peers decide by what they may know of them, the oracle by all."""
    known = [version for version, found in enumerate(trained, 1) if found.outcome == "trained"]
    runner.run([Call(f"losses of version {version}", measure_served, (version,)) for version in known])


def _choose(
    runner: CallRunner, policies: Sequence[str], trained: Sequence[Trained]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Policies that can be asked here, and a note of each that cannot."""
    policies = [name for name in policies if name != ORACLE]
    if not any(name in PEERS for name in policies):
        return tuple(policies), ()
    task = next(found.candidate.task for found in trained if found.candidate is not None)
    (history,) = runner.run([Call("losses before the span", tells_history, ())])
    why = {name: why_left_out(name, task, history=history) for name in policies if name in PEERS}
    asked = tuple(name for name in policies if why.get(name) is None)
    return asked, tuple(f"The policy {name} is left out: {reason}." for name, reason in why.items() if reason)


def _price(plan: Plan, trained: Sequence[Trained], turns: Sequence[Turn]) -> Price:
    """What one retraining costs, over the steps that count."""
    first = next(found.candidate for found in trained if found.candidate is not None)
    ends = [*(turn.as_of for turn in turns[1:]), plan.end]
    lengths = (end - turn.as_of for turn, end in zip(turns, ends, strict=True) if turn.loss is not None)
    cost = cost_of(plan.spec, first, metric.primary(plan.spec, first.task))
    return Price(cost=cost, span=sum(lengths, timedelta(0)))


def _oracle(runner: CallRunner, price: Price, versions: Sequence[int]) -> Sequence[Turn]:
    """The turns of the best schedule over the models of all steps, and those of which a policy knew of a change."""
    (found,) = runner.run([Call("schedule of the oracle", find_oracle, (price.each, tuple(versions)))])
    return found


def _replay_all(runner: CallRunner, replays: Sequence[tuple[str, ModelSpec]]) -> Replayed:
    """The turns of every replay, and then, each once, the futures that say what came of them."""
    # What monitors takes longest: begun last, it would keep one process busy while the others have nothing to do.
    order = sorted(range(len(replays)), key=lambda number: replays[number][0] != OWN)
    found = runner.run([Call(f"policy {replays[number][0]}", replay, replays[number]) for number in order])
    replayed = [turns for _, turns in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]
    keys = sorted({key for turns in replayed for turn in turns for key in (turn.serving, turn.before)})
    measured = runner.run([Call(f"future of version {key.version}", measure_future, key) for key in keys])
    futures = dict(zip(keys, measured, strict=True))
    served = sorted({turn.serving.version for turns in replayed for turn in turns})
    return Replayed(turns=[tuple(turn.finish(futures) for turn in turns) for turns in replayed], versions=tuple(served))


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
    plan: Plan, data: str, trained: Sequence[Trained], grid: Sequence[GridPoint], found: Found
) -> BacktestReport:
    """Sum up the turns of every policy, and then of every point of the grid."""
    task = next(one.candidate.task for one in trained if one.candidate is not None)
    name = metric.primary(plan.spec, task)
    greater = metric.metrics_of(plan.spec)[name].greater_is_better
    turns, asked, price = found.replayed.turns, found.asked, found.price
    make = partial(line_of, end=plan.end, greater_is_better=greater)
    best = None if found.oracle is None else make(ORACLE, found.oracle)
    oracle = None if best is None else with_objective(best, price.each, None, greater_is_better=greater)

    def made(policy: str, of: Sequence[Turn], settings: Mapping[str, str] | None = None) -> Line:
        line = make(policy, of, settings=settings)
        return with_objective(line, price.each, None if oracle is None else oracle.objective, greater_is_better=greater)

    lines = tuple(made(policy, one) for policy, one in zip(asked, turns, strict=False))
    points = [made(OWN, one, point.settings) for point, one in zip(grid, turns[len(asked) :], strict=True)]
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
        grid=with_front(points, greater_is_better=greater),
        notes=(price.cost.words(name), *_notes(plan, trained, lines)),
        retraining_cost=price.each,
        oracle=oracle,
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
