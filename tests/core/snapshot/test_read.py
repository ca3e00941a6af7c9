"""A snapshot is read back as it was written, by chosen columns, or is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.snapshot.read import (
    open_snapshot,
    open_snapshot_of,
    read_snapshot,
    require_rows_of,
    snapshot_days,
    verify_snapshot,
)
from airflow_mlops.spec.problems import ReasonCode
from tests.support.builders import make_candidate
from tests.support.taken_snapshots import Place


def test_a_changed_file_is_found_out(place: Place) -> None:
    snapshot = place.take()
    verify_snapshot(snapshot, place.storage)
    path = Path(snapshot.data_uri.removeprefix("file://"))
    table = pq.read_table(path)
    distances = table["dist"].to_pylist()
    distances[-1] += 1
    pq.write_table(table.set_column(3, "dist", pa.array(distances)), path)
    with pytest.raises(RecordError, match="the file was changed after it was written"):
        verify_snapshot(snapshot, place.storage)
    pq.write_table(table.slice(1), path)
    with pytest.raises(RecordError, match="found 936 rows with fingerprint"):
        read_snapshot(snapshot, place.storage)


@pytest.mark.parametrize("columns", [None, ["id"]])
def test_a_changed_value_is_refused_whatever_columns_are_asked_for(place: Place, columns: list[str] | None) -> None:
    snapshot = place.take()
    path = Path(snapshot.data_uri.removeprefix("file://"))
    table = pq.read_table(path)
    pq.write_table(table.set_column(3, "dist", pa.array([value + 1 for value in table["dist"].to_pylist()])), path)
    with pytest.raises(RecordError) as error:
        read_snapshot(snapshot, place.storage, columns)
    assert [problem.code for problem in error.value.problems] == [ReasonCode.SNAPSHOT_ALTERED]


def test_who_reads_by_a_candidate_refuses_another_manifest_and_goes_without_one_that_is_gone(place: Place) -> None:
    snapshot = place.take()
    candidate = make_candidate(snapshot_uri=snapshot.uri, snapshot_fingerprint=snapshot.fingerprint)
    assert open_snapshot_of(candidate, place.storage) == snapshot
    assert snapshot_days(candidate, place.storage, ["dist"], seed=0)
    other = replace(candidate, snapshot_fingerprint="0" * 64)
    for read in (
        lambda: open_snapshot_of(other, place.storage),
        lambda: require_rows_of(other, snapshot),
        lambda: snapshot_days(other, place.storage, ["dist"], seed=0),
    ):
        with pytest.raises(RecordError, match="which were trained on"):
            read()
    gone = replace(candidate, snapshot_uri=place.storage.uri("snapshots/flight_delay/none"))
    assert snapshot_days(gone, place.storage, ["dist"], seed=0) == ()


def test_reading_chosen_columns_and_refusing_unknown_ones(place: Place) -> None:
    snapshot = place.take()
    assert list(read_snapshot(snapshot, place.storage, ["dist", "id"]).columns) == ["dist", "id"]
    with pytest.raises(DataError, match="did you mean 'dist'"):
        read_snapshot(snapshot, place.storage, ["distt"])
    with pytest.raises(RecordError, match="a snapshot below file://"):
        read_snapshot(replace(snapshot, uri="s3://elsewhere/x"), place.storage)
    with pytest.raises(DataError, match="no file"):
        open_snapshot(place.storage.uri("snapshots/flight_delay/none"), place.storage)
