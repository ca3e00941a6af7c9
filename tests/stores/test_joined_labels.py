"""Labels of a source of their own, joined as they were known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import as_known_at
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.snapshot import read_snapshot, take_snapshot
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.joined_labels import JoinedLabels
from airflow_mlops.stores.open_source import open_rows
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.builders import make_spec

END = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(start=END - 40 * DAY, end=END)


def spec_of(labels: Any = None, **data: Any) -> Any:
    body = {
        "source": {"path": "rows.parquet"}, "time": "t", "key": ["shop", "id"], "label": "y", "window": "40d",
        "labels": {"source": {"path": "labels.parquet"}, "time": "seen", **(labels or {})}, **data,
    }  # fmt: skip
    return make_spec(data=body)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rows = pd.DataFrame({"shop": ["a", "b"] * 50, "id": range(100), "x": range(100)})
    rows["t"] = [END - 30 * DAY + n * timedelta(hours=6) for n in range(100)]
    rows.to_parquet(tmp_path / "rows.parquet", index=False)
    labels = rows[["shop", "id"]].assign(y=rows["id"] % 2, seen=rows["t"] + 2 * DAY)
    late = labels[labels["id"] == 5].assign(y=9, seen=END - DAY)  # another word on row 5, much later
    other = pd.DataFrame({"shop": ["b"], "id": [4], "y": [7], "seen": [END - 20 * DAY]})  # id 4 is of shop a
    pd.concat([late, labels, other]).to_parquet(tmp_path / "labels.parquet", index=False)
    return tmp_path


def read(store: Any, columns: tuple[str, ...] = ("id", "y")) -> pd.DataFrame:
    return pa.Table.from_batches(list(store.read(WINDOW, "t", columns, chunk_rows=7))).to_pandas()


def test_the_newest_label_known_at_the_instant_is_the_rows(place: Path) -> None:
    store = open_rows(spec_of(), data_root=str(place))
    assert isinstance(store, JoinedLabels)
    before = read(as_known_at(store, END - 10 * DAY)).set_index("id")["y"]
    after = read(as_known_at(store, END)).set_index("id")["y"]
    assert (before[5], after[5]) == (1, 9)
    assert after[4] == 0, "a key is all of its columns"
    known = [END - 30 * DAY + n * timedelta(hours=6) + 2 * DAY <= END - 10 * DAY for n in range(100)]
    assert before.notna().tolist() == known
    assert 0 < sum(known) < 100


def test_a_snapshot_has_only_labels_of_before_as_of(place: Path) -> None:
    as_of, storage = END - 10 * DAY, open_storage(str(place / "mlops"))
    store = open_rows(spec_of(), data_root=str(place))
    snapshot = take_snapshot(spec_of(), as_of, store, storage, now=END)
    frame = read_snapshot(snapshot, storage)
    assert frame["t"].max() <= as_of - 2 * DAY
    assert snapshot.unlabelled == 7, "of the rows of two days all but the first, whose label has just come"
    assert "labels" in snapshot.source
    assert "labels.parquet" in snapshot.query or "seen" in snapshot.query


def test_keys_may_have_other_names_and_a_column_that_is_not_asked_for_is_not_joined(place: Path) -> None:
    labels = pd.read_parquet(place / "labels.parquet").rename(columns={"id": "number"})
    labels.to_parquet(place / "labels.parquet", index=False)
    store = open_rows(spec_of({"key": ["shop", "number"]}), data_root=str(place))
    assert read(store)["y"].notna().all()
    (place / "labels.parquet").unlink()
    assert list(read(store, ("id", "x"))) == ["id", "x"]


def test_columns_that_the_labels_lack_are_named_by_their_field(place: Path) -> None:
    store = open_rows(spec_of({"time": "known_on"}, label="z"), data_root=str(place))
    with pytest.raises(DataError) as caught:
        store.schema()
    assert [problem.field for problem in caught.value.problems] == ["data.labels.time", "data.label"]


def test_keys_of_another_kind_are_refused_and_not_joined_with_nothing(place: Path) -> None:
    labels = pd.read_parquet(place / "labels.parquet").astype({"id": str})
    labels.to_parquet(place / "labels.parquet", index=False)
    store = open_rows(spec_of(), data_root=str(place))
    with pytest.raises(DataError, match=r"data\.labels\.key: found 'id' of type string, where the rows' 'id' is int64"):
        read(store)


def test_no_label_yet_is_a_window_of_rows_without_labels(place: Path) -> None:
    store = as_known_at(open_rows(spec_of(), data_root=str(place)), END - 35 * DAY)
    found = read(store)
    assert len(found) == 100
    assert found["y"].isna().all()


def test_a_store_of_rows_with_their_labels_is_what_it_is(place: Path) -> None:
    whole = make_spec(data={"source": {"path": "rows.parquet"}})
    store = open_rows(whole, data_root=str(place))
    assert as_known_at(store, END) is store


def test_two_labels_of_one_time_are_refused_and_equal_or_older_ones_are_not(place: Path) -> None:
    labels = pd.read_parquet(place / "labels.parquet")
    pd.concat([labels, labels]).to_parquet(place / "labels.parquet", index=False)
    store = open_rows(spec_of(), data_root=str(place))
    assert read(store)["y"].notna().all(), "the same word twice"
    of_five = labels[labels["id"] == 5]
    older = of_five[of_five["seen"] < END - DAY].assign(y=8)
    pd.concat([labels, older]).to_parquet(place / "labels.parquet", index=False)
    store = open_rows(spec_of(), data_root=str(place))
    assert read(store).set_index("id")["y"][5] == 9, "a later word ends the contradiction"
    with pytest.raises(DataError, match="several labels that became known at the same 'seen'") as error:
        read(as_known_at(store, END - 2 * DAY))
    assert [problem.code for problem in error.value.problems] == [ReasonCode.LABELS_DIRTY]
    newest = of_five[of_five["seen"] == END - DAY].assign(y=8)
    pd.concat([newest, labels]).to_parquet(place / "labels.parquet", index=False)
    with pytest.raises(DataError, match="labels.parquet: data.labels.time: found 1 or more rows"):
        read(open_rows(spec_of(), data_root=str(place)))


def test_what_is_odd_about_labels_and_a_label_that_is_not_read_are_said(place: Path) -> None:
    rows, labels = pd.read_parquet(place / "rows.parquet"), pd.read_parquet(place / "labels.parquet")
    rows.assign(y=1).to_parquet(place / "rows.parquet", index=False)
    labels.assign(seen=labels["seen"].dt.tz_localize(None)).to_parquet(place / "labels.parquet", index=False)
    store = open_rows(spec_of(), data_root=str(place))
    assert read(store)["y"].notna().all()
    found = {issue.field: issue for issue in store.issues()}
    assert "it is in the rows, too" in found["column y"].found
    assert "labels.parquet" in found["data.time"].where
    assert "without a zone" in found["data.time"].found
