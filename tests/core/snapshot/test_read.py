"""A snapshot is read back as it was written, by chosen columns, or is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.snapshot.read import open_snapshot, read_snapshot, verify_snapshot
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
    with pytest.raises(RecordError, match="936 rows of columns"):
        read_snapshot(snapshot, place.storage)


def test_reading_chosen_columns_and_refusing_unknown_ones(place: Place) -> None:
    snapshot = place.take()
    assert list(read_snapshot(snapshot, place.storage, ["dist", "id"]).columns) == ["dist", "id"]
    with pytest.raises(DataError, match="did you mean 'dist'"):
        read_snapshot(snapshot, place.storage, ["distt"])
    with pytest.raises(RecordError, match="a snapshot below file://"):
        read_snapshot(replace(snapshot, uri="s3://elsewhere/x"), place.storage)
    with pytest.raises(DataError, match="no file"):
        open_snapshot(place.storage.uri("snapshots/flight_delay/none"), place.storage)
