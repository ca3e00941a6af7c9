"""Each task is the stage's own function, and its answer is named after what it depends on and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from airflow_mlops.core.backtest.futures import measure_future
from airflow_mlops.core.backtest.grid import grid_of
from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.tasks import (
    gate_settings,
    judge,
    judge_by_point,
    refer,
    score,
    serving_version,
    train,
    watch,
    watch_settings,
)
from airflow_mlops.core.gate import decide, evaluate, unserved_spec
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.training import reference_profile, refit
from airflow_mlops.spec.model import ModelSpec
from tests.support.backtest_calls import sources
from tests.support.drifting_stream import START, plan, specification, stream


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
    spec = unserved_spec(specification())
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


def test_short_steps_are_pooled_until_there_are_blocks_enough(tmp_path: Path) -> None:
    stream().to_parquet(tmp_path / "orders.parquet")
    weekly = replace(sources(tmp_path), plan=plan(every=timedelta(days=7))).open()
    assert [train(weekly, version).outcome for version in (1, 2)] == ["trained", "trained"]
    last = len(weekly.plan.steps) - 1
    known, alone = (measure_future(weekly, step, 1, 2) for step in (3, last))
    assert known.rows == 7 * 60
    assert known.behind is not None
    assert (alone.lower, alone.behind) == (None, None)  # nothing comes after it


def test_so_short_steps_that_not_even_some_of_them_say_anything_are_not_known(tmp_path: Path) -> None:
    stream().to_parquet(tmp_path / "orders.parquet")
    daily = replace(sources(tmp_path), plan=plan(every=timedelta(days=1), end=START + timedelta(days=9))).open()
    assert [train(daily, version).outcome for version in (1, 2)] == ["trained", "trained"]
    assert measure_future(daily, 2, 1, 2).behind is None


@pytest.fixture(scope="module")
def refits(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Inputs of a specification that refits, with two trained versions."""
    folder = tmp_path_factory.mktemp("refits")
    stream().to_parquet(folder / "orders.parquet")
    made = replace(sources(folder), plan=plan(refitting())).open()
    assert [train(made, version).outcome for version in (1, 2)] == ["trained", "trained"]
    return made


def refitting() -> ModelSpec:
    plain = specification().training.model_dump(mode="json")
    return specification(training={**plain, "refit": True})


def test_a_refit_has_a_number_of_its_own_and_is_the_stages_own(refits: Inputs) -> None:
    again = refits.plan.refit_of(2)
    assert (refits.plan.judged_of(again), refits.plan.judged_of(2)) == (2, 2)
    assert (refits.plan.step_of(again), refits.plan.changed_of(again)) == (1, None)
    later = refits.plan.version_of(4, refits.plan.steps[4].start - timedelta(minutes=30))
    assert refits.plan.judged_of(refits.plan.refit_of(later)) == later
    assert refits.plan.changed_of(refits.plan.refit_of(later)) == refits.plan.changed_of(later)
    assert train(refits, again).outcome == "trained"
    snapshot, frame = refits.rows(2)
    by_hand = refit(refits.spec, snapshot, frame, refits.candidate(2), refits.pipeline(2))
    pipelines = by_hand.pipeline, refits.pipeline(again)
    one, other = (predict(pipeline, frame, refits.candidate(again)) for pipeline in pipelines)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert refits.candidate(again).train.end == refits.candidate(2).holdout.end


def test_what_serves_is_the_refit_by_the_evidence_of_what_was_judged(refits: Inputs) -> None:
    spec = refits.spec
    serving, seconds = serving_version(refits, spec, 2, None, gated=True)
    assert (serving, seconds >= 0) == (refits.plan.refit_of(2), True)
    judged, refitted = judge(refits, spec, 2, None).decision, judge(refits, spec, serving, None).decision
    assert judged.verdict is refitted.verdict is Verdict.ACCEPT
    assert refitted.refit_of is not None
    assert (refitted.refit_of.version, refitted.refit_of.decision) == (2, judged.digest)
    assert serving_version(refits, specification(), 2, None, gated=True) == (2, 0.0)
    served = [(1, serving)]
    seen = watch(refits, spec, 2, served, judged_against=None, history=(), performances=())
    assert seen.performance.promised == judged.evaluation.candidate_metrics["log_loss"]
    assert not [reason for reason in seen.performance.reasons if "its holdout rows give" in reason]
    assert seen.drift.reference == refits.candidate(serving).train
    profile, before = refer(refits, serving).profile, refer(refits, 2).profile
    assert (profile.outputs, profile.importance) == (before.outputs, before.importance)
