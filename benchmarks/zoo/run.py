"""One stream through the backtest, in this process, and the facts that the referee needs of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.zoo.facts import Facts, Look, Step
from benchmarks.zoo.folders import KnownStream
from benchmarks.zoo.oracle import mean_loss, served_versions
from benchmarks.zoo.own import OwnTurn, measure_own, replay_own
from benchmarks.zoo.referee import CHANGING
from benchmarks.zoo.truth import EVERY, Truth

if TYPE_CHECKING:
    from airflow_mlops.core.backtest import Plan
    from airflow_mlops.core.backtest.inputs import Inputs
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.core.records.backtest import BacktestReport, Line
    from airflow_mlops.stores.files.store import FileStore
    from airflow_mlops.stores.sql.store import SqlStore


def run_stream(stream: KnownStream, work: Path, *, own: bool = False) -> Facts:
    """Replay one stream under every policy, and measure the oracle beside them.

    Parameters
    ----------
    stream
        As it was written.
    work
        Folder of finished work: what is in it is not computed again.
    own
        Only the specification's own policy and what the referee holds it against: the same verdict, much sooner.

    Returns
    -------
    Facts
        A crash of the code under test is one of them.
    """
    from airflow_mlops.core.backtest import backtest

    began = time.process_time()
    name = stream.folder.name
    try:
        inputs = open_inputs(stream, work, EVERY)
        open_store, open_storage = openers(stream, inputs.plan, work)
        if own:
            found = facts_of_own(name, stream.truth, inputs, open_storage(""))
        else:
            report, storage = backtest(inputs.plan, open_store, open_storage, state=str(work), workers=1)
            found = facts_of(name, stream.truth, inputs, report, storage)
    except Exception as error:  # noqa: BLE001 - whatever ends the code under test is a result, and is shown
        found = Facts(name=name, crash=f"{type(error).__name__}: {str(error)[:300]}")
    return replace(found, seconds=round(time.process_time() - began, 1))


def openers(
    stream: KnownStream, plan: Plan, work: Path
) -> tuple[Callable[[], FileStore | SqlStore], Callable[[str], Storage]]:
    """What a backtest opens its rows and its folder with."""
    from airflow_mlops.cli.backtest import open_folder
    from airflow_mlops.stores.open_source import open_source

    return partial(open_source, plan.spec.data.source, data_root=str(stream.folder)), partial(open_folder, str(work))


def open_inputs(stream: KnownStream, work: Path, every_days: int) -> Inputs:
    """Open what the tasks of a stream's backtest read, at a cadence of so many days."""
    from airflow_mlops.asof import parse_as_of
    from airflow_mlops.core.backtest import plan_of
    from airflow_mlops.core.backtest.cache import ResultCache
    from airflow_mlops.core.backtest.inputs import Inputs
    from airflow_mlops.spec import load_spec

    spec, span = load_spec(stream.folder / "spec.yaml"), stream.span
    start, end = (parse_as_of(day.isoformat()) for day in (span.start, span.end))
    plan = plan_of(spec, start, end, timedelta(days=every_days))
    open_store, open_storage = openers(stream, plan, work)
    return Inputs(plan, ResultCache(open_storage("")), open_store())


def facts_of_own(name: str, truth: Truth, inputs: Inputs, storage: Storage) -> Facts:
    """Replay the specification's own policy alone, and train only what it, the oracle and the referee ask for.

    What a fresh model of each step would lose is asked for only where something is there to be learned. How many
    candidates of a schedule the gate would accept is not known then.
    """
    from airflow_mlops.core.metrics.measure import primary

    plan, changing = inputs.plan, truth.kind in CHANGING
    steps = tuple(_own_steps(inputs, replay_own(inputs), changing=changing))
    first = len(plan.steps) - len(steps)
    never = mean_loss(measure_own(inputs, step, first + 1) for step in range(first, len(plan.steps)))
    return Facts(
        name=name,
        metric=primary(plan.spec, inputs.candidate(first + 1).task),
        steps=steps,
        looks=tuple(sorted(_looks(plan, storage), key=lambda look: look.day)),
        losses={"never": never, "specification": mean_loss((step.rows, step.loss) for step in steps)},
        oracle=_oracle(truth, inputs, steps),
        first_gate=_first_refusal(storage),
    )


