"""Outcomes joined to predictions: mature ones only, and every kind that is broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.snapshot import Window
from tests.support.measured_model import P1, classified, live, made
from tests.support.served_model import (
    Says,
    SaysNumber,
    batch_of,
    day,
    days,
    rows_on,
    served,
    spec_of,
)


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
