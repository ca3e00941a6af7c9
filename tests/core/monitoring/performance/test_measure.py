"""Realised performance against brute force, the verdict's error rates, and every kind of bad input."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from sklearn import metrics as sk

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.metrics.registry import METRICS
from airflow_mlops.core.monitoring.performance.measure import prepare
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.stats.two_sample import SampledMetric, drop, sampled
from tests.support.rule_inputs import binary, numbers
from tests.support.served_model import (
    MemoryStore,
    Says,
    SaysNumber,
    Served,
    batch_of,
    day,
    days,
    rows_on,
    served,
    spec_of,
)

P1 = [Feature(name="p1", role="numeric")]


def classified(window: Window, rows: int, rng: np.random.Generator, first: int = 0, wrong: float = 0.0) -> pd.DataFrame:
    """Rows whose classifier is calibrated, but that a share of the outcomes is the other one."""
    p = rng.beta(0.6, 0.6, rows).clip(0.01, 0.99)
    y = (rng.random(rows) < p).astype(int)
    return rows_on(
        window,
        rows,
        rng,
        first,
        p1=p,
        y=np.where(rng.random(rows) < wrong, 1 - y, y),
        region=rng.choice(["n", "s"], rows),
        amount=rng.normal(size=rows),
    )


def made(seed: int = 0, **parts: Any) -> Served:
    rng = np.random.default_rng(seed)
    train, holdout = classified(days(-60, -14), 4600, rng, 10**6), classified(days(-14, 0), 2800, rng, 2 * 10**6)
    return served(spec_of(**parts), holdout, train, Says(), P1)


def live(one: Served, start: int, end: int, seed: int = 5, rows: int = 100, **more: Any) -> pd.DataFrame:
    """Serve day by day; returns every row."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(start, end):
        frame = classified(days(number, number + 1), rows, rng, 10_000 * number, **more)
        one.serve(days(number, number + 1), frame)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def unknown_because(report: PerformanceReport, words: str) -> None:
    assert report.verdict == "unknown", report.reasons
    assert any(words in reason for reason in report.reasons), report.reasons


def test_every_metric_is_scikit_learns_on_a_pandas_merge():
    one = made(gate={"slices": {"columns": ["region", "amount"], "min_rows": 50}})
    rows = live(one, 0, 20)
    report = one.perform(day(20))
    cohort = rows[(rows["t"] >= day(6)) & (rows["t"] < day(20))]
    p, y = cohort["p1"], cohort["y"]
    assert report.window == days(6, 20)
    assert (report.predicted, report.matched, report.coverage, report.immature) == (1400, 1400, 1.0, 0)
    assert report.realised.value == pytest.approx(sk.log_loss(y, p))
    expected = {
        "log_loss": sk.log_loss(y, p),
        "brier": sk.brier_score_loss(y, p),
        "roc_auc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
        "accuracy": sk.accuracy_score(y, p > 0.5),
        "balanced_accuracy": sk.balanced_accuracy_score(y, p > 0.5),
        "f1": sk.f1_score(y, p > 0.5),
        "precision": sk.precision_score(y, p > 0.5),
        "recall": sk.recall_score(y, p > 0.5),
    }
    assert report.metrics == pytest.approx(expected)
    promised = one.champion.candidate.metrics["log_loss"]
    assert report.promised == pytest.approx(promised)
    assert report.drop.value == pytest.approx(sk.log_loss(y, p) - promised)
    assert report.drop.lower < report.drop.value < report.drop.upper
    trained = (
        one.storage.files["snapshots/m/f/data.parquet"].to_pandas().query("t < @day(-14)", local_dict={"day": day})
    )
    share = np.full(len(y), trained["y"].mean())
    assert report.baseline_gain.value == pytest.approx(sk.log_loss(y, share) - sk.log_loss(y, p))
    assert 0 <= report.calibration_error < 0.05
    assert report.bound == pytest.approx(report.promised_gain / 10)
    assert report.urgent_bound == pytest.approx(report.promised_gain / 2)
    for found in report.slices:
        if found.column == "region":
            mine = cohort[cohort["region"] == found.value]
            assert (found.rows, found.realised.value) == (len(mine), pytest.approx(sk.log_loss(mine["y"], mine["p1"])))
    drops = [found.drop for found in report.slices]
    assert drops == sorted(drops, reverse=True)
    assert {found.column for found in report.slices} == {"region", "amount"}
    assert sum(found.rows for found in report.slices if found.column == "amount") == 1400
    assert PerformanceReport.from_json(report.to_text()) == report


