"""The score log: each prediction once, of the file of record, whatever overlaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.records.predictions import Predictions
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.scoring.score_log import scored_batches, scored_files
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.builders import make_spec

START = datetime(2024, 1, 1, tzinfo=UTC)
STAMP = "%Y%m%dT%H%M%SZ"


def spec(**data: Any) -> ModelSpec:
    return make_spec(data=data)


def days(first: float, last: float) -> Window:
    return Window(start=START + timedelta(days=first), end=START + timedelta(days=last))


def rows_of(window: Window, per_day: int = 4, **columns: Any) -> pd.DataFrame:
    """Rows at fixed instants, whichever window asks, so that the same row is in every window that holds it."""
    step = timedelta(days=1) / per_day
    number = np.arange(int((window.start - START) / step), int((window.end - START) / step))
    frame = pd.DataFrame({"id": number, "t": pd.to_datetime(START) + number * pd.Timedelta(step)})
    return frame.assign(t=frame["t"].dt.as_unit("us"), **columns)


def write(storage: Any, window: Window, frame: pd.DataFrame, version: int = 1, at: float | None = None) -> Predictions:
    folder = f"predictions/m/{window.start:{STAMP}}_{window.end:{STAMP}}"
    table = pa.Table.from_pandas(frame, preserve_index=False)
    path = f"{folder}/v{version}.parquet"
    storage.write_batches(path, iter(table.to_batches(max_chunksize=3)), table.schema)
    made = Predictions(
        model="m", version=version, run_id=f"r{version}", window=window, rows=len(frame), uri=storage.uri(path),
        scored_at=None if at is None else START + timedelta(days=at),
    )  # fmt: skip
    storage.write_text(f"{folder}/manifest.json", made.to_text())
    return made


def read(storage: Any, window: Window, columns: list[str] | None = None, **data: Any) -> pd.DataFrame:
    batches = list(scored_batches(spec(**data), storage, window, columns, chunk_rows=3))
    return pd.concat([batch.to_pandas() for batch in batches], ignore_index=True) if batches else pd.DataFrame()


@pytest.fixture
def storage(tmp_path):
    return open_storage(str(tmp_path))


def test_only_rows_of_the_window_and_only_the_columns_asked_for(storage):
    for day in range(6):
        write(storage, days(day, day + 1), rows_of(days(day, day + 1), prediction=1.0 * day, model_version=1))
    found = read(storage, days(1.5, 3.25), ["prediction", "probability", "id"])
    assert list(found) == ["prediction", "id"]
    assert sorted(found["id"]) == list(range(6, 13))
    assert list(read(storage, days(1, 2))) == ["id", "t", "prediction", "model_version"]


def test_nothing_was_scored(storage):
    assert read(storage, days(0, 1)).empty
    write(storage, days(0, 1), rows_of(days(0, 1)))
    assert read(storage, days(1, 2)).empty
    assert read(storage, days(-1, 0)).empty


def test_a_file_without_manifest_was_never_finished(storage):
    made = write(storage, days(0, 1), rows_of(days(0, 1)))
    storage.delete("predictions/m/20240101T000000Z_20240102T000000Z/manifest.json")
    storage.write_text("predictions/m/notes/readme.txt", "not a window")
    storage.write_text("predictions/m/.hidden", "no folder")
    assert made.rows == 4
    assert read(storage, days(0, 1)).empty


def test_the_file_of_record_is_the_manifests(storage):
    write(storage, days(0, 1), rows_of(days(0, 1), prediction=1), version=1)
    write(storage, days(0, 1), rows_of(days(0, 1), prediction=2), version=2)
    assert read(storage, days(0, 1))["prediction"].tolist() == [2] * 4


def test_where_windows_overlap_the_one_scored_last_wins(storage):
    write(storage, days(0, 7), rows_of(days(0, 7), prediction=1), at=9, version=4)
    write(storage, days(2, 9), rows_of(days(2, 9), prediction=2), at=8, version=5)
    found = read(storage, days(0, 9)).sort_values("id")
    assert found["id"].tolist() == list(range(36))
    assert found["prediction"].tolist() == [1] * 28 + [2] * 8


def test_a_row_that_only_the_older_file_has_stays(storage):
    write(storage, days(0, 2), rows_of(days(0, 2), prediction=1), at=3)
    write(storage, days(1, 3), rows_of(days(1, 3), prediction=2).query("id not in [5, 6]"), at=4)
    found = read(storage, days(0, 3)).set_index("id")["prediction"]
    assert found.to_dict() == {n: 1 if n in {0, 1, 2, 3, 5, 6} else 2 for n in range(12)}


def test_without_a_time_of_scoring_the_later_window_wins(storage):
    write(storage, days(0, 2), rows_of(days(0, 2), prediction=1), version=7)
    write(storage, days(1, 3), rows_of(days(1, 3), prediction=2), version=3)
    assert [file.predictions.version for file in scored_files(spec(), storage, days(0, 3))] == [3, 7]
    assert read(storage, days(0, 3)).groupby("id")["prediction"].max().tolist() == [1] * 4 + [2] * 8


def test_a_row_doubled_in_the_source_stays_doubled(storage):
    twice = pd.concat([rows_of(days(0, 2), prediction=1)] * 2)
    write(storage, days(0, 2), twice, at=3)
    write(storage, days(1, 3), rows_of(days(1, 3), prediction=2), at=2)
    assert read(storage, days(0, 3))["id"].value_counts().to_dict() == {n: 2 if n < 8 else 1 for n in range(12)}


def test_a_key_may_hold_the_event_time(storage):
    write(storage, days(0, 3), rows_of(days(0, 3), prediction=1), at=3, version=4)
    write(storage, days(1, 4), rows_of(days(1, 4), prediction=2), at=4, version=5)
    found = read(storage, days(0, 4), ["id", "t", "t", "prediction"], key=["id", "t"]).sort_values("id")
    assert list(found) == ["id", "t", "prediction"]
    assert found["prediction"].tolist() == [1] * 4 + [2] * 12


def test_a_key_of_several_columns_and_a_key_at_two_times(storage):
    def keyed(window: Window, prediction: int) -> pd.DataFrame:
        frame = rows_of(window, prediction=prediction)
        return frame.assign(a=frame["id"] % 2, b=None)

    write(storage, days(0, 2), keyed(days(0, 2), 1), at=1)
    write(storage, days(1, 3), keyed(days(1, 3), 2), at=2)
    found = read(storage, days(0, 3), key=["a", "b"])
    assert sorted(found["id"]) == list(range(12))
    assert found["prediction"].value_counts().to_dict() == {2: 8, 1: 4}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.integers(1, 8), st.integers(0, 20)),
        min_size=1,
        max_size=6,
        unique_by=(lambda w: (w[0], w[1]), lambda w: w[2]),
    ),
    st.integers(0, 10),
    st.integers(1, 8),
)
def test_any_overlap_gives_what_a_dictionary_gives(tmp_path_factory, windows, first, length):
    storage = open_storage(str(tmp_path_factory.mktemp("log")))
    expected: dict[int, int] = {}
    asked = days(first, first + length)
    for start, width, at in sorted(windows, key=lambda window: window[2]):
        window = days(start, start + width)
        frame = rows_of(window, prediction=at)
        write(storage, window, frame, at=float(at))
        inside = frame[(frame["t"] >= asked.start) & (frame["t"] < asked.end)]
        expected |= dict(zip(inside["id"], inside["prediction"], strict=True))
    found = read(storage, asked)
    assert len(found) == len(expected)
    assert ({} if found.empty else found.set_index("id")["prediction"].to_dict()) == expected


def test_rows_come_in_batches_of_the_size_asked_for(storage):
    for day in range(4):
        write(storage, days(day, day + 1), rows_of(days(day, day + 1), prediction=day), at=day)
    sizes = [batch.num_rows for batch in scored_batches(spec(), storage, days(0, 4), chunk_rows=2)]
    assert sum(sizes) == 16
    assert max(sizes) <= 2


def test_a_manifest_that_is_cut_off_is_refused(storage):
    write(storage, days(0, 1), rows_of(days(0, 1)))
    path = "predictions/m/20240101T000000Z_20240102T000000Z/manifest.json"
    storage.write_text(path, storage.read_text(path)[:40])
    with pytest.raises(RecordError):
        read(storage, days(0, 1))


def test_a_file_without_the_key_is_refused(storage):
    write(storage, days(0, 1), rows_of(days(0, 1)).rename(columns={"id": "number"}))
    with pytest.raises(DataError) as caught:
        read(storage, days(0, 1))
    assert [problem.code for problem in caught.value.problems] == [ReasonCode.COLUMN_MISSING]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"t": [str(n) for n in range(8)]}, "data.time"),
        ({"t": list(range(8))}, "data.time"),
        ({"t": pd.date_range("2024-01-01", periods=8, freq="6h", unit="us")}, "data.time"),
        ({"id": [[n] for n in range(8)]}, "data.key"),
        ({"id": [{"a": n} for n in range(8)]}, "data.key"),
    ],
)
def test_a_file_that_somebody_changed_is_refused_in_one_sentence(storage, changed, field):
    """Two windows overlap, so that keys are compared: those of a list would be a raw error, and tried again."""
    write(storage, days(0, 2), rows_of(days(0, 2)).assign(**changed), at=3)
    write(storage, days(1, 3), rows_of(days(1, 3)), at=4)
    with pytest.raises(DataError, match=r"was changed: restore it") as caught:
        read(storage, days(0, 3))
    assert [problem.field for problem in caught.value.problems] == [field]
