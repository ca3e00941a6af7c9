"""The specification's own policy beside the published ones, on the same streams and the same models.

Every model of every step is trained once, and its losses at all later steps are measured once. The peers, the calendars
and the oracle are led through that matrix, at several costs of a retraining; the specification's own policy, whose
decisions do not depend on the cost, is replayed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.backtest.pool import end_with_parent
from benchmarks.report import Table
from benchmarks.zoo.measure import Zoo, _one_thread_each
from benchmarks.zoo.truth import EVERY

if TYPE_CHECKING:
    from airflow_mlops.core.backtest.inputs import Inputs
    from airflow_mlops.core.backtest.losses import LossTable
    from airflow_mlops.core.backtest.oracle import Path as Schedule
    from benchmarks.zoo.folders import KnownStream

RATIOS = (0.002, 0.01, 0.05)
"""A retraining costs so much of the first model's metric on its holdout, for `PER`."""
PER = timedelta(days=30)
OURS, OUR_DATES, ORACLE = "ours", "our_dates", "oracle"
BOUNDS = (OUR_DATES, ORACLE, "best_calendar")
"""Not policies: one has the dates of ours with the models of a schedule, and the others know the future."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One policy on one stream, at one cost of a retraining."""

    stream: str
    ratio: float
    policy: str
    loss: float
    retrainings: int
    objective: float
    to_oracle: float
    """Objective as a multiple of the oracle's."""


def measure_peers(zoo: Zoo, names: Sequence[str], workers: int = 2) -> tuple[Table, dict[str, Any]]:
    """Run the streams; return their table, and all outcomes."""
    found: dict[str, Sequence[Outcome]] = {}
    with _one_thread_each(), ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        running = {pool.submit(run_peers, zoo, name): name for name in names}
        for ended in as_completed(running):
            name = running[ended]
            found[name] = ended.result()
            print(f"  {name}: {len(found[name])} outcomes", file=sys.stderr, flush=True)
    outcomes = [outcome for name in names for outcome in found[name]]
    title = f"{len(names)} streams, {zoo.variant} numbers, seed {zoo.seed}, {zoo.weeks} weeks"
    kept = {"seed": zoo.seed, "variant": zoo.variant, "weeks": zoo.weeks}
    return make_peers_table(title, outcomes), {**kept, "outcomes": [asdict(outcome) for outcome in outcomes]}


def run_peers(zoo: Zoo, name: str) -> Sequence[Outcome]:
    """Run one stream, unless it is finished."""
    import warnings

    warnings.filterwarnings("ignore")  # as in the zoo itself
    kept = zoo.runs / f"{name}-peers.json"
    if kept.exists():
        return [Outcome(**outcome) for outcome in json.loads(kept.read_text())]
    outcomes = compare(name, open_with_history(zoo.stream(name), zoo.runs / name))
    half = kept.with_suffix(".half")
    half.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    half.replace(kept)
    return outcomes


def open_with_history(stream: KnownStream, work: Path) -> Inputs:
    """Open the inputs of a stream, with those of the steps before its span."""
    from airflow_mlops.core.backtest.inputs import InputSources
    from airflow_mlops.core.backtest.plan import history_of
    from benchmarks.zoo.run import open_inputs, openers

    plan = open_inputs(stream, work, EVERY).plan
    open_store, open_storage = openers(stream, plan, work)
    bounds = open_store().bounds(plan.spec.data.time)
    history = None if bounds is None else history_of(plan, bounds[0])
    return InputSources(plan=plan, open_store=open_store, open_storage=lambda: open_storage(""), history=history).open()


def compare(name: str, inputs: Inputs) -> Sequence[Outcome]:
    """Lead every policy through the steps of a stream, at every cost."""
    from airflow_mlops.core.backtest.costs import cost_of
    from airflow_mlops.core.backtest.loss_tasks import table_of
    from airflow_mlops.core.backtest.policies import first_version
    from airflow_mlops.core.metrics import measure as metric

    own = _own_schedule(inputs)
    table = table_of(inputs, [version for _, version in own.served])
    first = inputs.candidate(first_version(inputs))
    outcomes: list[Outcome] = []
    for ratio in RATIOS:
        cost = cost_of(inputs.spec, first, metric.primary(inputs.spec, first.task), share=ratio)
        price = cost.over(table.span)
        schedules = {OURS: own, OUR_DATES: with_plain_models(own, table), **_schedules(inputs, table, ratio)}
        outcomes += outcomes_of(name, ratio, table, schedules, price)
    return outcomes


def _own_schedule(inputs: Inputs) -> Schedule:
    from airflow_mlops.core.backtest.oracle import Path as Schedule
    from airflow_mlops.core.backtest.policies import OWN
    from airflow_mlops.core.backtest.replay import replay

    turns = replay(inputs, OWN, inputs.spec)
    served = tuple((turn.serving.step, turn.serving.version) for turn in turns)
    return Schedule(served=served, retrained=tuple(turn.serving.step for turn in turns if turn.turn.retrained))


