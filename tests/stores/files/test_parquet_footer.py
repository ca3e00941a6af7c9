"""A footer that contradicts itself is a refusal, and never the end of the process that reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.stores.files.parquet_footer import check_description
from tests.support.changed_parquet import table

ROOT = Path(__file__).parents[3]


def changed(folder: Path, bits: int, every: int) -> str:
    """Read a file again and again in another process, another bit of its footer changed; return what that printed."""
    command = [sys.executable, "-m", "tests.support.changed_parquet", str(folder), str(bits), str(every)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_changed_bit_of_the_footer_changes_nothing_or_is_refused(tmp_path: Path) -> None:
    (told,) = changed(tmp_path, 1, 3).splitlines()
    assert int(told.removesuffix(" files read")) > 900


@pytest.mark.chaos
def test_a_changed_bit_of_the_footer_changes_nothing_or_is_refused_every_one(tmp_path: Path) -> None:
    (told,) = changed(tmp_path, 8, 1).splitlines()
    assert int(told.removesuffix(" files read")) > 20_000


def footer(path: Path) -> bytes:
    content = path.read_bytes()
    return content[-8 - int.from_bytes(content[-8:-4], "little") : -8]


@pytest.mark.parametrize("version", ["1.0", "2.4", "2.6"])
@pytest.mark.parametrize("index", [True, False])
def test_what_is_written_whole_is_taken(tmp_path: Path, version: str, index: bool) -> None:
    deep = pa.array([[{"a": [1, None]}, None], None, []], pa.list_(pa.struct([("a", pa.list_(pa.int32()))])))
    tables = [table(), pa.table({"deep": deep}), pa.table({"none": pa.nulls(3)}), table().slice(0, 0)]
    for number, rows in enumerate(tables):
        pq.write_table(rows, tmp_path / f"{number}.parquet", version=version, write_page_index=index)
        check_description(footer(tmp_path / f"{number}.parquet"), "f")


def test_a_count_of_levels_that_a_column_has_not_is_said(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("x", pa.int64(), nullable=True)])
    pq.write_table(pa.table({"x": [1, None]}, schema=schema), tmp_path / "f.parquet")
    honest = footer(tmp_path / "f.parquet")
    check_description(honest, "f.parquet")
    at = honest.index(b"\x25\x02\x18\x01x")  # the column may be missing; then comes its name
    forged = honest[: at + 1] + b"\x00" + honest[at + 2 :]  # it is always there
    with pytest.raises(DataError, match=r"a column that counts 2 levels, where there are 1.*f\.parquet") as refusal:
        check_description(forged, "f.parquet")
    assert str(refusal.value.problems[0].allowed) == "a footer that describes the file's columns"


@pytest.mark.parametrize("bytes_", [b"", b"\x00", b"\x15\x04\x19", b"\xff" * 100, bytes(range(256))])
def test_what_is_no_footer_is_said(bytes_: bytes) -> None:
    with pytest.raises(DataError, match="a footer"):
        check_description(bytes_, "f.parquet")


def test_two_columns_of_a_name_are_said_of_a_file_of_the_storage(tmp_path: Path) -> None:
    from airflow_mlops.stores.storage.storage import open_storage

    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "f.parquet")
    with pytest.raises(DataError, match="column a: found two columns of this name"):
        list(open_storage(str(tmp_path)).read_batches("f.parquet"))