def test_errors_add_up_as_they_do_for_means():
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=400), rng.normal(0.1, 2.0, 300)
    settings = {"confidence": 0.95, "resamples": 8000, "seed": 1}
    first, second = (sampled(METRICS["mae"], numbers(np.zeros(len(e)), e), None, **settings) for e in (old, new))
    assert second.error == pytest.approx(np.abs(new).std(ddof=1) / np.sqrt(300), rel=0.03)
    found = drop(first, second, greater_is_better=False, confidence=0.95)
    welch = stats.ttest_ind(np.abs(new), np.abs(old), equal_var=False).confidence_interval(0.9)
    assert (found.lower, found.upper) == pytest.approx((welch.low, welch.high), rel=0.03)


def test_a_sample_of_few_blocks_takes_the_error_of_the_other():
    known = SampledMetric(value=1.0, rows=400, units=16, error=0.1)
    few = SampledMetric(value=2.0, rows=100, units=4)
    found = drop(known, few, greater_is_better=False, confidence=0.9)
    reach = stats.t.ppf(0.9, 15) * np.hypot(0.1, 0.2)
    assert (found.lower, found.upper) == pytest.approx((1 - reach, 1 + reach))
    assert drop(few, few, greater_is_better=False, confidence=0.9).lower is None


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


def test_rows_that_fall_together_widen_the_error():
    rng = np.random.default_rng(3)
    p = np.full(2000, 0.5)
    together = np.repeat(rng.random(20) < 0.5, 100)
    settings = {"confidence": 0.95, "resamples": 500, "seed": 1}
    judged = binary(together, np.where(rng.random(2000) < 0.9, 0.8, 0.2) * 0 + p + 0.1)
    by_day = sampled(METRICS["brier"], judged, np.repeat(np.arange(20), 100), **settings)
    assert by_day.error > 5 * sampled(METRICS["brier"], judged, None, **settings).error


# error rates ---------------------------------------------------------------------------------------------------


