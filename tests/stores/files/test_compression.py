"""Compression is told by the bytes of a file, and not by its name."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.files.store import FileStore
from tests.support.files import NOON, read

CSV = b"t,x\n" + b"".join(b"%s,%d\n" % (NOON.isoformat().encode(), number) for number in range(2000))
JSON = b"".join(b'{"t": "%s", "x": %d}\n' % (NOON.isoformat().encode(), number) for number in range(2000))


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


COMPRESSED = {"plain": bytes, "gzip": gzip.compress, "bz2": bz2.compress, "zstd": zstd}


@pytest.mark.parametrize("how", COMPRESSED)
@pytest.mark.parametrize("ending", ["", ".gz", ".GZ", ".bz2", ".zst"])
@pytest.mark.parametrize(("kind", "data"), [("csv", CSV), ("jsonl", JSON)])
def test_a_file_is_read_whatever_its_ending_says(tmp_path: Path, how: str, ending: str, kind: str, data: bytes) -> None:
    (tmp_path / f"a.{kind}{ending}").write_bytes(COMPRESSED[how](data))
    assert read(FileStore(str(tmp_path)), "x")["x"].to_pylist() == list(range(2000))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl"])
def test_what_is_not_read_is_named_with_what_is(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "made", "w") as made:
        made.writestr("a.csv", CSV)
    for word, data in (("xz", lzma.compress(CSV)), ("zip", (tmp_path / "made").read_bytes())):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"a file that is compressed as {word}: .+compress it as .gz") as error:
            read(FileStore(str(tmp_path / name)), "x")
        assert [problem.code for problem in error.value.problems] == [ReasonCode.SOURCE_UNREADABLE]


@pytest.mark.parametrize("ending", ["xz", "ZIP", "lz4"])
def test_an_ending_of_another_compression_is_told_which_are_read(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"a.csv.{ending}").write_bytes(b"")
    with pytest.raises(DataError, match=f"compressed as .{ending} at .+; write it without compression, or compress it"):
        read(FileStore(str(tmp_path)), "x")


@pytest.mark.parametrize("how", ["gzip", "bz2", "zstd"])
def test_a_file_that_is_cut_off_is_called_so(tmp_path: Path, how: str) -> None:
    (tmp_path / "a.csv").write_bytes(COMPRESSED[how](CSV)[:-20])
    with pytest.raises(DataError, match="a CSV file that is cut off or damaged: .+write the file again"):
        read(FileStore(str(tmp_path)), "x")


def test_a_text_that_begins_like_bzip2_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CSV.replace(b"t,x", b"BZh9,t,x", 1).replace(b"\n2024", b"\n1,2024"))
    assert read(FileStore(str(tmp_path)), "x").num_rows == 2000
