"""The matrix of losses is that of the models on the rows that came, by the metric's own function."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from airflow_mlops.core.backtest.futures import measure_future
from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.loss_tasks import (
    losses_before,
    measure_losses,
    measure_served_before,
    row_errors,
    table_of,
    train_before,
)
from airflow_mlops.core.backtest.losses import mean_of
from airflow_mlops.core.backtest.plan import history_of
from airflow_mlops.core.backtest.tasks import train
from tests.support.backtest_calls import sources
from tests.support.drifting_stream import A_DAY, FIRST, plan, specification, stream

DAY = timedelta(days=1)
STEPS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("losses")
    rows = stream()
    rows["size"] = 10 * rows["load"] + np.where(rows["late"] == 1, 3.0, -3.0)
    rows.to_parquet(made / "orders.parquet")
    return made


@pytest.fixture(scope="module")
def inputs(folder: Path) -> Inputs:
    """Four steps of ten days after five of history."""
    made = plan(start=FIRST + 80 * DAY, end=FIRST + 120 * DAY)
    return replace(sources(folder), plan=made, history=history_of(made, FIRST)).open()


def test_a_step_loss_is_that_of_the_future(inputs: Inputs) -> None:
    for version in range(1, STEPS + 1):
        train(inputs, version)
    pairs = [(version, step) for version in range(1, STEPS + 1) for step in measure_losses(inputs, version).steps]
    assert [(version, step.step) for version, step in pairs] == [
        (version, step) for version in range(1, STEPS + 1) for step in range(version - 1, STEPS)
    ]
    futures = [measure_future(inputs, step.step, version, version) for version, step in pairs]
    assert [step.rows for _, step in pairs] == [future.rows for future in futures]
    assert [step.loss for _, step in pairs] == pytest.approx([future.loss for future in futures])


def test_blocks_are_the_days_of_it(inputs: Inputs) -> None:
    """Ten days of 60 rows, each by scikit-learn's own function."""
    train(inputs, 1)
    found = measure_losses(inputs, 1).steps[0]
    frame, labels = inputs.future(0, inputs.candidate(1))
    chances = inputs.pipeline(1).predict_proba(frame[["load", "distance"]])
    days = ((frame["ordered_at"] - pd.Timestamp(inputs.plan.start)) // DAY).to_numpy()
    assert len(found.blocks) == 10
    for number, block in enumerate(found.blocks):
        assert (block.start, block.rows) == (inputs.plan.start + number * DAY, A_DAY)
        assert block.loss == pytest.approx(log_loss(labels[days == number], chances[days == number]))
    assert mean_of(found.blocks) == pytest.approx(found.loss)


def test_the_holdout_is_the_candidates_own(inputs: Inputs) -> None:
    train(inputs, 1)
    found, candidate = measure_losses(inputs, 1), inputs.candidate(1)
    assert found.holdout_loss == pytest.approx(candidate.metrics["log_loss"])
    assert found.holdout[0].start == candidate.holdout.start
    assert sum(block.rows for block in found.holdout) == candidate.holdout_rows


def test_an_answer_is_computed_once(inputs: Inputs) -> None:
    train(inputs, 2)
    assert measure_losses(inputs, 2) == measure_losses(inputs, 2)


def test_the_table_has_every_model_of_every_step(inputs: Inputs) -> None:
    made = table_of(inputs)
    assert dict(made.trained_at) == {1: 0, 2: 1, 3: 2, 4: 3}
    assert made.weights == dict.fromkeys(range(STEPS), 0.25)
    assert (made.delay, made.every, made.span) == (DAY, 10 * DAY, 40 * DAY)


def test_errors_of_rows_are_wrong_classes_in_order_of_time(inputs: Inputs) -> None:
    train(inputs, 1)
    found = row_errors(inputs, 1, 1)
    frame, labels = inputs.future(1, inputs.candidate(1))
    wrong = (inputs.pipeline(1).predict(frame[["load", "distance"]]) != labels).astype(float)
    assert (np.diff(found.times.astype("int64")) >= 0).all()
    assert found.errors.tolist() == wrong.tolist()
    made = table_of(inputs)
    served = ((0, 1), (1, 1), (2, 1))
    assert len(made.known(2, served[:2]).new_errors()) == 10 * A_DAY
    assert len(made.known(1, served[:1]).new_errors()) == 9 * A_DAY  # the last day's labels are not known yet


def test_steps_before_the_span_are_known_as_far_as_their_labels_are(inputs: Inputs) -> None:
    assert inputs.history is not None
    assert [train_before(inputs, version).outcome for version in range(1, 6)] == ["trained"] * 5
    last = measure_served_before(inputs, 5)
    found = losses_before(inputs)
    assert found is not None
    assert [step.start for step in found.steps] == [FIRST + (30 + 10 * n) * DAY for n in range(5)]
    assert found.rows(4) == 9 * A_DAY
    assert found.loss(5, 4) == pytest.approx(mean_of(last.steps[0].blocks[:9]))


def test_without_steps_before_the_span_there_is_nothing_to_tune_on(folder: Path) -> None:
    bare = sources(folder).open()
    assert losses_before(bare) is None
    with pytest.raises(ValueError, match="no steps before its span"):
        train_before(bare, 1)


def test_errors_of_numbers_have_no_unit(folder: Path, tmp_path: Path) -> None:
    """Absolute errors in units of their mean on the holdout."""
    (tmp_path / "orders.parquet").write_bytes((folder / "orders.parquet").read_bytes())
    data = {**specification().model_dump(mode="json", exclude_unset=True)["data"], "label": "size"}
    spec = specification(data=data, training={"estimator": "sklearn.linear_model.Ridge"})
    made = plan(spec, start=FIRST + 30 * DAY, end=FIRST + 50 * DAY)
    numbers = replace(sources(tmp_path), plan=made).open()
    train(numbers, 1)
    found = row_errors(numbers, 0, 1)
    frame, labels = numbers.future(0, numbers.candidate(1))
    error = np.abs(numbers.pipeline(1).predict(frame[["load", "distance"]]) - labels)
    assert (found.errors * numbers.candidate(1).metrics["mae"]).tolist() == pytest.approx(error.tolist())


def test_under_refit_the_table_is_that_of_the_refitted_models(folder: Path, tmp_path: Path) -> None:
    """They serve; their holdout is what the recipe achieved before it had learned from it."""
    (tmp_path / "orders.parquet").write_bytes((folder / "orders.parquet").read_bytes())
    plain = specification().training.model_dump(mode="json", exclude_unset=True)
    refitting = plan(specification(training={**plain, "refit": True}), start=FIRST + 30 * DAY, end=FIRST + 50 * DAY)
    made = replace(sources(tmp_path), plan=refitting).open()
    table = table_of(made, [1, refitting.refit_of(2)])
    again = [refitting.refit_of(version) for version in (1, 2)]
    assert list(table.trained_at.items()) == [(again[0], 0), (again[1], 1), (1, 0)]
    assert (table.fresh(0), table.fresh(1)) == (again[0], again[1])
    assert table.models[again[0]].holdout_loss == pytest.approx(made.candidate(1).metrics["log_loss"])
    future = measure_future(made, 1, again[0], again[0])
    assert table.loss(again[0], 1) == pytest.approx(future.loss)
    assert table.loss(again[0], 1) != table.loss(1, 1)
