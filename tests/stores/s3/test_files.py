"""Sources in S3: listed as folders are, read in pieces, and never as a mixture of two versions."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError, StoreUnavailableError
from airflow_mlops.stores.change_token import file_change_token
from airflow_mlops.stores.files.location import list_files, locate
from airflow_mlops.stores.files.store import FileStore
from tests.support.files import DAY, NOON, read
from tests.support.s3 import S3Proxy, boto


def put(moto: str, name: str, **objects: bytes) -> None:
    for key, body in objects.items():
        boto(moto).put_object(Bucket=name, Key=key.replace("__", "/"), Body=body)


def parquet(rows: int, group: int | None = None) -> bytes:
    number = np.arange(rows)
    times = (np.datetime64(NOON.replace(tzinfo=None), "us") + number * np.timedelta64(1, "s")).astype("datetime64[us]")
    table = pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "x": number})
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=group, compression="none", use_dictionary=False)
    return sink.getvalue()


def test_a_folder_is_listed_as_on_a_disk(proxy: S3Proxy, name: str, moto: str, tmp_path: Path) -> None:
    keys = ["rows/a.csv", "rows/day=1/b.csv", "rows/_SUCCESS", "rows/.half/c.csv", "rows-other/d.csv", "rows.csv"]
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text("t,x\n")
        boto(moto).put_object(Bucket=name, Key=key, Body=b"t,x\n")
    boto(moto).put_object(Bucket=name, Key="rows/empty/", Body=b"")  # what a console makes of a folder
    for place in ("rows", "rows/", "rows.csv", "rows/day=1", "nowhere", "row"):
        local = list_files(locate(f"{tmp_path}/{place}"))
        there = list_files(locate(f"s3://aws@{name}/{place}"))
        assert [path.removeprefix(f"{name}/") for path in there.files] == [
            path.removeprefix(f"{tmp_path}/") for path in local.files
        ]
    assert len(list_files(locate(f"s3://aws@{name}")).files) == 4
    with pytest.raises(DataError, match="no file"):
        FileStore(f"s3://aws@{name}/nowhere").schema()


def test_a_table_with_a_log_is_seen_by_its_folder(proxy: S3Proxy, name: str, moto: str) -> None:
    put(moto, name, rows__part__a=b"", **{"rows__.hoodie__x": b"", "rows__a.parquet": parquet(3)})
    with pytest.raises(DataError, match="a Hudi table"):
        FileStore(f"s3://aws@{name}/rows").schema()


def test_of_a_large_file_only_what_is_asked_is_read(proxy: S3Proxy, name: str, moto: str) -> None:
    body = parquet(2_000_000, 200_000)
    assert len(body) > 30 << 20
    put(moto, name, **{"rows__a.parquet": body})
    store = FileStore(f"s3://aws@{name}/rows")
    assert store.undated("t") == 0
    gets = [asked for asked in proxy.asked if asked.method == "GET" and "Range" in asked.headers]
    # The end of the file, at most twice; no row.
    assert 1 <= len(gets) <= 2
    assert {asked.headers["If-Match"] for asked in gets} == {
        boto(moto).head_object(Bucket=name, Key="rows/a.parquet")["ETag"]
    }
    assert store.has_rows(DAY, "t")
    assert len([asked for asked in proxy.asked if "Range" in asked.headers]) < 12


def test_every_row_comes_back(proxy: S3Proxy, name: str, moto: str) -> None:
    put(moto, name, **{"rows__a.parquet": parquet(40_000, 7_000), "rows__b.csv": b""})
    store = FileStore(f"s3://aws@{name}/rows/a.parquet")
    assert read(store, "x").column("x").to_pylist() == list(range(40_000))


def test_a_file_that_is_replaced_after_it_was_listed_is_said(proxy: S3Proxy, name: str, moto: str) -> None:
    put(moto, name, **{"rows__a.parquet": parquet(2_000_000, 200_000)})
    store = FileStore(f"s3://aws@{name}/rows")
    assert [column.name for column in store.schema()] == ["t", "x"]
    put(moto, name, **{"rows__a.parquet": parquet(1_900_000, 200_000)})
    with pytest.raises(StoreUnavailableError, match="it was replaced while it was read") as caught:
        read(store, "x")
    assert not caught.value.lasting
    assert caught.value.problems[0].field == "data.source.path"


def test_the_mark_of_a_source_changes_with_it(proxy: S3Proxy, name: str, moto: str) -> None:
    place = f"s3://aws@{name}/rows"
    marks = [file_change_token(place)]
    put(moto, name, **{"rows__a.csv": b"t,x\n"})
    marks += [file_change_token(place), file_change_token(place)]
    put(moto, name, **{"rows__a.csv": b"t,y\n"})
    marks.append(file_change_token(place))
    assert marks[1] == marks[2]
    assert len(set(marks)) == 3


def test_an_object_is_read_as_a_file(proxy: S3Proxy, name: str, moto: str) -> None:
    body = bytes(range(256)) * (40 << 10)
    put(moto, name, a=body)
    remote = locate(f"s3://aws@{name}/a").remote
    with remote.open(f"{name}/a") as file:
        assert file.read() == body
        assert file.read(1) == b""
        assert file.seek(-5, io.SEEK_END) == len(body) - 5
        assert file.read(100) == body[-5:]
        file.seek((2 << 20) - 3)
        assert file.read(6) == body[(2 << 20) - 3 : (2 << 20) + 3]
        into = bytearray(10)
        assert file.readinto(into) == 10
        assert bytes(into) == body[(2 << 20) + 3 : (2 << 20) + 13]
        assert file.tell() == (2 << 20) + 13
    with pytest.raises(FileNotFoundError):
        remote.open(f"{name}/b")
