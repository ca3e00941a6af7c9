"""CSV files: types from all rows, quotes, marks, compression, offsets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_mlops.core.records.snapshot import Window
from tests.support.files import csv, read


def test_csv_types_come_from_all_rows(tmp_path: Path) -> None:
    rows = ["t,i,f,b,s,n,mixed,when,big"]
    rows += [f"2024-03-01T00:00:{k % 60:02d}Z,{k},{k},true,{k},,{k},2024-01-01,{10**19 + k}" for k in range(30_000)]
    rows += ["2024-03-01T00:00:00Z,1,1.5,FALSE,x,,2024-01-01,2024-01-01 05:00:00,1"]
    table = read(csv(tmp_path, "\n".join(rows)), "i", "f", "b", "s", "n", "mixed", "when", "big")
    assert [str(field.type) for field in table.schema] == [
        *("int64", "double", "bool", "string", "null", "string", "timestamp[us]", "string")
    ]
    assert table.num_rows == 30_001
    assert table.slice(30_000)["f"].to_pylist() == [1.5]


def test_csv_files_of_one_source_share_types(tmp_path: Path) -> None:
    csv(tmp_path, "t,x,y\n2024-03-01,1,\n")
    store = csv(tmp_path, "t,x,y\n2024-03-01,2.5,a\n", "b.csv")
    assert read(store, "x", "y").to_pylist() == [{"x": 1.0, "y": None}, {"x": 2.5, "y": "a"}]


def test_csv_with_quotes_spaces_marks_and_compression(tmp_path: Path) -> None:
    import gzip

    text = '\ufefft,x,"a,b"\n2024-03-01T05:00+02:00, 7 ,"two\nlines"\n2024-03-01 03:00:00.1234567Z,NA,""\n'
    store = csv(tmp_path, gzip.compress(text.encode()), "a.csv.gz")
    assert read(store, "t", "x", "a,b").to_pylist() == [
        {"t": datetime(2024, 3, 1, 3, tzinfo=UTC), "x": 7, "a,b": "two\nlines"},
        {"t": datetime(2024, 3, 1, 3, 0, 0, 123_456, tzinfo=UTC), "x": None, "a,b": None},
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    micros=st.lists(st.integers(-(2 * 10**15), 4 * 10**15), min_size=1, max_size=5),
    hours=st.integers(-14, 14),
    separator=st.sampled_from(["T", " "]),
)
def test_any_offset_in_text_is_converted_as_python_does(
    tmp_path: Path, micros: list[int], hours: int, separator: str
) -> None:
    from datetime import timezone

    zone = timezone(timedelta(hours=hours))
    zoned = [datetime(1970, 1, 1, tzinfo=zone) + timedelta(microseconds=count) for count in micros]
    store = csv(tmp_path, "t\n" + "\n".join(moment.isoformat(separator) for moment in zoned) + "\n")
    always = Window(start=datetime(1800, 1, 1, tzinfo=UTC), end=datetime(2200, 1, 1, tzinfo=UTC))
    assert read(store, "t", window=always)["t"].to_pylist() == zoned
