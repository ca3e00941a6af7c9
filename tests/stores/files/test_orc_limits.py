"""ORC files that say more of themselves than they are: memory stays bounded, and the refusal names file and column."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import orc

from airflow_mlops.core.errors import DataError
from airflow_mlops.stores.files import orc_limits
from airflow_mlops.stores.files.orc import OrcPart
from airflow_mlops.stores.files.orc_limits import _message, _sum_of_first, _sum_of_second, rows_that_fit
from tests.support.memory import PRINT_PEAK, peak_growth

MEMORY = 64 << 20
LIMIT = MEMORY // 8
RANDOM = np.random.default_rng(0)
ROWS = 30_000


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orc_limits, "memory_bytes", lambda: MEMORY)


def written(path: Path, column: pa.Array, **options: Any) -> Path:
    orc.write_table(pa.table({"x": column, "n": pa.array(range(len(column)))}), path, **options)
    return path


def read(path: Path, chunk_rows: int = 50_000) -> pa.Table:
    return pa.Table.from_batches(OrcPart(pafs.LocalFileSystem(), str(path)).batches(None, "", ["x"], chunk_rows))


def fit(path: Path, chunk_rows: int = 50_000) -> int:
    return rows_that_fit(pafs.LocalFileSystem(), str(path), chunk_rows)


ORDINARY = {
    "numbers": pa.array(range(ROWS)),
    "few texts": pa.array([f"city {i % 7}" for i in range(ROWS)]),
    "texts of all lengths": pa.array(["x" * int(n) for n in RANDOM.geometric(0.05, ROWS)]),
    "a long one now and then": pa.array(["y" * (5 if n else 3000) for n in RANDOM.random(ROWS) > 0.001]),
    "longer and longer": pa.array(["z" * (i % 300) for i in range(ROWS)]),
    "shorter and shorter": pa.array(["z" * (299 - i % 300) for i in range(ROWS)]),
    "all different": pa.array([f"{i:09d}" for i in range(ROWS)]),
    "missing": pa.array([None, "a", None, "b"] * 100),
    "nothing but missing": pa.nulls(100, pa.string()),
    "bytes": pa.array([b"\0" * (i % 5) for i in range(ROWS)]),
    "lists": pa.array([list(range(i % 4)) if i % 7 else None for i in range(ROWS)]),
    "lists of lists": pa.array([[[i]] * (i % 3) for i in range(1000)]),
    "structs": pa.array([{"a": str(i), "b": [i]} for i in range(1000)]),
    "dates": pa.array([-719_162, 2_932_896], pa.int32()).cast(pa.date32()),
}


@pytest.mark.parametrize("compression", ["uncompressed", "zlib", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("version", ["0.11", "0.12"])
@pytest.mark.parametrize("dictionary", [0.0, 1.0])
@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_columns_are_read_as_they_were(
    tmp_path: Path, kind: str, version: str, compression: str, dictionary: float
) -> None:
    options = {"file_version": version, "compression": compression, "dictionary_key_size_threshold": dictionary}
    path = written(tmp_path / "a.orc", ORDINARY[kind], stripe_size=1 << 20, **options)
    assert fit(path) >= 5000  # all of them, but where a dictionary could be meant by every row
    assert read(path, 7000)["x"].to_pylist() == orc.read_table(path)["x"].to_pylist()


@pytest.mark.usefixtures("little_memory")
def test_a_long_text_that_every_row_means_is_read_few_rows_at_a_time(tmp_path: Path) -> None:
    texts = pa.array(["a" * 500_000, *["b"] * 50] * 20)
    path = written(tmp_path / "a.orc", texts, compression="zlib", dictionary_key_size_threshold=1.0)
    rows = fit(path)
    assert 1 <= rows <= LIMIT // 500_000
    assert read(path)["x"].to_pylist() == texts.to_pylist()


@pytest.mark.usefixtures("little_memory")
def test_a_dictionary_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.orc", pa.array(["a" * (LIMIT + 1), "b"] * 4), dictionary_key_size_threshold=1.0)
    with pytest.raises(DataError, match=r"dictionaries of 8.\d+ MB, in .*a\.orc"):
        fit(path)


@pytest.mark.usefixtures("little_memory")
def test_lists_without_an_end_are_refused(tmp_path: Path) -> None:
    values = pa.ListArray.from_arrays([0, 3 << 20], pa.nulls(3 << 20, pa.int8()))
    path = written(tmp_path / "a.orc", values, compression="zlib")
    assert path.stat().st_size < 88_000
    with pytest.raises(DataError, match=r"column x: found lists of 3,145,728 values, in .*a\.orc"):
        fit(path)


def number(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(place: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return number(place << 3) + number(value)
    return number(place << 3 | 2) + number(len(value)) + value


def forged(path: Path, lengths: bytes, data: bytes = b"", *, rows: int = 3, block: int = 0, size: int = 0) -> Path:
    """Write a file of one text column by hand, whose lengths are what they are given to be."""
    streams = [(2, 1, len(lengths)), (1 if not size else 3, 1, len(data))]
    described = b"".join(field(1, field(1, k) + field(2, c) + field(3, n)) for k, c, n in streams)
    encodings = field(2, field(1, 0)) + field(2, field(1, 3 if size else 2) + (field(2, size) if size else b""))
    stripe_footer = described + encodings
    body = lengths + data
    stripe = field(1, 3) + field(2, 0) + field(3, len(body)) + field(4, len(stripe_footer)) + field(5, rows)
    types = field(4, field(1, 12) + field(2, b"\x01") + field(3, b"x")) + field(4, field(1, 7))
    footer = field(1, 3) + field(2, len(body) + len(stripe_footer)) + field(3, stripe) + types + field(6, rows)
    script = field(1, len(footer)) + field(2, 1 if block else 0) + (field(3, block) if block else b"")
    script += field(4, bytes([0, 12])) + field(6, 4) + field(8000, b"ORC")
    path.write_bytes(b"ORC" + body + stripe_footer + footer + script + bytes([len(script)]))
    return path


SHORT = bytes([0b00_111_000])  # three times a number of eight bytes


def test_texts_that_say_they_are_long_are_refused_before_there_is_room_for_them(tmp_path: Path) -> None:
    """liborc makes room for 60 GB of texts, in a file of 100 bytes, before it looks whether there are so many."""
    path = forged(tmp_path / "a.orc", SHORT + (20 << 30).to_bytes(8, "big"), b"abc")
    assert path.stat().st_size < 200

    def refused() -> None:
        with pytest.raises(DataError, match=r"column x: found texts of 64.4 GB in 3 bytes, in .*a\.orc"):
            read(path)

    assert peak_growth(refused) < 32 << 10
    honest = forged(tmp_path / "b.orc", bytes([0b00_000_000, 1]), b"abc")
    assert read(honest)["x"].to_pylist() == ["a", "b", "c"]


def test_a_dictionary_that_says_it_has_many_texts_is_refused(tmp_path: Path) -> None:
    path = forged(tmp_path / "a.orc", bytes([0b00_000_000, 1]), b"abc", size=2**40)
    with pytest.raises(DataError, match=r"column x: found a dictionary of 1,099,511,627,776 texts, in .*a\.orc"):
        fit(path)


def test_blocks_that_say_they_are_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"compressed in blocks of 4.29 GB, in .*a\.orc"):
        read(forged(tmp_path / "a.orc", b"", block=2**32))


def test_lengths_that_unpack_without_an_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orc_limits, "_MOST_LENGTHS", 1 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = packer.compress(b"\0" * (1 << 18)) + packer.flush()
    head = (len(chunk) << 1).to_bytes(3, "little")
    tail = orc_limits._Tail(1, 1 << 18, [], {}, {})
    assert len(orc_limits._unpacked(tail, (head + chunk) * 4, 1 << 20)) == 1 << 20
    with pytest.raises(ValueError, match="more than"):
        orc_limits._unpacked(tail, (head + chunk) * 5, 1 << 20)


def test_a_date_of_no_calendar_is_refused_by_file_and_column(tmp_path: Path) -> None:
    path = written(tmp_path / "a.orc", pa.array([2_932_897], pa.int32()).cast(pa.date32()))
    with pytest.raises(DataError, match=r"column x: found a date outside of the years 1 to 9999, in .*a\.orc"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"ORC", b"\xff" * 40, b"ORC" + b"\0" * 40])
def test_what_is_no_orc_file_is_said_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.orc").write_bytes(content)
    with pytest.raises(DataError, match=r"not a whole ORC file: .*a\.orc"):
        fit(tmp_path / "a.orc")


@pytest.mark.parametrize(
    "lengths",
    [bytes([0b11_000_000, 2, 6, 127]), bytes([0b11_001_000, 2, 6, 1, 0xFF])],
)
def test_lengths_below_nothing_are_refused(tmp_path: Path, lengths: bytes) -> None:
    """At these liborc reads what is not there, and ends the process."""
    with pytest.raises(DataError, match=r"not a whole ORC file: .*a\.orc"):
        read(forged(tmp_path / "a.orc", lengths, b"abcdefgh"))
    with pytest.raises(ValueError, match="below nothing"):
        _sum_of_first(bytes([0, 0xF0, 6]))


@given(st.binary(max_size=80))
def test_any_bytes_are_numbers_or_refused(raw: bytes) -> None:
    for reads in (_message, _sum_of_first, _sum_of_second):
        try:
            found = reads(raw)  # type: ignore[operator]
        except (IndexError, ValueError, StopIteration):
            continue
        assert found is not None


@settings(max_examples=30)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=3000), st.sampled_from(["0.11", "0.12"]))
def test_lengths_come_to_what_the_texts_are(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], version: str
) -> None:
    """Against the writer of Apache ORC: what it says of lengths adds up to the bytes of the texts, to the last one."""
    path = tmp_path_factory.mktemp("orc") / "a.orc"
    texts = pa.array(["x" * size for size in sizes])
    written(path, texts, file_version=version, compression="uncompressed", dictionary_key_size_threshold=0.0)
    file = pafs.LocalFileSystem().open_input_file(str(path))
    tail = orc_limits._tail(file, str(path))
    (stripe,) = tail.stripes
    offset, index, data, length = (orc_limits._one(stripe, place) for place in (1, 2, 3, 4))
    footer = _message(file.read_at(length, offset + index + data))
    place, found = offset, {}
    for raw in footer[1]:
        stream = _message(raw)
        found[orc_limits._one(stream, 2), orc_limits._one(stream, 1)] = (place, orc_limits._one(stream, 3))
        place += orc_limits._one(stream, 3)
    at, size = found[1, 2]
    add_up = _sum_of_first if version == "0.11" else _sum_of_second
    assert add_up(bytes(file.read_at(size, at))) == (len(sizes), sum(sizes))


def test_a_forged_file_ends_no_process(tmp_path: Path) -> None:
    """Single bytes changed, in a process of its own: whatever the library does, there is an answer or a sentence."""
    path = written(tmp_path / "a.orc", ORDINARY["few texts"].slice(0, 50), compression="uncompressed")
    script = (
        "import sys, pathlib, pyarrow as pa, pyarrow.fs as fs\n"
        "from airflow_mlops.core.errors import DataError\n"
        "from airflow_mlops.stores.files.orc import OrcPart\n"
        "raw, told = pathlib.Path(sys.argv[1]).read_bytes(), 0\n"
        "target = sys.argv[1] + '.x'\n"
        "for place in range(len(raw)):\n"
        "    for value in (0, 127, 255):\n"
        "        pathlib.Path(target).write_bytes(raw[:place] + bytes([value]) + raw[place + 1:])\n"
        "        part = OrcPart(fs.LocalFileSystem(), target)\n"
        "        try: list(part.batches(None, '', list(part.names), 100))\n"
        "        except DataError: told += 1\n"
        "print(told)\n" + PRINT_PEAK
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False, env={"PYTHONPATH": root}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told, kilobytes = map(int, done.stdout.split())
    assert told > 50
    assert kilobytes < 1 << 20
