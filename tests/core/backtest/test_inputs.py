"""Inputs come back as they were made, a few of them in memory."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from airflow_mlops.core.backtest.inputs import FrameCache, Inputs
from airflow_mlops.core.backtest.tasks import train
from airflow_mlops.core.training import fit
from tests.support.backtest_calls import sources
from tests.support.drifting_stream import stream


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Inputs of the stream, with two trained versions."""
    folder = tmp_path_factory.mktemp("inputs")
    stream().to_parquet(folder / "orders.parquet")
    made = sources(folder).open()
    assert [train(made, version).outcome for version in (1, 2)] == ["trained", "trained"]
    return made


def test_a_training_comes_back_from_what_was_kept_of_it(inputs: Inputs) -> None:
    again, fresh = inputs.fitted(2), fit(inputs.spec, *inputs.rows(2))
    assert again.holdout == fresh.holdout
    assert again.metrics == fresh.metrics
    pd.testing.assert_frame_equal(again.train_frame, fresh.train_frame)
    pd.testing.assert_frame_equal(again.holdout_frame, fresh.holdout_frame)
    pd.testing.assert_series_equal(again.holdout_labels, fresh.holdout_labels)
    said = again.pipeline.predict_proba(again.holdout_frame)
    assert (said == fresh.pipeline.predict_proba(fresh.holdout_frame)).all()


def test_a_version_is_known_as_the_registry_would_tell_it(inputs: Inputs) -> None:
    champion = inputs.champion(2)
    assert (champion.version, champion.run_id) == (2, "backtest-2")
    assert inputs.candidate(2).as_of == inputs.plan.steps[1].start


def test_the_future_is_the_rows_of_a_step_and_no_others(inputs: Inputs) -> None:
    window = inputs.plan.steps[3]
    frame, labels = inputs.future(3, inputs.candidate(1))
    assert len(frame) == len(labels) == 600
    assert frame["ordered_at"].min() >= window.start
    assert frame["ordered_at"].max() < window.end


def test_futures_are_held_up_to_so_many_rows_the_latest_used_ones() -> None:
    read: list[int] = []

    def frame(rows: int, name: str) -> tuple[pd.DataFrame, pd.Series[Any]]:
        read.append(rows)
        return pd.DataFrame({name: range(rows)}), pd.Series(range(rows))

    cache = FrameCache(frame, most_rows=100)
    for rows in (40, 50, 40, 10, 45, 40, 50):
        assert len(cache(rows, "a")[0]) == rows
    assert read == [40, 50, 10, 45, 50]  # 50 was used before 40, so that 45 took its place
    assert (len(cache), cache.rows) == (2, 90)
    assert len(cache(900, "a")[0]) == 900
    assert (len(cache), cache.rows) == (2, 950)  # two are held, however long they are
    cache(900, "b")
    assert read[-2:] == [900, 900]


def test_the_future_is_read_once(inputs: Inputs) -> None:
    assert inputs.future(2, inputs.candidate(1))[0] is inputs.future(2, inputs.candidate(1))[0]


def test_what_only_the_champion_decides_is_made_once_for_looks_in_a_row(inputs: Inputs) -> None:
    made: list[str] = []

    def make(name: str) -> Any:
        made.append(name)
        return name

    found = [inputs.prepared(key, lambda key=key: make(key)) for key in ("a", "a", "b", "b", "a")]
    assert found == ["a", "a", "b", "b", "a"]
    assert made == ["a", "b", "a"]


def test_nobody_may_ask_for_what_was_not_trained(inputs: Inputs) -> None:
    with pytest.raises(ValueError, match="no model of version 7 was trained"):
        inputs.rows(7)
