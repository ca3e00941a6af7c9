"""The table of the peers, on outcomes made by hand and on one short stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_mlops.core.backtest.oracle import Path as Schedule
from airflow_mlops.core.backtest.oracle import best_path
from airflow_mlops.core.backtest.peers.calendar import train_every
from airflow_mlops.core.backtest.peers.registry import PEERS
from airflow_mlops.core.backtest.peers.rules import simulate
from benchmarks.zoo.measure import Zoo
from benchmarks.zoo.peers import (
    BOUNDS,
    ORACLE,
    OURS,
    RATIOS,
    Outcome,
    make_peers_table,
    outcomes_of,
    run_peers,
    with_plain_models,
)
from tests.support.loss_tables import drawn


def outcome(policy: str, objective: float, **changes: object) -> Outcome:
    usual = {"stream": "one", "ratio": 0.01, "loss": 0.5, "retrainings": 2, "to_oracle": objective / 0.5}
    return Outcome(policy=policy, objective=objective, **{**usual, **changes})  # type: ignore[arg-type]


def test_the_table_says_who_is_better_and_by_how_much() -> None:
    found = [outcome(OURS, 0.55), outcome("cusum", 0.6), outcome("upf", 0.54), outcome(ORACLE, 0.5)]
    found += [outcome(OURS, 0.5, stream="two", to_oracle=1.0), outcome("cusum", 0.52, stream="two")]
    made = make_peers_table("two streams", found)
    assert made.heads == ("cost", "stream", OURS, "cusum", "upf", ORACLE)
    assert made.rows[0] == ("1.0%", "one", "0.55, 1.100, 2", "0.6, 1.200, 2", "0.54, 1.080, 2", "0.5, 1.000, 2")
    assert made.rows[1][4] == "-"
    assert made.rows[2][2:4] == ("1.0500", "1.1200")
    assert made.rows[3][2:4] == ("1.1000", "1.2000")
    assert "At 1.0%, one: ours is +1.85% against the best other, upf." in made.notes
    assert "At 1.0%, two: ours is -3.85% against the best other, cusum." in made.notes


def test_outcomes_are_held_against_the_oracle() -> None:
    made = drawn(1)
    schedules: dict[str, Schedule] = {OURS: simulate(made, train_every(3)), ORACLE: best_path(made, 0.01)}
    found = {one.policy: one for one in outcomes_of("one", 0.01, made, schedules, 0.01)}
    assert (found[OURS].retrainings, found[ORACLE].to_oracle) == (3, 1.0)
    assert found[OURS].objective == pytest.approx(found[OURS].loss + 3 * 0.01)
    assert found[OURS].to_oracle == pytest.approx(found[OURS].objective / found[ORACLE].objective)


@pytest.mark.slow
def test_a_stream_is_run_once_and_nobody_beats_the_oracle(tmp_path: Path) -> None:
    zoo = Zoo(seed=3, weeks=5, folder=tmp_path)
    found = run_peers(zoo, "small")
    policies = {OURS, "never", "always", *PEERS, *BOUNDS}
    assert len(found) == len(RATIOS) * len(policies)
    assert {one.policy for one in found} == policies
    assert all(one.to_oracle >= 1 - 1e-12 for one in found)
    kept = zoo.runs / "small-peers.json"
    written = kept.stat().st_mtime_ns
    assert run_peers(zoo, "small") == found
    assert kept.stat().st_mtime_ns == written


def test_our_dates_are_ours_with_the_models_of_a_schedule() -> None:
    """Promoted at step 2 a model that knows of a change, kept at 3, promoted at 4; trained in vain at 3."""
    own = Schedule(served=((0, 1), (1, 1), (2, 20003), (3, 20003), (4, 5)), retrained=(2, 3, 4))
    plain = with_plain_models(own, drawn(1, steps=5))
    assert plain.served == ((0, 1), (1, 1), (2, 3), (3, 3), (4, 5))
    assert plain.retrained == own.retrained
