"""Each policy does at a step what its name says, and remembers what its controller needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.losses import KnownLosses
from airflow_mlops.core.backtest.peers.registry import PEERS
from airflow_mlops.core.backtest.peers.rules import Wish
from airflow_mlops.core.backtest.policies import (
    NAMES,
    PeerPolicy,
    PolicyContext,
    find_oracle,
    make_policy,
    policies_of,
    promote_by_gate,
    promote_by_point,
)
from airflow_mlops.core.backtest.tasks import judge, judge_by_point, train
from airflow_mlops.core.records.backtest import Trained
from airflow_mlops.spec.problems import SpecError
from tests.support.backtest_calls import sources
from tests.support.drifting_stream import START, specification, stream
from tests.support.loss_tables import drawn


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("policies")
    stream().to_parquet(folder / "orders.parquet")
    return sources(folder).open()


def at(inputs: Inputs, step: int, **changes: Any) -> PolicyContext:
    """The first model has served until `step`."""
    values: dict[str, Any] = {"trained": train(inputs, step + 1), "served": tuple((s, 1) for s in range(step))}
    values |= {"step": step, "version": step + 1, "as_of": START + step * timedelta(days=10)}
    train(inputs, 1)
    return PolicyContext(**{**values, **changes})


BROKEN = Trained(outcome="invalid", problems=("a", "b", "c", "d"), seconds=2.5)


@pytest.mark.parametrize("name", ["always", "schedule", "point_estimate"])
def test_a_step_at_which_nothing_could_be_trained_is_said_to_be_one(inputs: Inputs, name: str) -> None:
    done = make_policy(name, inputs, specification())(at(inputs, 1, trained=BROKEN))
    assert (done.action, done.reason, done.retrained, done.promoted) == ("invalid", "a; b; c", False, False)
    assert done.seconds == 2.5


def test_never_waits_and_always_promotes(inputs: Inputs) -> None:
    context = at(inputs, 1)
    waits, promotes = (make_policy(name, inputs, specification())(context) for name in ("never", "always"))
    assert (waits.action, waits.retrained, waits.promoted, waits.seconds) == ("wait", False, False, 0)
    assert (promotes.action, promotes.retrained, promotes.promoted) == ("retrain", True, True)
    assert promotes.seconds == context.trained.seconds
    assert len(NAMES) == 5


def test_the_gate_and_the_number_decide_what_is_promoted(inputs: Inputs) -> None:
    context = at(inputs, 1)
    decision, number = judge(inputs, specification(), 2, 1), judge_by_point(inputs, 2, 1)
    gated, numbered = promote_by_gate(inputs, specification(), context), promote_by_point(inputs, context)
    assert gated.promoted is (decision.decision.verdict.value == "accept")
    assert gated.reason.startswith(f"{decision.decision.verdict.value}: ")
    assert gated.seconds == pytest.approx(decision.seconds + context.trained.seconds)
    assert numbered.promoted is number.better
    assert f"{number.candidate:.5g} against" in numbered.reason


# -- peers ------------------------------------------------------------------------------------------------------------


def test_policies_are_named_alone_or_together() -> None:
    assert policies_of(["simple"]) == NAMES
    assert policies_of(["peers"]) == ("specification", *PEERS, "oracle")
    assert policies_of(["upf", "always", "upf"]) == ("always", "specification", "upf", "oracle")
    assert policies_of(["never", "oracle"]) == ("never", "specification", "oracle")
    with pytest.raises(SpecError) as refused:
        policies_of(["cusun", "peers", "nobody"])
    said = str(refused.value)
    assert "--policies: found 'cusun'; allowed: one of: never, " in said
    assert "did you mean 'cusum'?" in said
    assert "found 'nobody'" in said


@pytest.mark.parametrize("retrain", [False, True])
def test_a_peer_has_no_gate(inputs: Inputs, retrain: bool) -> None:
    """What it trains is promoted; it is shown what is known at the step."""
    shown: list[KnownLosses] = []

    def rule(known: KnownLosses) -> Wish:
        shown.append(known)
        return Wish(retrain=retrain, reason="because")

    policy = PeerPolicy(drawn(1), rule)
    done = policy(at(inputs, 2))
    assert (done.retrained, done.promoted, done.reason) == (retrain, retrain, "because")
    assert (shown[0].step, shown[0].served) == (2, ((0, 1), (1, 1)))
    broken = policy(at(inputs, 2, trained=BROKEN))
    assert (broken.action, broken.retrained) == ("invalid" if retrain else "wait", False)


@pytest.mark.slow
def test_the_oracle_knows_the_turn(inputs: Inputs) -> None:
    """After the 75th day, step 5; of a training at every step it is as good as none is worse."""
    free, dear = (find_oracle(inputs, price, [1]) for price in (0.0, 100.0))
    assert len(free) == len(dear) == 10
    assert not any(turn.retrained for turn in dear)
    assert min(number for number, turn in enumerate(free) if turn.retrained and number >= 5) in {5, 6, 7, 8}
    assert free[0].action == "start"
    paid = find_oracle(inputs, 0.01, [1])
    assert 1 <= sum(turn.retrained for turn in paid) <= sum(turn.retrained for turn in free)
