"""A replay begins with the first model, goes through every step, and asks for the futures that tell what came of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_mlops.core.backtest.replay import FutureKey, ReplayedTurn, replay
from airflow_mlops.core.records.backtest import Future, Turn
from tests.support.backtest_calls import sources
from tests.support.drifting_stream import FIRST, plan, specification, stream

KEYS = FutureKey(step=3, version=4, newest=4), FutureKey(step=3, version=2, newest=4)


def test_steps_before_the_first_model_are_left_out(tmp_path: Path) -> None:
    stream(days=70).to_parquet(tmp_path / "orders.parquet")
    early = plan(start=FIRST + timedelta(days=1), end=FIRST + timedelta(days=71))
    inputs = replace(sources(tmp_path), plan=early).open()
    always, never = (replay(inputs, name, specification()) for name in ("always", "never"))
    first = always[0].serving.step
    assert 0 < first < 4
    assert len(always) == len(never) == len(early.steps) - first
    assert [each.turn.action for each in always] == ["start", *["retrain"] * (len(always) - 1)]
    for number, (promoted, stayed) in enumerate(zip(always, never, strict=True)):
        step = first + number
        assert promoted.turn.as_of == promoted.turn.serving == early.steps[step].start
        assert promoted.serving == FutureKey(step=step, version=step + 1, newest=step + 1)
        assert promoted.before == FutureKey(step=step, version=max(step, first + 1), newest=step + 1)
        assert stayed.turn.serving == early.steps[first].start
        assert stayed.serving == stayed.before == FutureKey(step=step, version=first + 1, newest=step + 1)


@pytest.mark.parametrize(
    ("lower", "retrained", "alarm"), [(0.1, True, False), (-0.1, True, True), (None, True, False), (-0.1, False, False)]
)
def test_a_retraining_is_a_false_alarm_where_the_model_had_not_decayed(
    lower: float | None, retrained: bool, alarm: bool
) -> None:
    start = FIRST
    turn = Turn(as_of=start, action="retrain", retrained=retrained, promoted=True, serving=start, reason="")
    futures = {
        KEYS[0]: Future(rows=9, loss=0.25, seconds=1),
        KEYS[1]: Future(rows=9, loss=0.5, gain=0.25, lower=lower, seconds=1),
    }
    done = ReplayedTurn(turn=turn, serving=KEYS[0], before=KEYS[1]).finish(futures)
    assert (done.rows, done.loss, done.behind, done.false_alarm) == (9, 0.25, False, alarm)
    assert done.decayed is (None if not retrained or lower is None else lower > 0)


@pytest.mark.parametrize("name", ["always", "schedule"])
def test_under_refit_what_serves_is_refitted(tmp_path: Path, name: str) -> None:
    stream().to_parquet(tmp_path / "orders.parquet")
    plain = specification()
    spec = specification(training={**plain.training.model_dump(mode="json"), "refit": True})
    made, without = (replace(sources(tmp_path / each.training.estimator), plan=plan(each)) for each in (spec, plain))
    inputs = replace(made, open_store=sources(tmp_path).open_store).open()
    served = [turn.serving for turn in replay(inputs, name, spec)]
    assert len(served) == len(without.plan.steps)
    assert all(inputs.plan.judged_of(key.version) != key.version for key in served)
    assert all(inputs.plan.judged_of(key.newest) != key.newest for key in served)
