"""Where the training part begins when something changed: whichever is better on the newest training rows."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.windows import HELD_OUT, split
from airflow_mlops.core.training.training_start import TrainingRows, choose_start
from tests.support.builders import AS_OF, make_spec

fit_module = sys.modules["airflow_mlops.core.training.fit"]
START, DAY = datetime(2024, 1, 1, tzinfo=UTC), timedelta(days=1)
WINDOW = Window(start=START, end=START + 40 * DAY)
CHANGED = START + 30 * DAY


def rows(turned: bool, noise: float = 0.5, seed: int = 0, regression: bool = False) -> TrainingRows:
    """Rows of 40 days, 30 a day, whose relation turns round at the change, or does not; most columns say nothing."""
    rng = np.random.default_rng(seed)
    times = pd.Series(pd.to_datetime(START) + pd.to_timedelta(np.arange(1200) / 30, unit="D"))
    a, b = rng.normal(size=(2, 1200))
    sign = np.where((times >= CHANGED) & turned, -1.0, 1.0)
    score = sign * a + noise * rng.normal(size=1200)
    labels = pd.Series(score if regression else (score > 0).astype(int))
    inputs = pd.DataFrame(rng.normal(size=(1200, 40))).add_prefix("noise").assign(a=a, b=b)
    return TrainingRows(inputs=inputs, labels=labels, times=times, weights=None)


def pipeline(estimator: Any = None) -> Pipeline:
    return Pipeline([("estimator", estimator or LogisticRegression())])


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize(("turned", "start"), [(True, CHANGED), (False, START)])
def test_old_rows_are_left_out_where_they_mislead_and_kept_where_they_help(
    regression: bool, turned: bool, start: datetime
) -> None:
    task = "regression" if regression else "binary"
    model = pipeline(Ridge() if regression else None)
    spec = make_spec("sklearn.linear_model.Ridge" if regression else "sklearn.linear_model.LogisticRegression")
    chosen = [
        choose_start(spec, task, model, rows(turned, seed=seed, regression=regression), WINDOW, CHANGED)
        for seed in range(5)
    ]
    assert chosen.count(start) >= 4


def test_too_few_young_rows_or_one_class_of_them_choose_nothing() -> None:
    late = START + 39.5 * DAY
    assert choose_start(make_spec(), "binary", pipeline(), rows(True), WINDOW, late) == START
    found = rows(True)
    one = TrainingRows(
        inputs=found.inputs, labels=found.labels.where(found.times < CHANGED, 1), times=found.times, weights=None
    )
    assert choose_start(make_spec(), "binary", pipeline(), one, WINDOW, CHANGED) == START


def test_weights_go_with_their_rows() -> None:
    found = rows(False)
    weighted = TrainingRows(
        inputs=found.inputs, labels=found.labels, times=found.times, weights=np.arange(1200, dtype=float)
    )
    young = weighted.since(CHANGED)
    assert len(young.labels) == len(young.inputs) == len(young.times) == 300
    assert young.weights is not None
    assert young.weights.tolist() == list(range(900, 1200))


@pytest.mark.parametrize(("days", "held"), [(6, 2.0), (30, 10.0), (50, 14.0), (70, 14.0)])
def test_a_change_leaves_a_third_of_what_came_since_to_judge_on(days: int, held: float) -> None:
    spec = make_spec(data={"window": "60d"})
    train, holdout = split(spec, AS_OF, AS_OF - days * DAY)
    assert (holdout.end - holdout.start) / DAY == pytest.approx(held)
    assert (train.end, holdout.end) == (holdout.start, AS_OF)
    assert pytest.approx(1 / 3) == HELD_OUT


def test_a_change_that_is_not_in_the_window_is_no_matter() -> None:
    spec = make_spec(data={"window": "60d"})
    assert split(spec, AS_OF, AS_OF + DAY) == split(spec, AS_OF, AS_OF - 90 * DAY) == split(spec, AS_OF)


class Choosy(LogisticRegression):
    """Refuses few rows, as an estimator of somebody's own may."""

    def fit(self, inputs: Any, labels: Any, sample_weight: Any = None) -> Choosy:
        if len(labels) < 400:
            raise ValueError("too few for me")
        return super().fit(inputs, labels, sample_weight)


def test_an_estimator_that_refuses_what_is_tried_ends_in_one_sentence(
    loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "build_estimator", lambda *_: Choosy())
    spec, frame = loop.spec("sklearn.linear_model.LogisticRegression"), loop.frame(6000)
    with pytest.raises(TrainingError, match="raised ValueError while it was fitted"):
        fit_module.fit(spec, loop.snapshot(spec, frame), frame, changed=loop.as_of - 8 * DAY)


def test_a_training_that_knows_of_a_change_says_so_and_holds_out_what_came_after(loop: Any) -> None:
    spec, frame = loop.spec("sklearn.linear_model.LogisticRegression"), loop.frame(6000)
    changed = loop.as_of - 12 * DAY
    found = fit_module.fit(spec, loop.snapshot(spec, frame), frame, changed=changed)
    assert found.changed == changed
    assert found.holdout.start > changed
    assert found.train.start in {changed, split(spec, loop.as_of)[0].start}
    assert found.train_times.between(found.train.start, found.train.end).all()
    assert len(found.train_times) == len(found.train_frame) == len(found.train_labels)
