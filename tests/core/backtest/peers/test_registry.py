"""Every peer: it sees nothing of the future, it beats no oracle, and what it needs is said in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from airflow_mlops.core.backtest.costs import RetrainingCost
from airflow_mlops.core.backtest.losses import LossTable, RowErrors
from airflow_mlops.core.backtest.oracle import best_path, objective_of
from airflow_mlops.core.backtest.peers import registry
from airflow_mlops.core.backtest.peers.registry import PEERS, missing_library, why_left_out
from airflow_mlops.core.backtest.peers.rules import PeerInput, simulate
from airflow_mlops.core.records.backtest import StepLoss
from tests.support.loss_tables import WEEK, drawn

COST = RetrainingCost(worse_by=0.03, per=WEEK)


def given(seed: int) -> PeerInput:
    return PeerInput(history=drawn(seed + 100, steps=6), cost=COST, every=WEEK)


def shuffled(made: LossTable, from_step: int, seed: int) -> LossTable:
    """The same table, with everything that is not known at the start of a step put in another order and scale."""
    rng = np.random.default_rng(seed)
    limit = made.steps[from_step].start - made.delay

    def changed(step: StepLoss) -> StepLoss:
        blocks = tuple(
            block if block.end <= limit else replace(block, loss=float(rng.uniform(0, 3))) for block in step.blocks
        )
        return step if blocks == step.blocks else replace(step, blocks=blocks, loss=float(rng.uniform(0, 3)))

    def later(model: int) -> bool:
        return made.trained_at[model] >= from_step

    models = {
        version: replace(
            model,
            steps=tuple(map(changed, model.steps)),
            # The holdout of a model that is trained later is not known either.
            holdout_loss=float(rng.uniform(0, 3)) if later(version) else model.holdout_loss,
            holdout=tuple(reversed(model.holdout)) if later(version) else model.holdout,
        )
        for version, model in made.models.items()
    }
    errors_of = made.errors_of
    assert errors_of is not None

    def errors_too(step: int, version: int) -> RowErrors:
        found = errors_of(step, version)
        known = found.times < np.datetime64(limit.replace(tzinfo=None), "us")
        return replace(found, errors=np.where(known, found.errors, 1 - found.errors))

    return replace(made, models=models, errors_of=errors_too)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("seed", range(3))
def test_another_future_changes_no_earlier_decision(name: str, seed: int) -> None:
    made = drawn(seed, steps=12)
    before = simulate(made, PEERS[name].make(given(seed)))
    for step in (3, 7, 10):
        after = simulate(shuffled(made, step, seed), PEERS[name].make(given(seed)))
        assert after.served[:step] == before.served[:step]
        # What is known at the step itself is the same too, so that its decision is.
        assert (step in after.retrained) is (step in before.retrained)


def test_the_shuffled_future_is_another_one() -> None:
    """Else the test above could not fail: who is shown all of it decides otherwise."""
    made = drawn(1, steps=12)
    assert best_path(shuffled(made, 7, 1), 0.01).served != best_path(made, 0.01).served
    assert shuffled(made, 7, 1).known(7, [(n, 1) for n in range(7)]).served_blocks() == (
        made.known(7, [(n, 1) for n in range(7)]).served_blocks()
    )


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("worse_by", [0.001, 0.03, 0.5])
def test_no_peer_beats_the_oracle(name: str, worse_by: float) -> None:
    for seed in range(3):
        made = drawn(seed)
        cost = replace(COST, worse_by=worse_by)
        price = cost.over(made.span)
        path = simulate(made, PEERS[name].make(replace(given(seed), cost=cost)))
        found, best = (objective_of(made, one, price) for one in (path, best_path(made, price)))
        assert found is not None
        assert best is not None
        assert found >= best - 1e-12


def test_these_are_the_peers() -> None:
    assert list(PEERS) == [
        *("calendar", "cusum", "adwin", "ddm"),
        *("cara_threshold", "cara_cumulative", "cara_periodic", "upf"),
    ]


def test_who_is_left_out_has_a_reason() -> None:
    assert why_left_out("ddm", "regression", history=True) == "it counts wrong classes, and the label is a number"
    assert why_left_out("ddm", "multiclass", history=False) is None
    assert why_left_out("adwin", "regression", history=False) is None
    for name in ("calendar", "cusum", "cara_threshold", "cara_cumulative", "cara_periodic", "upf"):
        assert "choose a later --from" in str(why_left_out(name, "binary", history=False))
        assert why_left_out(name, "binary", history=True) is None


def test_without_river_its_detectors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_library(["adwin", "cusum"]) is None
    absent: Callable[[], bool] = lambda: False  # noqa: E731
    monkeypatch.setattr(registry, "has_river", absent)
    found = missing_library(["never", "adwin", "cusum", "ddm"])
    assert str(found).count("\n") == 0
    assert "--policies: found adwin, ddm, which the library river decides" in str(found)
    assert "install river" in str(found)
    assert missing_library(["never", "cusum"]) is None