def verdicts(count: int, wrong: float, spread: float = 0.0, **parts: Any) -> list[PerformanceReport]:
    """Fresh champions and fresh cohorts; days may differ, before and after alike."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(1000 + seed)

        def noisy(first: int, last: int, extra: float, base: int, rng: np.random.Generator = rng) -> pd.DataFrame:
            frame = classified(days(first, last), 80 * (last - first), rng, base)
            each = extra + spread * rng.random(last - first)
            number = (frame["t"] - pd.Timestamp(day(first))) // pd.Timedelta(days=1)
            flipped = rng.random(len(frame)) < each[number]
            return frame.assign(y=np.where(flipped, 1 - frame["y"], frame["y"]))

        spec = spec_of(gate={"champion": {"resamples": 200}}, **parts)
        one = served(spec, noisy(-14, 0, 0.0, 10**6), noisy(-20, -14, 0.0, 10**6), Says(), P1)
        frame = noisy(0, 14, wrong, 0)
        one.serve(days(0, 14), frame)
        found.append(one.perform(day(14)))
    return found


@pytest.mark.parametrize(("spread", "confidence"), [(0.0, 0.95), (0.2, 0.95), (0.2, 0.8)])
def test_nothing_changed_and_any_sure_drop_is_decay(spread, confidence):
    """With a bound of nothing, at most the level set of champions that have not changed are called decayed."""
    rule = {"performance": {"max_drop": 1e-9, "urgent_drop": 10.0, "estimate": False, "confidence": confidence}}
    found = verdicts(120, 0.0, spread, monitoring=rule)
    decayed = sum(report.verdict == "decay" for report in found)
    assert {report.verdict for report in found} <= {"decay", "ok"}
    assert decayed <= stats.binom.ppf(0.999, 120, 1 - confidence)
    assert decayed >= stats.binom.ppf(0.001, 120, 1 - confidence)  # not by never saying so


def test_the_default_bound_makes_false_alarms_rare_and_finds_what_matters():
    assert not any(
        report.verdict == "decay" for report in verdicts(30, 0.0, monitoring={"performance": {"estimate": False}})
    )
    lost = verdicts(20, 0.12, monitoring={"performance": {"estimate": False}})
    assert sum(report.verdict == "decay" for report in lost) >= 19
    gone = verdicts(10, 0.5, monitoring={"performance": {"estimate": False}})
    assert all(report.urgent for report in gone)


# what is left out ---------------------------------------------------------------------------------------------------


def test_immature_predictions_are_left_out_and_counted():
    one = made(data={"label_delay": "3d"})
    live(one, 0, 20)
    report = one.perform(day(20))
    assert report.window == Window(start=day(3), end=day(17) + timedelta(microseconds=1))
    assert (report.matched, report.immature) == (1400, 300)
    assert report.estimate is not None
    assert report.estimate.window == days(6, 20)
    assert report.estimate.estimated.rows == 300


def test_no_outcome_that_is_not_mature_is_read():
    one = made(data={"label_delay": "3d"}, monitoring={"performance": {"estimate": True}})
    live(one, 0, 20)
    one.store.reads.clear()
    one.perform(day(20))
    with_labels = [window for window, columns in one.store.reads if "y" in columns]
    assert [window.end for window in with_labels] == [day(17) + timedelta(microseconds=1)]
    assert all(window.end <= day(20) for window, _ in one.store.reads)


def test_predictions_of_an_earlier_champion_are_left_out():
    one = made()
    rng = np.random.default_rng(1)
    for number in range(14):
        frame = classified(days(number, number + 1), 100, rng, 10_000 * number)
        one.serve(days(number, number + 1), frame, version=2 if number < 5 else None)
    report = one.perform(day(14))
    assert (report.predicted, report.matched, report.coverage) == (1400, 900, 1.0)
    assert report.realised.rows == 900


def test_the_same_number_of_another_registered_model_is_another_champion():
    one = made()
    live(one, 0, 14)
    other = replace(one, champion=replace(one.champion, run_id="another"))
    unknown_because(other.perform(day(14)), "none of 1,400 predictions")


def test_rows_that_the_champion_was_judged_on_are_no_evidence():
    one = made()
    rng = np.random.default_rng(1)
    for number in range(-7, 7):
        one.serve(days(number, number + 1), classified(days(number, number + 1), 100, rng, 10**5 + 1000 * number))
    report = one.perform(day(7))
    assert (report.predicted, report.matched) == (1400, 700)
    assert (
        "700 predictions are of rows that the champion was trained or judged on: they are left out" in report.problems
    )


def test_weights_count():
    rng = np.random.default_rng(2)
    weigh = {"data": {"weight": "w", "label_delay": "2d"}}
    train, holdout = (
        classified(days(a, b), 2000, rng, n).assign(w=1.0) for a, b, n in ((-60, -14, 10**6), (-14, 0, 10**7))
    )
    one = served(spec_of(**weigh), holdout, train, Says(), P1)
    frame = classified(days(0, 14), 1400, rng).assign(w=rng.integers(0, 4, 1400).astype(float))
    one.serve(days(0, 14), frame)
    report = one.perform(day(16))
    assert report.realised.value == pytest.approx(sk.log_loss(frame["y"], frame["p1"], sample_weight=frame["w"]))
    more = frame.assign(id=frame["id"] + 10**5, t=frame["t"] + pd.Timedelta(days=14), w=7.0).query(
        "t < @end", local_dict={"end": day(15)}
    )
    one.serve(days(14, 28), more)
    later = one.perform(day(15))
    assert later.estimate.estimated.rows == int(((frame["t"] > day(13)).sum()) + len(more))


def test_weights_that_come_with_the_outcome_leave_only_the_estimate_out():
    rng = np.random.default_rng(2)
    train, holdout = (classified(days(a, b), 2000, rng, n).assign(w=1.0) for a, b, n in ((-60, -14, 1), (-14, 0, 5000)))
    one = served(spec_of(data={"weight": "w", "label_delay": "2d"}), holdout, train, Says(), P1)
    frame = classified(days(0, 16), 1600, rng, 10_000)
    one.serve(days(0, 16), frame.assign(w=np.where(frame["t"] > day(14), np.nan, 1.0)))
    report = one.perform(day(16))
    assert (report.verdict, report.estimate) == ("ok", None)
    assert any("no estimate without outcomes: data.weight" in reason for reason in report.reasons)


def test_regression_is_compared_too():
    rng = np.random.default_rng(4)

    def numbers_in(window: Window, rows: int, first: int, noise: float) -> pd.DataFrame:
        x = rng.normal(size=rows)
        return rows_on(window, rows, rng, first, x=x, y=x + noise * rng.normal(size=rows))

    spec = spec_of("sklearn.linear_model.Ridge")
    holdout, train = numbers_in(days(-14, 0), 1400, 10**6, 0.5), numbers_in(days(-60, -14), 4000, 10**7, 0.5)
    one = served(spec, holdout, train, SaysNumber(), [Feature(name="x", role="numeric")])
    frame = numbers_in(days(0, 14), 1400, 0, 0.7)
    one.serve(days(0, 14), frame)
    report = one.perform(day(14))
    assert report.metric == "rmse"
    assert report.realised.value == pytest.approx(np.sqrt(np.mean((frame["x"] - frame["y"]) ** 2)))
    assert report.metrics["r2"] == pytest.approx(sk.r2_score(frame["y"], frame["x"]))
    assert report.calibration_error is None
    assert report.verdict == "decay"
    gained = sk.root_mean_squared_error(frame["y"], np.full(1400, train["y"].mean())) - report.realised.value
    assert report.baseline_gain.value == pytest.approx(gained)


def test_classes_of_text():
    rng = np.random.default_rng(6)
    names = np.array(["a", "b", "c"])

    def three(window: Window, rows: int, first: int) -> pd.DataFrame:
        p = rng.dirichlet([1, 1, 1], rows)
        y = names[(p.cumsum(axis=1) > rng.random(rows)[:, None]).argmax(axis=1)]
        return rows_on(window, rows, rng, first, p1=p[:, 1], p2=p[:, 2], y=y)

    features = [Feature(name=name, role="numeric") for name in ("p1", "p2")]
    one = served(
        spec_of(data={"label_delay": "1d"}),
        three(days(-14, 0), 1400, 10**6),
        three(days(-60, -14), 2000, 10**7),
        Says(names),
        features,
    )
    frame = three(days(0, 15), 3000, 0)
    one.serve(days(0, 15), frame)
    report = one.perform(day(15))
    known = frame[frame["t"] <= day(14)]
    p = np.column_stack([1 - known["p1"] - known["p2"], known["p1"], known["p2"]])
    assert report.realised.value == pytest.approx(sk.log_loss(known["y"], p, labels=names))
    assert report.metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(known["y"], p, multi_class="ovr", labels=names))
    assert report.verdict == "ok"
    assert report.estimate.estimated.value == pytest.approx(report.realised.value, rel=0.15)


@pytest.mark.parametrize("classes", [(False, True), ("no", "yes"), (0.0, 2.0)], ids=str)
@pytest.mark.parametrize("gap", [False, True], ids=["whole", "with gaps"])
def test_classes_and_keys_of_any_kind(classes, gap):
    """An outcome that is missing somewhere turns booleans and whole numbers of a column into something else."""
    rng = np.random.default_rng(6)

    def named(window: Window, rows: int, first: int) -> pd.DataFrame:
        frame = classified(window, rows, rng, first)
        frame["number"] = frame.pop("id").astype("int32")
        return frame.assign(y=np.array(classes)[frame["y"].to_numpy()])

    spec = spec_of(data={"key": ["region", "number"]})
    one = served(spec, named(days(-14, 0), 1000, 10**6), named(days(-60, -14), 1000, 10**7), Says(classes), P1)
    frame = named(days(0, 14), 1400, 0)
    one.log(days(0, 14), frame)
    came = frame["y"].astype(object).where((frame["number"] % 10 > 0) | (not gap), None)
    one.store.add(frame.assign(y=came, number=frame["number"].astype("int64")))
    report = one.perform(day(14))
    known = frame[frame["number"] % 10 > 0] if gap else frame
    assert (report.predicted, report.matched) == (1400, len(known))
    assert report.realised.value == pytest.approx(sk.log_loss(known["y"] == classes[1], known["p1"]))
    assert report.metrics["accuracy"] == pytest.approx(((known["p1"] > 0.5) == (known["y"] == classes[1])).mean())


def test_rows_of_one_entity_count_together():
    rng = np.random.default_rng(6)

    def flown(window: Window, rows: int, first: int) -> pd.DataFrame:
        return classified(window, rows, rng, first).assign(plane=rng.integers(0, 40, rows))

    spec = spec_of(gate={"champion": {"entity": "plane"}}, data={"label_delay": "2d"})
    one = served(spec, flown(days(-14, 0), 1000, 10**6), flown(days(-60, -14), 1000, 10**7), Says(), P1)
    frame = flown(days(0, 16), 1600, 0)
    one.serve(days(0, 16), frame)
    report = one.perform(day(16))
    assert report.verdict == "ok"
    assert report.realised.lower < report.realised.value < report.realised.upper
    assert report.estimate.estimated.rows == report.immature
    one.store.parts.clear()
    one.store.add(frame.drop(columns="plane"))
    report = one.perform(day(16))
    assert report.verdict == "invalid"
    assert "no column 'plane'" in report.reasons[0]


# bad input ---------------------------------------------------------------------------------------------------


def test_no_score_log_is_unknown():
    one = made()
    rng = np.random.default_rng(0)
    one.store.add(classified(days(0, 14), 500, rng))
    report = one.perform(day(14))
    unknown_because(report, "no prediction in")
    assert (report.predicted, report.matched, report.coverage, report.drop, report.realised) == (0, 0, 0.0, None, None)
    assert report.flow.rows == 500
    assert report.estimate is None
    assert PerformanceReport.from_json(report.to_json()) == report


@pytest.mark.parametrize("rows", [1, 2, 12])
def test_a_tiny_window_is_unknown(rows):
    one = made()
    live(one, 13, 14, rows=rows)
    unknown_because(one.perform(day(14)), "needed are 500")


def test_no_outcomes_for_months_is_unknown_and_estimated():
    one = made()
    rng = np.random.default_rng(5)
    for number in range(90):
        frame = classified(days(number, number + 1), 50, rng, 10_000 * number)
        one.serve(days(number, number + 1), frame, known=False)
    report = one.perform(day(90))
    unknown_because(report, "outcomes are known of 0.0% of the predictions")
    assert (report.coverage, report.predicted, report.matched) == (0.0, 700, 0)
    assert report.estimate.verdict == "ok"
    assert report.estimate.estimated.rows == 700
    assert report.estimate.error is None


def test_outcomes_that_come_late_are_unknown_until_half_are_there():
    one = made()
    rows = live(one, 0, 14)
    report = one.perform(day(14))
    assert report.verdict == "ok"
    one.store.parts.clear()
    one.store.add(rows.assign(y=rows["y"].astype(float).where(rows["t"] < day(6))))
    report = one.perform(day(14))
    unknown_because(report, "needed are 50%")
    assert report.matched == report.realised.rows == 600
    assert report.estimate.estimated.rows == 800
    assert report.estimate.error == pytest.approx(0.0, abs=0.06)


def test_outcomes_that_repeat_count_once_and_are_told():
    one = made()
    rows = live(one, 0, 14)
    once = one.perform(day(14))
    one.store.add(rows.iloc[:300])
    one.store.add(rows.iloc[:100].assign(y=None))
    report = one.perform(day(14))
    assert report.problems == ("300 predictions have the same outcome several times: it counts once",)
    assert replace(report, problems=(), flow=None) == replace(once, flow=None)


def test_outcomes_that_contradict_are_invalid():
    one = made()
    rows = live(one, 0, 14)
    one.store.add(rows.iloc[:7].assign(y=1 - rows["y"].iloc[:7]))
    one.store.add(rows.iloc[7:10])
    report = one.perform(day(14))
    assert report.verdict == "invalid"
    assert not report.urgent
    assert report.reasons[0].startswith("7 predictions have outcomes that contradict each other")
    assert report.problems[:2] == (
        "7 predictions have outcomes that contradict each other",
        "3 predictions have the same outcome several times: it counts once",
    )


def test_outcomes_that_are_no_numbers_are_invalid():
    rng = np.random.default_rng(4)
    x = rng.normal(size=1400)
    rows = rows_on(days(0, 14), 1400, rng, x=x, y=np.where(np.arange(1400) == 77, np.inf, x))
    before = rows_on(days(-60, -14), 500, rng, 10**6, x=x[:500], y=x[:500] + 1)
    held = rows_on(days(-14, 0), 500, rng, 10**7, x=x[:500], y=x[:500] + rng.normal(size=500))
    one = served(spec_of("sklearn.linear_model.Ridge"), held, before, SaysNumber(), [Feature(name="x", role="numeric")])
    one.serve(days(0, 14), rows)
    report = one.perform(day(14))
    assert report.verdict == "invalid"
    assert "not a finite number" in report.reasons[0]
    assert report.metrics == {}


def test_a_label_of_another_kind_is_invalid_and_not_decay():
    one = made()
    rows = live(one, 0, 14)
    one.store.parts.clear()
    one.store.add(rows.assign(y=np.where(rows["y"] == 1, "yes", "no")))
    report = one.perform(day(14))
    assert report.verdict == "invalid"
    assert "was the label retyped?" in report.reasons[0]


def test_a_source_without_the_label_is_invalid_and_says_so():
    one = made()
    rows = live(one, 0, 14)
    one.store.parts.clear()
    one.store.add(rows.drop(columns="y"))
    report = one.perform(day(14))
    assert report.verdict == "invalid"
    assert "column_missing" in report.reasons[0]


def test_one_prediction_without_a_key_hides_no_other():
    one = made()
    rng = np.random.default_rng(5)
    for number in range(14):
        frame = classified(days(number, number + 1), 100, rng, 2**53 + 10_000 * number).astype({"id": "Int64"})
        frame.loc[0, "id"] = pd.NA
        one.serve(days(number, number + 1), frame)
    report = one.perform(day(14))
    assert (report.predicted, report.matched, report.verdict) == (1400, 1386, "ok")
    assert report.problems == ("14 rows of the source have no key",)


def test_an_outcome_that_is_not_a_number_is_none():
    one = made()
    live(one, 0, 14)
    batch = batch_of(classified(days(13, 14), 50, np.random.default_rng(1), 10**8))
    one.store.parts.append((day(13), day(14), batch.set_column(3, "y", pa.array(np.full(50, np.nan)))))
    assert one.perform(day(14)).problems == ()


def test_a_key_that_was_retyped_is_invalid_and_says_so():
    one = made()
    rows = live(one, 0, 14)
    one.store.parts.clear()
    one.store.add(rows.assign(id=rows["id"].astype(str)))
    report = one.perform(day(14))
    assert report.verdict == "invalid"
    assert "string, and int64 in the score log" in report.reasons[0]


def test_no_source_is_an_error():
    one = made()
    live(one, 0, 14)
    one.store.parts.clear()
    with pytest.raises(DataError):
        one.perform(day(14))


def test_event_times_that_moved_are_told():
    one = made()
    rows = live(one, 0, 14)
    one.store.parts.clear()
    moved = rows["t"] + pd.to_timedelta(np.where(np.arange(len(rows)) < 40, 1, 0), unit="s")
    one.store.add(rows.assign(t=moved))
    report = one.perform(day(14))
    assert report.matched == 1360
    assert "40 predictions have an outcome only at another event time: the source moved them" in report.problems
    assert "40 outcomes belong to no prediction" in report.problems


def test_clock_skew_is_told_and_changes_nothing():
    one = made()
    live(one, 0, 14)
    plain = one.perform(day(14))
    rng = np.random.default_rng(8)
    ahead = classified(days(14, 16), 60, rng, 10**6)
    one.log(days(14, 16), ahead, at=day(13.5))
    one.store.add(ahead)
    report = one.perform(day(14))
    told = "60 predictions are of event times after as-of, and were made before it: a clock is wrong"
    assert report.problems == (told,)
    assert replace(report, problems=()) == plain


def test_a_replay_does_not_see_the_future():
    one = made()
    live(one, 0, 30)
    report = one.perform(day(20))
    assert report.problems == ()
    assert report.flow.newest <= day(20)
    assert all(window.end <= day(20) for window, _ in one.store.reads)


def test_doubled_predictions_count_once():
    one = made()
    rows = live(one, 0, 13)
    last = classified(days(13, 14), 100, np.random.default_rng(9), 10**6)
    one.log(days(13, 14), pd.concat([last, last.iloc[:10]], ignore_index=True))
    one.store.add(last)
    report = one.perform(day(14))
    assert (report.predicted, report.matched) == (len(rows) + 100, len(rows) + 100)
    assert report.problems == ("10 predictions are of a row that another one is of: one counts",)


def test_failed_predictions_latency_and_freshness_are_the_flow():
    one = made(gate={"champion": {"block": None}})
    frame = classified(days(0, 14), 1400, np.random.default_rng(1))
    failed = np.arange(1400) % 100 == 0
    one.log(days(0, 14), frame, latency_ms=np.arange(1400) / 10, error=np.where(failed, "timeout", None))
    path = "predictions/m/20240101T000000Z_20240115T000000Z/v3.parquet"
    table = one.storage.files[path].to_pandas()
    batch = batch_of(table.assign(prediction=table["prediction"].astype("Int64").mask(failed)))
    one.storage.write_batches(path, iter([batch]), batch.schema)
    one.store.add(frame.assign(p1=frame["p1"].where(np.arange(1400) >= 350)))
    report = one.perform(day(14))
    assert (report.predicted, report.matched) == (1400, 1386)
    assert report.problems == ("14 predictions are missing or not finite: they are left out",)
    flow = report.flow
    assert (flow.errors, flow.rows, flow.predicted) == (14, 1400, 1400)
    assert flow.latency_ms == {
        "p50": pytest.approx(69.95),
        "p99": pytest.approx(np.quantile(np.arange(1400) / 10, 0.99)),
    }
    assert flow.missing == {"p1": 0.25}
    assert flow.newest == frame["t"].max().to_pydatetime()
    assert flow.age_seconds == pytest.approx((day(14) - frame["t"].max()).total_seconds())


def test_a_source_that_went_silent_is_as_old_as_it_is():
    one = made()
    live(one, 0, 14)
    report = one.perform(day(100))
    assert report.verdict == "unknown"
    assert 86 < report.flow.age_seconds / 86_400 < 86.1
    one.store.add(classified(days(200, 201), 10, np.random.default_rng(1), 10**6))
    assert one.perform(day(100)).flow.newest is None


def test_an_undefined_metric_is_unknown():
    one = made(gate={"primary": "roc_auc"})
    rows = live(one, 0, 14)
    one.store.parts.clear()
    one.store.add(rows.assign(y=1))
    unknown_because(one.perform(day(14)), "roc auc is not defined on these rows")


# the promise ---------------------------------------------------------------------------------------------------


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


def test_rows_in_batches_are_the_same_rows():
    class Small(MemoryStore):
        def read(self, window: Window, time: str, columns: Any, *, chunk_rows: int = 50_000) -> Any:
            del chunk_rows
            return super().read(window, time, columns, chunk_rows=7)

    one = made()
    live(one, 0, 14)
    whole = one.perform(day(14))
    small = Small(parts=one.store.parts)
    assert replace(one, store=small).perform(day(14)) == whole


def test_no_time_zone_is_refused():
    with pytest.raises(DataError):
        made().perform(datetime(2024, 1, 15))
