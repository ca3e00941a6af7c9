"""Rows of one key that came several times: which one counts, for every stage that reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.deduplicated import DeduplicatedStore
from airflow_mlops.stores.files.store import FileStore

START = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = Window(start=START, end=START + timedelta(days=10))
ROWS = [
    ("a", 0, 1.0, [1]), ("b", 1, 2.0, [2]), ("a", 0, 1.0, [1]), ("c", 2, None, None), ("c", 2, None, None),
    ("b", 1, 9.0, [2]), ("d", 5, 4.0, [4]), ("d", 3, 5.0, [5]), ("a", 11, 7.0, [7]),
]  # fmt: skip


def store(folder: Path, rule: str, files: int = 3) -> DeduplicatedStore:
    times = [START + timedelta(days=day) for _, day, _, _ in ROWS]
    table = pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "k": [r[0] for r in ROWS]})
    table = table.append_column("x", pa.array([r[2] for r in ROWS])).append_column("l", pa.array([r[3] for r in ROWS]))
    for number in range(files):
        pq.write_table(table.slice(number * 3, 3), folder / f"{number}.parquet")
    return DeduplicatedStore(FileStore(str(folder)), ["k"], rule)  # type: ignore[arg-type]


def read(rows: DeduplicatedStore, *columns: str, chunk_rows: int = 50_000) -> list[dict[str, object]]:
    batches = rows.read(DAYS, "t", columns, chunk_rows=chunk_rows)
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize("chunk", [1, 2, 50_000])
def test_rows_that_are_the_same_in_every_column_count_once(tmp_path: Path, chunk: int) -> None:
    rows = store(tmp_path, "drop_exact")
    found = read(rows, "k", "x", "l", chunk_rows=chunk)
    assert [(row["k"], row["x"]) for row in found] == [
        ("a", 1.0), ("b", 2.0), ("c", None), ("b", 9.0), ("d", 4.0), ("d", 5.0),
    ]  # fmt: skip
    assert "2 rows that are the same as another in every column" in str(rows.issues()[0])


@pytest.mark.parametrize("chunk", [1, 2, 50_000])
def test_the_newest_row_of_a_key_counts_and_none_of_another_window(tmp_path: Path, chunk: int) -> None:
    """pandas is the independent word: the last of each key by time, then by place."""
    rows = store(tmp_path, "keep_last")
    frame = pd.DataFrame(ROWS, columns=["k", "day", "x", "l"]).query("day < 10").reset_index()
    last = frame.sort_values(["day", "index"], kind="stable").groupby("k").tail(1).sort_values("index")
    found = read(rows, "x", "k", chunk_rows=chunk)
    assert [row["k"] for row in found] == last["k"].tolist()
    assert [row["x"] for row in found] == [None if pd.isna(x) else x for x in last["x"]]
    assert len(found) == 4


def test_a_profile_counts_the_rows_that_are_read(tmp_path: Path) -> None:
    rows = store(tmp_path, "drop_exact")
    features = [Feature(name="x", role="numeric")]
    reference = build_profile("m", pd.DataFrame({"x": [1.0, 2.0, 3.0]}), features, DAYS)
    assert rows.profile(reference, DAYS, "t").rows == 6
    assert rows.has_rows(DAYS, "t")
    assert rows.undated("t", DAYS) == 0
    assert "duplicates: drop_exact" in rows.query(DAYS, "t", ["x"])


def test_a_key_that_is_not_there_is_refused(tmp_path: Path) -> None:
    inner = store(tmp_path, "drop_exact")._store
    with pytest.raises(DataError, match=r"data\.key: found no column 'key'"):
        list(DeduplicatedStore(inner, ["key"], "drop_exact").read(DAYS, "t", ["x"]))
