"""What the gate promised, and what stands in for it when it cannot be known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.monitoring.performance.measure import prepare
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.stats.two_sample import sampled
from tests.support.measured_model import classified, live, made, unknown_because
from tests.support.rule_inputs import binary
from tests.support.served_model import (
    day,
    days,
    spec_of,
)


def test_without_the_holdout_rows_their_entities_are_as_many_as_their_rows_suggest():
    one = made(gate={"champion": {"entity": "plane"}})
    for files in (name for name in list(one.storage.files) if name.startswith("snapshots")):
        one.storage.delete(files)
    rng = np.random.default_rng(5)
    frame = classified(days(0, 14), 1400, rng).assign(plane=rng.integers(0, 50, 1400))
    one.serve(days(0, 14), frame)
    report = one.perform(day(14))
    judged = binary(frame["y"], frame["p1"])
    settings = {"confidence": 0.95, "resamples": one.spec.gate.champion.resamples, "seed": one.spec.training.seed}
    error = sampled(METRICS["log_loss"], judged, frame["plane"].to_numpy(), **settings).error
    reach = stats.t.ppf(one.spec.monitoring.performance.confidence, 49) * error * np.sqrt(1 + 1400 / 2800)
    assert report.drop.value - report.drop.lower == pytest.approx(reach, rel=0.02)


def test_without_snapshot_the_verdict_still_comes_and_the_reason_is_told():
    one = made()
    live(one, 0, 14, wrong=0.3)
    del one.storage.files["snapshots/m/f/manifest.json"]
    report = one.perform(day(14))
    assert report.verdict == "decay"
    assert report.baseline_gain is None
    assert report.estimate is None
    assert any("cannot be predicted again" in reason for reason in report.reasons)
    assert any("it needs the holdout rows" in reason for reason in report.reasons)


def test_without_decision_the_promise_is_trainings():
    one = made()
    live(one, 0, 14)
    with_, without = one.perform(day(14)), one.perform(day(14), decision=None)
    assert without.promised == with_.promised
    assert without.promised_gain == pytest.approx(with_.promised_gain)
    assert without.verdict == "ok"


def test_a_gain_that_is_unknown_or_none_has_a_fallback_that_is_told():
    one = made()
    live(one, 0, 14)
    del one.storage.files["snapshots/m/f/manifest.json"]
    report = one.perform(day(14), decision=None)
    assert report.promised_gain is None
    assert (report.bound, report.urgent_bound) == pytest.approx((0.05 * report.promised, 0.25 * report.promised))
    assert any("is not known: bounds are 5% and 25% of the promised value" in reason for reason in report.reasons)
    evaluation = one.decision.evaluation
    none = replace(evaluation, baseline_metrics={"log_loss": evaluation.candidate_metrics["log_loss"] - 0.01})
    report = one.perform(day(14), decision=replace(one.decision, evaluation=none))
    assert report.bound == pytest.approx(0.05 * report.promised)
    assert any("no gain at all" in reason for reason in report.reasons)


def test_bounds_of_the_specification_are_kept():
    one = made(monitoring={"performance": {"max_drop": 0.2}})
    live(one, 0, 14)
    report = one.perform(day(14))
    assert report.bound == 0.2
    assert report.urgent_bound >= 0.2
    one = made(monitoring={"performance": {"urgent_drop": 0.001}})
    live(one, 0, 14)
    report = one.perform(day(14))
    assert (report.bound, report.urgent_bound) == (0.001, 0.001)
    del one.storage.files["snapshots/m/f/manifest.json"]
    for set_, said in (("urgent_drop", "the bound is 5%"), ("max_drop", "the urgent bound is 25%")):
        one.spec = spec_of(monitoring={"performance": {set_: 0.05}})
        report = one.perform(day(14), decision=None)
        assert any(f"is not known: {said} of the promised value" in reason for reason in report.reasons)


def test_a_metric_that_the_gate_never_measured_is_unknown():
    one = made()
    live(one, 0, 14)
    evaluation = replace(one.decision.evaluation, candidate_metrics={})
    del one.storage.files["snapshots/m/f/manifest.json"]
    unknown_because(one.perform(day(14), decision=replace(one.decision, evaluation=evaluation)), "promised no log loss")


def test_prepared_once_is_the_same():
    one = made()
    live(one, 0, 14)
    prepared = prepare(one.spec, one.champion, lambda: one.pipeline, one.storage, decision=one.decision)
    assert one.perform(day(14), prepared=prepared) == one.perform(day(14))


def test_slices_have_the_gates_bins_and_its_promise():
    one = made(gate={"slices": {"columns": ["amount", "region", "nowhere"], "min_rows": 100, "bins": 3}})
    rng = np.random.default_rng(12)
    frame = classified(days(0, 14), 1400, rng)
    bad = frame["region"] == "n"
    flipped = frame.assign(
        y=np.where(bad & (rng.random(1400) < 0.4), 1 - frame["y"], frame["y"]), amount=frame["amount"] + 1
    )
    one.serve(days(0, 14), flipped)
    report = one.perform(day(14))
    assert (report.slices[0].column, report.slices[0].value) == ("region", "n")
    assert report.slices[0].drop > 0.1
    amounts = {found.value: found.rows for found in report.slices if found.column == "amount"}
    held = one.storage.files["snapshots/m/f/data.parquet"].to_pandas().tail(2800)["amount"]
    edges = np.quantile(held, [1 / 3, 2 / 3], method="inverted_cdf")
    expected = np.histogram(flipped["amount"], [-np.inf, *np.nextafter(edges, np.inf), np.inf])[0]
    assert sorted(amounts.values()) == sorted(expected)
    assert all(found.promised is not None for found in report.slices)


def test_what_the_champion_gained_on_the_one_before_it_is_told_on():
    one = made()
    live(one, 0, 14)
    evaluation = one.decision.evaluation
    over = RuleResult(
        rule="champion",
        metric=evaluation.primary,
        verdict=Verdict.ACCEPT,
        value=0.07,
        bound="> 0",
        rows=900,
        code=None,
        reason="it is better",
    )
    decision = replace(one.decision, evaluation=replace(evaluation, rules=(*evaluation.rules, over)))
    assert one.perform(day(14)).displaced_gain is None, "the first model displaced nobody"
    assert one.perform(day(14), decision=decision).displaced_gain == 0.07
