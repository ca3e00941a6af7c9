"""What names of folders and files say."""

from __future__ import annotations

from datetime import date

import pytest

from airflow_mlops.stores.files.folder_names import dates_in, partition_of


@pytest.mark.parametrize(
    ("name", "first", "days"),
    [
        ("2026-02-01.parquet", "2026-02-01", 1),
        ("dt=2026-02-28/part-0.parquet", "2026-02-28", 1),
        ("orders_20260228_v2.csv.gz", "2026-02-28", 1),
        ("year=2024/month=02/part-0001.parquet", "2024-02-01", 29),
        ("year=2024/month=2/day=3/hour=05/x.parquet", "2024-02-03", 1),
        ("year=2024/x.parquet", "2024-01-01", 366),
        ("orders-2025-12.parquet", "2025-12-01", 31),
        ("export/2024.03.01/rows.csv", "2024-03-01", 1),
    ],
)
def test_dates_in_names(name: str, first: str, days: int) -> None:
    named = dates_in(name)
    assert named is not None
    assert (named.start.date(), named.length.days) == (date.fromisoformat(first), days)


@pytest.mark.parametrize(
    "name",
    [
        "part-0001.parquet", "part-00000-fcd546f5-0e20-4a80-b46b-0588b91fd825-c000.snappy.parquet", "2026-13-01.csv",
        "2026-02-01_2026-02-07.csv", "123456789.csv", "month=02/x.parquet", "v1.2.3/a.parquet",
    ],
)  # fmt: skip
def test_names_that_say_no_date_or_several(name: str) -> None:
    assert dates_in(name) is None


def test_partitions_are_decoded_and_nulls_are_nulls() -> None:
    assert dict(partition_of("a=1/b=x%2Fy/c=__HIVE_DEFAULT_PARTITION__/d=/plain/e=f=g/p.parquet")) == {
        "a": "1", "b": "x/y", "c": None, "d": None, "e": "f=g",
    }  # fmt: skip
    assert dict(partition_of("p=1.parquet")) == {}