def with_plain_models(schedule: Schedule, table: LossTable) -> Schedule:
    """The same promotions, each of the model that a schedule would have trained: on the whole window.

    What is left of our lead is that of when we train; the rest is that of learning a change from its own rows.
    """
    from airflow_mlops.core.backtest.oracle import Path as Schedule

    first = {version: step for step, version in reversed(schedule.served)}
    served = tuple((step, table.trained(first[version])[0]) for step, version in schedule.served)
    return Schedule(served=served, retrained=schedule.retrained)


def _schedules(inputs: Inputs, table: LossTable, ratio: float) -> dict[str, Schedule]:
    """What the simple policies, the peers and the two that know the future would do at a cost."""
    from airflow_mlops.core.backtest.costs import cost_of
    from airflow_mlops.core.backtest.oracle import best_path, objective_of
    from airflow_mlops.core.backtest.peers.calendar import train_every
    from airflow_mlops.core.backtest.peers.registry import PEERS, why_left_out
    from airflow_mlops.core.backtest.peers.rules import simulate
    from airflow_mlops.core.backtest.policies import first_version, peer_input, tells_history
    from airflow_mlops.core.metrics import measure as metric

    first = inputs.candidate(first_version(inputs))
    cost = cost_of(inputs.spec, first, metric.primary(inputs.spec, first.task), share=ratio)
    price, given, history = cost.over(table.span), peer_input(inputs, cost), tells_history(inputs)
    found = {"never": simulate(table, train_every(None)), "always": simulate(table, train_every(1))}
    for name, peer in PEERS.items():
        if why_left_out(name, first.task, history=history) is None:
            found[name] = simulate(table, peer.make(given))
    calendars = [simulate(table, train_every(period)) for period in (None, *range(1, len(table.steps)))]
    found["best_calendar"] = min(calendars, key=lambda one: objective_of(table, one, price) or math.inf)
    found[ORACLE] = best_path(table, price)
    return found


def outcomes_of(
    stream: str, ratio: float, table: LossTable, schedules: Mapping[str, Schedule], price: float
) -> list[Outcome]:
    """Hold every schedule against the oracle's.

    Raises
    ------
    ValueError
        If no step of the stream has a loss.
    """
    from airflow_mlops.core.backtest.oracle import objective_of

    objectives = {policy: objective_of(table, schedule, price) for policy, schedule in schedules.items()}
    best = objectives[ORACLE]
    if best is None:
        raise ValueError(f"no step of {stream} has a loss")
    return [
        Outcome(
            stream=stream,
            ratio=ratio,
            policy=policy,
            loss=table.mean_loss(schedule.served) or 0.0,
            retrainings=len(schedule.retrained),
            objective=objectives[policy] or 0.0,
            to_oracle=(objectives[policy] or 0.0) / best,
        )
        for policy, schedule in schedules.items()
    ]


def make_peers_table(title: str, outcomes: Sequence[Outcome]) -> Table:
    """Put the outcomes into a table: at each cost a row for each stream, and means below."""
    policies = tuple(dict.fromkeys(outcome.policy for outcome in outcomes))
    ratios = tuple(dict.fromkeys(outcome.ratio for outcome in outcomes))
    rows: list[tuple[str, ...]] = []
    words: list[str] = []
    for ratio in ratios:
        by = {(outcome.stream, outcome.policy): outcome for outcome in outcomes if outcome.ratio == ratio}
        streams = tuple(dict.fromkeys(stream for stream, _ in by))
        cells = {stream: [_cell(by.get((stream, policy))) for policy in policies] for stream in streams}
        rows.extend((f"{ratio:.1%}", stream, *cells[stream]) for stream in streams)
        known = [[one.to_oracle for one in by.values() if one.policy == policy] for policy in policies]
        means = [f"{math.fsum(found) / len(found):.4f}" if found else "-" for found in known]
        rows.append((f"{ratio:.1%}", "mean, times the oracle", *means))
        rows.append(
            (f"{ratio:.1%}", "worst, times the oracle", *(f"{max(found, default=math.nan):.4f}" for found in known))
        )
        words += [f"At {ratio:.1%}, {sentence}" for sentence in beaten_by(streams, by)]
    return Table(
        title=f"Peers on {title}",
        heads=("cost", "stream", *policies),
        rows=tuple(rows),
        notes=(
            f"A retraining costs so much of the first model's metric for {PER.days} days.",
            "A cell: objective (mean loss plus cost of the retrainings), times the oracle's, retrainings.",
            "our_dates: the promotions of ours, of models of the whole window. oracle, best_calendar see the future.",
            "Who is left out of a stream has a mean over the others.",
            *words,
        ),
    )


def beaten_by(streams: Sequence[str], by: Mapping[tuple[str, str], Outcome]) -> list[str]:
    """Say of each stream which peer is better than ours, and by how much."""
    words = []
    for stream in streams:
        ours = by[stream, OURS]
        others = [one for (name, policy), one in by.items() if name == stream and policy not in {OURS, *BOUNDS}]
        best = min(others, key=lambda one: one.objective)
        more = ours.objective / best.objective - 1
        words.append(f"{stream}: ours is {more:+.2%} against the best other, {best.policy}.")
    return words


def _cell(found: Outcome | None) -> str:
    return "-" if found is None else f"{found.objective:.4g}, {found.to_oracle:.3f}, {found.retrainings}"
