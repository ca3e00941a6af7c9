"""A bound that rows are missing for: they are named, and what follows is what the specification says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.gate import decide, evaluate
from airflow_mlops.core.gate.rules.fairness.judge import judge
from airflow_mlops.core.gate.rules.fairness.pooled import pool_windows
from airflow_mlops.core.records.decision import GateDecision, RuleResult, Verdict
from airflow_mlops.core.training.fit import fit
from airflow_mlops.spec.problems import ReasonCode
from tests.core.gate.rules.fairness.test_judge import ODDS, PARITY, bench_for, rule_for, sample
from tests.support.core_loop import SERVED, Loop

LOGISTIC, TREE = "sklearn.linear_model.LogisticRegression", "sklearn.tree.DecisionTreeClassifier"
WAYS = ("wait", "record", "pool")


def small(rows: int = 160, **rule: Any) -> RuleResult:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.5, "M": 0.5}, rows)
    return rule_for(judge(bench_for(frame, judged, block, **rule)), PARITY)


def test_the_missing_rows_are_named_and_how_long_a_holdout_has_them() -> None:
    found = small()
    assert (found.verdict, found.code, found.value) == (Verdict.INCONCLUSIVE, ReasonCode.GROUPS_UNDECIDED, None)
    assert "the bound 0.1 takes 192 rows in each of two groups" in found.reason
    assert "missing are rows of sex = " in found.reason
    assert " of 192 rows)" in found.reason
    assert "a gate.holdout of about " in found.reason
    assert "gate.fairness.undecided = wait: the champion stays" in found.reason
    assert found.rows_needed is not None
    assert 380 < found.rows_needed < 480


def test_with_the_rows_that_it_names_it_is_decided() -> None:
    needed = small().rows_needed
    assert needed is not None
    assert small(needed + 30).code is not ReasonCode.GROUPS_UNDECIDED


def test_a_wider_bound_and_a_rarer_prediction_need_fewer_rows() -> None:
    assert small(**{f"max_{PARITY}": 0.3}).verdict is Verdict.ACCEPT
    frame, judged, block = sample(np.random.default_rng(2), {"F": 0.05, "M": 0.05}, 160)
    assert rule_for(judge(bench_for(frame, judged, block)), PARITY).verdict is Verdict.ACCEPT


def test_odds_count_the_rows_that_a_rate_is_of() -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.5, "M": 0.5}, 2000)
    judged.y_true[:] = (np.arange(2000) % 40 == 0).astype(int)  # 25 of 1,000 rows of a group are true
    found = judge(bench_for(frame, judged, block))
    assert rule_for(found, PARITY).verdict is Verdict.ACCEPT
    result = rule_for(found, ODDS)
    assert result.code is ReasonCode.GROUPS_UNDECIDED
    assert "rows where it is true)" in result.reason
    assert {group.value: group.judged for group in found.evidence["groups"]} == {"F": True, "M": True}


@pytest.mark.parametrize("way", WAYS)
def test_what_was_seen_above_its_bound_is_never_waived(way: str) -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.42, "M": 0.58}, 400)
    inputs = bench_for(frame, judged, block, undecided="wait" if way == "pool" else way)
    result = rule_for(judge(inputs), PARITY)
    assert (result.verdict, result.code, result.enforced) == (Verdict.INCONCLUSIVE, ReasonCode.GROUPS_DIFFER, True)
    assert result.rows_needed is not None
    assert result.rows_needed > 400


def test_so_many_rows_would_have_made_a_difference_sure() -> None:
    rng = np.random.default_rng(1)
    frame, judged, block = sample(rng, {"F": 0.42, "M": 0.58}, 400)
    needed = rule_for(judge(bench_for(frame, judged, block)), PARITY).rows_needed
    assert needed is not None
    many = [np.tile(part, -(-needed // 400)) for part in (frame.sex.to_numpy(), judged.y_true, judged.y_pred)]
    again = replace(judged, y_true=many[1], y_pred=many[2], probabilities=None)
    wide = pd.DataFrame({"sex": many[0]})
    found = rule_for(judge(bench_for(wide, again, rng.integers(0, 200, len(wide)))), PARITY)
    assert found.verdict is Verdict.REJECT


def test_one_group_only_is_still_a_rejection() -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.5}, 500)
    (result,) = judge(bench_for(frame, judged, block, undecided="record")).rules
    assert (result.verdict, result.code) == (Verdict.REJECT, ReasonCode.GROUP_MISSING)


def test_a_difference_of_the_primary_metric_needs_the_rows_of_its_own_spread() -> None:
    rng = np.random.default_rng(3)
    frame, judged, block = sample(rng, {"F": 0.5, "M": 0.5}, 400)
    off = {f"max_{PARITY}": None, f"max_{ODDS}": None}
    wide = rule_for(judge(bench_for(frame, judged, block, max_metric_difference=0.5, **off)), "log_loss")
    assert wide.verdict is Verdict.ACCEPT
    tight = rule_for(judge(bench_for(frame, judged, block, max_metric_difference=0.01, **off)), "log_loss")
    assert tight.code is ReasonCode.GROUPS_UNDECIDED


# -- in the gate ------------------------------------------------------------------------------------------------------


def frame_of(loop: Loop, rows: int = 1600, lift: float = 0.0, seed: int = 2) -> pd.DataFrame:
    """A column that says the label but for a third of the rows; of group g, and more so of group h."""
    rng = np.random.default_rng(seed)
    frame = loop.frame(rows, seed=seed)
    frame["group"] = rng.choice(["g", "h"], rows)
    wrong = rng.random(rows) < np.where(frame["group"] == "h", 0.2 + lift, 0.2)
    frame["a"] = np.where(wrong, -1.0, 1.0) * np.where(frame["y"], 1.0, -1.0) + 0.3 * rng.normal(size=rows)
    return frame


def decided(loop: Loop, way: str, frame: pd.DataFrame, estimator: str = LOGISTIC, **rule: Any) -> GateDecision:
    fairness = {"columns": ["group"], "undecided": way, **rule}
    features = {"numeric": ["a", "b"]}
    spec = loop.spec(estimator, gate={"fairness": fairness, "leakage": {"mode": "off"}}, features=features)
    snapshot = loop.snapshot(spec, frame)
    fitted = fit(spec, snapshot, frame)
    found = evaluate(spec, loop.candidate(fitted), fitted.pipeline, None, None, frame, snapshot=snapshot, served=SERVED)
    return decide(spec, loop.candidate(fitted), found, now=loop.as_of)


def fairness_of(decision: GateDecision) -> dict[str, RuleResult]:
    return {one.metric: one for one in decision.evaluation.rules if one.rule == "fairness"}


def test_waiting_is_inconclusive_and_recording_goes_on(loop: Loop) -> None:
    frame = frame_of(loop)
    waits, records = (decided(loop, way, frame) for way in ("wait", "record"))
    assert {one.code for one in fairness_of(waits).values()} == {ReasonCode.GROUPS_UNDECIDED}
    assert waits.verdict is Verdict.INCONCLUSIVE
    assert records.verdict is Verdict.ACCEPT
    assert records.would is Verdict.INCONCLUSIVE
    assert [one.enforced for one in fairness_of(records).values()] == [False, False]
    assert any(reason.startswith("recorded only: the demographic parity difference") for reason in records.reasons)


def test_pooled_windows_decide_what_the_holdout_does_not(loop: Loop) -> None:
    found = decided(loop, "pool", frame_of(loop))
    results = fairness_of(found)
    assert len(results) == 2
    for result in results.values():
        assert "pooled with 3 earlier windows, each predicted by a model of the same recipe" in result.reason
    assert results[PARITY].verdict is Verdict.ACCEPT
    assert results[PARITY].rows > 1200


def test_pooled_rows_are_predicted_by_models_that_have_not_seen_them(loop: Loop) -> None:
    """A tree knows its own rows by heart, of both groups: as they are they would show no difference at all."""
    frame = frame_of(loop, rows=4000, lift=0.3)
    found = decided(loop, "pool", frame, TREE, max_demographic_parity_difference=None, min_rows=500)
    result = fairness_of(found)[ODDS]
    assert "pooled" in result.reason
    assert result.value is not None
    # Of its neighbours a row learns 0.65 or 0.35, of g it has the right ones in 0.8, of h in 0.5.
    assert result.value == pytest.approx(0.3 * 0.3, abs=0.04)


def test_windows_that_leave_too_little_to_learn_from_are_not_pooled(loop: Loop) -> None:
    inputs = loop.bench(LOGISTIC, gate={"holdout": "25d", "fairness": {"columns": ["c"]}})
    found = pool_windows(inputs)
    assert found.inputs is None
    assert "lengthen data.window" in found.words
    short = replace(
        inputs,
        candidate=replace(
            inputs.candidate,
            train=replace(inputs.candidate.train, end=inputs.candidate.train.start + timedelta(days=1)),
        ),
    )
    assert pool_windows(short).inputs is None


def test_pooled_rows_are_whole_windows_and_keep_their_labels(loop: Loop) -> None:
    inputs = loop.bench(LOGISTIC, gate={"fairness": {"columns": ["c"]}})
    pooled = pool_windows(inputs).inputs
    assert pooled is not None
    assert len(pooled.rows) == len(pooled.labels) == len(pooled.judged.y_true) == len(pooled.judged.known)
    assert pooled.rows["id"].is_unique
    assert set(inputs.rows["id"]) < set(pooled.rows["id"])
    assert pooled.rows["t"].min() >= pd.Timestamp(inputs.candidate.train.start)
    assert (pooled.labels == pooled.rows["y"]).all()
    assert pooled.block is not None
    assert len(np.unique(pooled.block)) > 14
