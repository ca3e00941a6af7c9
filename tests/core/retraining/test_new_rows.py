"""Labelled rows that the champion does not know."""

from __future__ import annotations

import pandas as pd
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.retraining.new_rows import count_new_rows
from airflow_mlops.stores.files.store import FileStore
from tests.support.retrain_cases import (
    CHAMPION,
    DAY,
    NOW,
    TRAINED,
    spec,
)


@pytest.mark.parametrize("label", [1.0, "late", True])
def test_new_rows_are_labelled_mature_now_and_not_known_to_the_champion(tmp_path, label):
    """With a delay of one day, rows of one a day: the champion knew events up to as-of less one day, inclusive."""
    times = [TRAINED + day * DAY for day in range(-5, 10)]
    labels = [None if time == TRAINED + 2 * DAY else label for time in times]
    pd.DataFrame({"t": times, "y": pd.Series(labels, dtype=object)}).to_parquet(tmp_path / "a.parquet")
    model = spec("1d")
    store = FileStore(str(tmp_path))

    def count(days: int) -> int:
        return count_new_rows(model, CHAMPION, store, TRAINED + days * DAY)

    assert [count(days) for days in (-3, 0, 1, 2, 3, 4, 10, 100)] == [0, 0, 1, 2, 2, 3, 9, 9]


def test_a_source_without_the_label_is_refused(tmp_path):
    pd.DataFrame({"t": [TRAINED + DAY]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError):
        count_new_rows(spec(), CHAMPION, FileStore(str(tmp_path)), NOW)


def test_rows_of_the_newest_file_that_has_no_label_yet_are_none(tmp_path):
    pd.DataFrame({"t": [TRAINED - 30 * DAY], "y": [1.0]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"t": [TRAINED + DAY]}).to_parquet(tmp_path / "b.parquet")
    assert count_new_rows(spec(), CHAMPION, FileStore(str(tmp_path)), NOW) == 0
