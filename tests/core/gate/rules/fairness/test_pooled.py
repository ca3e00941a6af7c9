"""What follows where rows are missing, in the gate: wait, record, or pool windows that no model has learned from."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.gate import decide, evaluate
from airflow_mlops.core.gate.rules.fairness.pooled import pool_windows
from airflow_mlops.core.records.decision import GateDecision, RuleResult, Verdict
from airflow_mlops.core.training.fit import fit
from airflow_mlops.spec.problems import ReasonCode
from tests.core.gate.rules.fairness.test_judge import ODDS, PARITY
from tests.support.core_loop import SERVED, Loop

LOGISTIC, TREE = "sklearn.linear_model.LogisticRegression", "sklearn.tree.DecisionTreeClassifier"


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
