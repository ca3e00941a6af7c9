"""What the champion achieved, against scikit-learn on a pandas merge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.snapshot import Window
from tests.support.measured_model import P1, classified, live, made, unknown_because
from tests.support.served_model import (
    Says,
    SaysNumber,
    day,
    days,
    rows_on,
    served,
    spec_of,
)


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


def test_an_undefined_metric_is_unknown():
    one = made(gate={"primary": "roc_auc"})
    rows = live(one, 0, 14)
    one.store.parts.clear()
    one.store.add(rows.assign(y=1))
    unknown_because(one.perform(day(14)), "roc auc is not defined on these rows")
