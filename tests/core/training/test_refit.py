"""A refit repeats a recipe on every row, decides nothing anew, and answers the same question or is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.training.fit import Fitted, fit
from airflow_mlops.core.training.reference_profile import reference_profile
from airflow_mlops.core.training.refit import refit, refitted_profile
from airflow_mlops.spec import ModelSpec
from tests.support.fitting import LOGISTIC

HISTOGRAM = "sklearn.ensemble.HistGradientBoostingClassifier"


def refitted(loop: Any, spec: ModelSpec, frame: pd.DataFrame, **judged: Any) -> tuple[Fitted, Fitted]:
    """What was judged, and its refit."""
    snapshot = loop.snapshot(spec, frame)
    before = fit(spec, snapshot, frame)
    record = loop.candidate(before, snapshot_fingerprint=snapshot.fingerprint, **judged)
    return before, refit(spec, snapshot, frame, record, before.pipeline)


@pytest.mark.parametrize(
    ("estimator", "kind"),
    [(HISTOGRAM, "binary"), (LOGISTIC, "multiclass"), ("sklearn.linear_model.Ridge", "regression")],
)
def test_it_is_the_same_pipeline_fitted_on_training_part_gap_and_holdout(loop: Any, estimator: str, kind: str) -> None:
    spec, frame = loop.spec(estimator), loop.frame(1500, kind=kind)
    before, after = refitted(loop, spec, frame)
    rows = frame[(frame["t"] >= before.train.start) & (frame["t"] < before.holdout.end)]
    assert len(after.train_frame) == len(rows) > len(before.train_frame) + len(before.holdout_frame)
    by_hand = clone(before.pipeline).fit(after.train_frame, after.train_labels.to_numpy())
    one, other = (predict(pipeline, frame, after) for pipeline in (after.pipeline, by_hand))
    np.testing.assert_array_equal(one.values, other.values)
    if one.probabilities is not None:
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert not np.array_equal(one.values, predict(before.pipeline, frame, before).values)
    assert (after.train.start, after.train.end, after.holdout) == (
        before.train.start,
        before.holdout.end,
        before.holdout,
    )
    assert (after.metrics, after.classes, after.task) == ({}, before.classes, before.task)
    pd.testing.assert_frame_equal(after.holdout_frame, before.holdout_frame)


def test_done_again_it_is_the_same_and_what_was_judged_stays_as_it_is(loop: Any) -> None:
    spec, frame = (
        loop.spec("sklearn.ensemble.RandomForestClassifier", training={"parameters": {"n_estimators": 5}}),
        (loop.frame(900)),
    )
    before, first = refitted(loop, spec, frame)
    _, second = refitted(loop, spec, frame.copy())
    said = predict(before.pipeline, frame, before).probabilities
    one, two = (predict(each.pipeline, frame, each).probabilities for each in (first, second))
    assert one is not None
    np.testing.assert_array_equal(one, two)
    again = fit(spec, loop.snapshot(spec, frame), frame)
    np.testing.assert_array_equal(said, predict(again.pipeline, frame, again).probabilities)


def test_the_parameters_that_a_search_found_are_not_searched_again(loop: Any) -> None:
    search = {"method": "grid", "parameters": {"C": [1e-4, 1.0, 100.0]}, "folds": 2}
    spec = loop.spec(LOGISTIC, training={"search": search})
    before, after = refitted(loop, spec, loop.frame(900))
    assert after.parameters == before.parameters
    assert after.parameters["C"] in {1e-4, 1.0, 100.0}


@pytest.mark.parametrize("calibration", ["always", "never"])
def test_probabilities_are_calibrated_where_they_were(loop: Any, calibration: str) -> None:
    spec = loop.spec(HISTOGRAM, training={"calibration": calibration})
    before, after = refitted(loop, spec, loop.frame(900))
    kinds = [type(each.pipeline[-1]) is CalibratedClassifierCV for each in (before, after)]
    assert kinds == [calibration == "always"] * 2
    assert after.parameters == before.parameters


def test_rows_count_as_their_weights_say(loop: Any) -> None:
    frame = loop.frame(1200)
    frame["w"] = np.where(frame.index % 3 == 0, 0.0, 1.0)
    spec = loop.spec(LOGISTIC)
    spec = spec.model_copy(update={"data": spec.data.model_copy(update={"weight": "w"})})
    listed = spec.features.model_copy(update={"numeric": ("a", "b"), "categorical": ("c",)})
    spec = spec.model_copy(update={"features": listed})
    _, after = refitted(loop, spec, frame)
    _, without = refitted(loop, spec, frame[frame["w"] > 0])
    one, other = (predict(each.pipeline, frame, each).probabilities for each in (after, without))
    np.testing.assert_allclose(one, other, rtol=0, atol=5e-3)  # the scaler is of all rows


def test_it_begins_where_the_training_began_that_knew_of_a_change(loop: Any) -> None:
    spec, frame = loop.spec(LOGISTIC), loop.frame(1200)
    snapshot = loop.snapshot(spec, frame)
    before = fit(spec, snapshot, frame)
    start = before.train.start + (before.train.end - before.train.start) / 2
    record = loop.candidate(before, snapshot_fingerprint=snapshot.fingerprint, changed=start)
    record = replace(record, train=replace(record.train, start=start))
    after = refit(spec, snapshot, frame, record, before.pipeline)
    assert (after.train.start, after.changed) == (start, start)
    assert after.train_times.min() >= start


def test_a_class_that_was_not_judged_is_refused(loop: Any) -> None:
    spec, frame = loop.spec(LOGISTIC), loop.frame(1500)
    frame["y"] = frame["y"].astype("int64")
    frame.loc[frame.index[-50:], "y"] = 2
    with pytest.raises(TrainingError, match="1 classes in the rows that were judged on"):
        refitted(loop, spec, frame)


def test_other_rows_than_were_judged_are_refused(loop: Any) -> None:
    spec, frame = loop.spec(LOGISTIC), loop.frame(900)
    snapshot = loop.snapshot(spec, frame)
    before = fit(spec, snapshot, frame)
    with pytest.raises(TrainingError, match="which was judged"):
        refit(spec, snapshot, frame, loop.candidate(before, snapshot_fingerprint="other"), before.pipeline)


def test_a_value_that_is_broken_in_the_gap_is_refused(loop: Any) -> None:
    spec, frame = loop.spec(LOGISTIC), loop.frame(1500)
    snapshot = loop.snapshot(spec, frame)
    before = fit(spec, snapshot, frame)
    gap = frame.index[(frame["t"] >= before.train.end) & (frame["t"] < before.holdout.start)]
    assert len(gap) > 0
    frame.loc[gap[0], "b"] = np.inf
    record = loop.candidate(before, snapshot_fingerprint=snapshot.fingerprint)
    with pytest.raises(DataError, match="infinite values in 1 of"):
        refit(spec, snapshot, frame, record, before.pipeline)


def test_predictions_that_are_not_finite_are_refused(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import Ridge

    spec, frame = loop.spec("sklearn.linear_model.Ridge"), loop.frame(900, kind="regression")
    snapshot = loop.snapshot(spec, frame)
    before = fit(spec, snapshot, frame)
    record = loop.candidate(before, snapshot_fingerprint=snapshot.fingerprint)
    plain = Ridge.predict

    def broken(self: Ridge, inputs: Any) -> Any:
        said = plain(self, inputs)
        said[:3] = np.nan
        return said

    monkeypatch.setattr(Ridge, "predict", broken)
    with pytest.raises(TrainingError, match="not finite, of 3 of"):
        refit(spec, snapshot, frame, record, before.pipeline)


def test_its_profile_counts_all_rows_and_keeps_what_the_judged_model_said(loop: Any) -> None:
    spec, frame = loop.spec(LOGISTIC), loop.frame(1500)
    before, after = refitted(loop, spec, frame)
    snapshot = loop.snapshot(spec, frame)
    judged = reference_profile(spec, snapshot, before)
    profile = refitted_profile(spec, snapshot, after, judged)
    assert (profile.rows, profile.window) == (len(after.train_frame), after.train)
    assert (profile.outputs, profile.importance) == (judged.outputs, judged.importance)
    assert [column.name for column in profile.columns] == [column.name for column in judged.columns]
    assert sum(profile.columns[0].counts) + profile.columns[0].missing == profile.rows


def test_a_time_that_the_pipeline_makes_numbers_of_is_not_in_its_profile(loop: Any) -> None:
    listed = {"numeric": ["a"], "categorical": ["c"], "calendar": {"t": ["hour", "weekday"]}}
    spec, frame = loop.spec(LOGISTIC, features=listed), loop.frame(1200)
    before, after = refitted(loop, spec, frame)
    snapshot = loop.snapshot(spec, frame)
    judged = reference_profile(spec, snapshot, before)
    profile = refitted_profile(spec, snapshot, after, judged)
    assert "t" in {feature.name for feature in after.features}
    assert [column.name for column in profile.columns] == [column.name for column in judged.columns]
    assert "t" not in {column.name for column in profile.columns}
