"""Each task is the stage's own function, and its answer is named after what it depends on and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_mlops.core.backtest.grid import grid_of
from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.tasks import (
    gate_settings,
    judge,
    judge_by_point,
    judged_spec,
    measure_future,
    refer,
    score,
    train,
    watch,
    watch_settings,
)
from airflow_mlops.core.gate import decide, evaluate
from airflow_mlops.core.training import reference_profile
from airflow_mlops.spec.model import ModelSpec
from tests.support.backtest_calls import sources
from tests.support.drifting_stream import specification, stream


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Inputs of the stream, with two trained versions."""
    folder = tmp_path_factory.mktemp("tasks")
    stream().to_parquet(folder / "orders.parquet")
    made = sources(folder).open()
    assert [train(made, version).outcome for version in (1, 2)] == ["trained", "trained"]
    return made


def varied(text: str) -> ModelSpec:
    return grid_of(specification(), [text])[0].spec


def answers(inputs: Inputs, kind: str) -> int:
    return len(inputs.cache.storage.names(f"answers/{kind}"))


def test_a_decision_is_the_gates_own(inputs: Inputs) -> None:
    """What a policy is told is what evaluate and decide say of the same models and rows."""
    spec = judged_spec(specification())
    assert (spec.gate.serving.mode, spec.gate.robustness.mode) == ("off", "off")
    candidate, (snapshot, frame) = inputs.candidate(2), inputs.rows(2)
    evaluation = evaluate(
        spec, candidate, inputs.pipeline(2), inputs.champion(1), inputs.pipeline(1), frame, snapshot=snapshot
    )
    expected = decide(spec, candidate, evaluation, now=candidate.as_of)
    assert judge(inputs, specification(), 2, 1).decision.digest == expected.digest


def test_the_better_point_estimate_is_that_of_the_metric(inputs: Inputs) -> None:
    found, same = judge_by_point(inputs, 2, 1), judge_by_point(inputs, 2, 2)
    assert found.better is (found.candidate < found.champion)
    assert (same.better, same.candidate) == (False, same.champion)


def test_a_reference_is_what_the_training_task_would_freeze(inputs: Inputs) -> None:
    snapshot, _ = inputs.rows(1)
    assert refer(inputs, 1).profile == reference_profile(inputs.spec, snapshot, inputs.fitted(1))


def test_a_window_is_scored_once_and_monitoring_sees_it(inputs: Inputs) -> None:
    assert score(inputs, 0, 1).rows == 600
    seen = watch(inputs, specification(), 1, ((0, 1),), judged_against=None, history=(), performances=())
    assert seen.drift.as_of == inputs.plan.steps[1].start
    assert seen.performance.as_of == inputs.plan.steps[1].start
    scored = answers(inputs, "scored")
    again = watch(inputs, specification(), 1, [(0, 1)], judged_against=None, history=(seen.drift,), performances=())
    assert again == seen
    assert (answers(inputs, "watched"), answers(inputs, "scored")) == (1, scored)


def test_a_window_without_rows_is_scored_with_none(tmp_path: Path) -> None:
    stream(days=40).to_parquet(tmp_path / "orders.parquet")
    short = sources(tmp_path).open()
    train(short, 1)
    assert score(short, 5, 1).rows == 0
    assert measure_future(short, 5, 1, 1).loss is None
    assert train(short, 10).outcome == "invalid"


def test_a_future_is_compared_with_the_newest_model(inputs: Inputs) -> None:
    itself = measure_future(inputs, 4, 1, 1)
    assert (itself.gain, itself.behind) == (None, False)
    beside = measure_future(inputs, 4, 1, 2)
    assert beside.loss == itself.loss
    assert beside.gain is not None


def test_settings_that_a_stage_does_not_read_do_not_change_its_key() -> None:
    spec = specification()
    base = gate_settings(spec), watch_settings(spec)
    texts = ("retraining.cooldown=3d", "monitoring.drift.min_effect=0.7", "gate.champion.confidence=0.6")
    changed = [(gate_settings(varied(text)) != base[0], watch_settings(varied(text)) != base[1]) for text in texts]
    assert changed == [(False, False), (False, True), (True, True)]


def test_a_judgement_is_shared_by_all_whose_gate_is_the_same(inputs: Inputs) -> None:
    judge(inputs, specification(), 2, 1)
    before = answers(inputs, "judged")
    judge(inputs, varied("retraining.cooldown=3d"), 2, 1)
    assert answers(inputs, "judged") == before
    judge(inputs, varied("gate.champion.confidence=0.6"), 2, 1)
    assert answers(inputs, "judged") == before + 1