def _own_steps(inputs: Inputs, turns: Iterable[OwnTurn], *, changing: bool) -> Iterator[Step]:
    for turn in turns:
        rows, loss = measure_own(inputs, turn.step, turn.serving)
        yield Step(
            day=_day(inputs.plan, inputs.plan.steps[turn.step].start),
            action=turn.chosen.action,
            rule=turn.chosen.reason.partition(":")[0],
            reason=turn.chosen.reason,
            retrained=turn.chosen.retrained,
            promoted=turn.chosen.promoted,
            rows=rows,
            loss=loss,
            fresh=measure_own(inputs, turn.step, turn.step + 1)[1] if changing else None,
        )


def facts_of(name: str, truth: Truth, inputs: Inputs, report: BacktestReport, storage: Storage) -> Facts:
    """Put together what the report and the finished work say."""
    plan = inputs.plan
    lines = {line.policy: line for line in report.lines}
    steps = tuple(_steps(plan, lines["specification"], lines["always"]))
    scheduled = [turn.reason.partition(":")[0] for turn in lines["schedule"].turns[1:]]
    return Facts(
        name=name,
        metric=report.metric,
        steps=steps,
        looks=tuple(sorted(_looks(plan, storage), key=lambda look: look.day)),
        losses={policy: line.mean_loss for policy, line in lines.items()},
        oracle=_oracle(truth, inputs, steps),
        first_gate=_first_refusal(storage),
        scheduled=len(scheduled),
        accepted=scheduled.count("accept"),
    )


def _steps(plan: Plan, own: Line, always: Line) -> Iterator[Step]:
    for turn, fresh in zip(own.turns, always.turns, strict=True):
        yield Step(
            day=_day(plan, turn.as_of),
            action=turn.action,
            rule=turn.reason.partition(":")[0],
            reason=turn.reason,
            retrained=turn.retrained,
            promoted=turn.promoted,
            rows=turn.rows,
            loss=turn.loss,
            fresh=fresh.loss,
        )


def _looks(plan: Plan, storage: Storage) -> Iterator[Look]:
    for seen in _answers(storage, "watched"):
        drift, performance = seen["drift"], seen["performance"]
        estimate = performance.get("estimate")
        yield Look(
            day=_day(plan, datetime.fromisoformat(drift["as_of"])),
            drift=drift["verdict"],
            performance=performance["verdict"],
            estimate=estimate and estimate["verdict"],
            faults=tuple(f"{hint['cause']}:{hint['column']}" for hint in drift["hints"] if hint["pipeline"]),
        )


def _first_refusal(storage: Storage) -> str | None:
    """Code of the first rule that refused the first model that was judged alone."""
    alone = [judged["decision"] for judged in _answers(storage, "judged")]
    alone = [decision for decision in alone if decision["champion_version"] is None]
    first = min(alone, key=lambda decision: str(decision["as_of"]), default=None)
    if first is None or first["verdict"] == "accept":
        return None
    rules = [rule for rule in first["evaluation"]["rules"] if rule["verdict"] != "accept"]
    return next((str(rule["code"]) for rule in rules), str(first["verdict"]))


def _answers(storage: Storage, kind: str) -> Iterator[dict[str, Any]]:
    folder = f"answers/{kind}"
    for name in storage.names(folder):
        if name.endswith(".json"):
            yield json.loads(storage.read_text(f"{folder}/{name}"))


def _oracle(truth: Truth, inputs: Inputs, steps: Sequence[Step]) -> float | None:
    """Mean loss of training and promoting unseen at every step in which there is something to learn, and no other."""
    first = len(inputs.plan.steps) - len(steps)
    served = served_versions([step.day for step in steps], truth.learn, first)
    return mean_loss(measure_own(inputs, step, version) for step, version in enumerate(served, first))


def _day(plan: Plan, at: datetime) -> float:
    return (at - plan.start) / timedelta(days=1)
