"""One wrong value in a window: its rule, its count, its row; never a library's bare error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.scoring.invalid_values import Reader, find_invalid
from airflow_mlops.core.scoring.score import score
from tests.core.scoring.test_score import (
    FOLDER,
    RUN,
    WINDOW,
    Recorded,
    frame,
    labels,
    spec,
    storage,
    trained,
    written,
)

__all__ = ["storage"]


def scored(tmp_path: Path, storage: Any, rows: pd.DataFrame, rule: str = "missing") -> tuple[Any, pd.DataFrame]:
    champion, pipeline = trained(labels())
    store = Recorded(tmp_path / "a.parquet", rows)
    chosen = spec(scoring={"chunk_rows": 64, "invalid": rule})
    made = score(chosen, champion, pipeline, store, storage, WINDOW, loop_run=RUN)
    return made, written(storage, f"{FOLDER}/v1.parquet")


def test_an_infinite_value_is_missing_to_the_model_counted_and_named(tmp_path: Path, storage: Any) -> None:
    rows = frame(300, seed=1)
    rows.loc[[70, 200], "x"] = [np.inf, -np.inf]
    made, found = scored(tmp_path, storage, rows)
    (issue,) = made.invalid
    assert (issue.column, issue.rows, issue.treated, issue.keys) == ("x", 2, "missing", ("70", "200"))
    assert str(issue) == "x: 2 values that are no finite number, scored as missing; first rows: 70, 200"
    _, expected = scored(tmp_path, storage, rows.assign(x=rows["x"].replace([np.inf, -np.inf], np.nan)))
    pd.testing.assert_frame_equal(found, expected)


def test_or_its_row_is_left_out_and_the_others_stay_what_they_are(tmp_path: Path, storage: Any) -> None:
    rows = frame(300, seed=1)
    _, whole = scored(tmp_path, storage, rows)
    rows.loc[[70, 200], "x"] = np.inf
    made, found = scored(tmp_path, storage, rows, "leave_out")
    assert made.rows == len(found) == 298
    assert made.invalid[0].treated == "left_out"
    pd.testing.assert_frame_equal(found, whole.drop(index=[70, 200]).reset_index(drop=True))


def test_a_text_that_is_no_number_among_numbers_is_treated_alike(tmp_path: Path, storage: Any) -> None:
    rows = frame(300, seed=1)
    texts = rows["x"].map(str, na_action="ignore").astype(object)
    texts[[5, 6]] = ["n/a", "1e999"]
    made, found = scored(tmp_path, storage, rows.assign(x=texts))
    assert (made.invalid[0].rows, made.invalid[0].keys) == (2, ("5", "6"))
    _, expected = scored(tmp_path, storage, rows.assign(x=rows["x"].mask(rows.index.isin([5, 6]))))
    pd.testing.assert_frame_equal(found, expected)


def test_a_column_without_a_number_is_another_column(tmp_path: Path, storage: Any) -> None:
    with pytest.raises(DataError, match=r"features\.numeric\.x"):
        scored(tmp_path, storage, frame(100).assign(x="n/a"))


def test_a_window_of_nothing_else_says_so_and_writes_nothing(tmp_path: Path, storage: Any) -> None:
    with pytest.raises(DataError, match=r"no row that can be scored: x: 60 values that are no finite number, left out"):
        scored(tmp_path, storage, frame(60).assign(x=np.inf), "leave_out")
    assert storage.folders("predictions/m") == ()


class Choosy:
    """A model that cannot take some values, as float32 models cannot take 1e300."""

    classes_ = np.array([0, 1])

    def __init__(self, refused: frozenset[float]) -> None:
        self.refused, self.calls = refused, 0

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        self.calls += 1
        if rows["x"].isin(self.refused).any():
            raise ValueError("Input contains infinity or a value too large for dtype('float32').")
        return np.tile([0.25, 0.75], (len(rows), 1))


def test_rows_that_a_model_raises_for_are_found_by_halving_and_left_out(tmp_path: Path, storage: Any) -> None:
    champion, _ = trained(labels())
    rows = frame(300, seed=1)
    rows["x"] = np.arange(300.0)
    model = Choosy(frozenset({17.0, 230.0}))
    store = Recorded(tmp_path / "a.parquet", rows)
    made = score(spec(), champion, model, store, storage, WINDOW, loop_run=RUN)
    (issue,) = made.invalid
    assert (made.rows, issue.rows, issue.keys) == (298, 2, ("17", "230"))
    assert "ValueError: Input contains infinity or a value too large" in str(issue)
    assert model.calls < 50


def test_a_model_that_raises_for_every_row_ends_in_its_own_words(tmp_path: Path, storage: Any) -> None:
    champion, _ = trained(labels())
    rows = frame(200, seed=1).assign(x=1.0)
    store = Recorded(tmp_path / "a.parquet", rows)
    with pytest.raises(DataError, match="rows that the model raised ValueError: Input contains infinity"):
        score(spec(), champion, Choosy(frozenset({1.0})), store, storage, WINDOW, loop_run=RUN)
    assert storage.folders("predictions/m") == ()


def test_times_that_are_no_times_are_found() -> None:
    rows = pd.DataFrame({"born": ["2026-01-01", "yesterday", None]})
    ((feature, wrong, column),) = find_invalid(rows, [Feature(name="born", role="time")])
    assert (feature.name, wrong.tolist()) == ("born", [False, True, False])
    assert column.notna().tolist() == [True, False, False]


def test_sound_rows_are_passed_on_as_they_are() -> None:
    rows = pd.DataFrame({"id": [1, 2], "x": [1.0, None], "c": ["a", None]})
    reader = Reader([Feature(name="x", role="numeric"), Feature(name="c", role="categorical")], ["id"], "missing")
    assert reader.sound(rows) is rows
    assert reader.found == ()


def test_rows_without_a_key_are_scored_and_said(tmp_path: Path, storage: Any) -> None:
    rows = frame(300, seed=1)
    rows["id"] = rows["id"].astype("Int64")
    _, expected = scored(tmp_path, storage, rows)
    rows.loc[[7, 250], "id"] = pd.NA
    made, found = scored(tmp_path, storage, rows)
    (issue,) = made.invalid
    assert (issue.column, issue.rows, issue.treated) == ("id", 2, "missing")
    assert str(issue).startswith("id: 2 values that are missing, in the key: nobody can tell whose prediction it is")
    assert found["prediction"].tolist() == expected["prediction"].tolist()
