"""Files that say more of themselves than they are: memory stays bounded, and the refusal names file and column."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.rows import memory
from airflow_mlops.stores.files import parquet_limits
from airflow_mlops.stores.files.parquet_limits import check_footer, read_bounded, read_own
from tests.support.memory import peak_growth

MEMORY = 64 << 20
LIMIT = MEMORY // 8


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine so small that a test can hold what does not fit into it."""
    monkeypatch.setattr(parquet_limits, "memory_bytes", lambda: MEMORY)
    monkeypatch.setattr(memory, "memory_bytes", lambda: MEMORY)


def written(path: Path, column: pa.Array, **options: Any) -> Path:
    pq.write_table(pa.table({"x": column}), path, **{"compression": "zstd", **options})
    return path


def read(path: Path, **options: Any) -> list[pa.RecordBatch]:
    groups = list(range(pq.ParquetFile(path).metadata.num_row_groups))
    given = {"groups": groups, "columns": ["x"], "chunk_rows": 50_000, **options}
    return list(read_bounded(pafs.LocalFileSystem(), str(path), **given))


def repeated(text: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array([text]))


ORDINARY = {
    "numbers": pa.array(range(1000)),
    "texts": pa.array([f"city {i % 7}" for i in range(1000)]),
    "missing": pa.array([None, "a", None, "b"]),
    "nothing but missing": pa.nulls(10, pa.string()),
    "bytes": pa.array([b"\0\xff"] * 5),
    "lists": pa.array([[1, 2], None, []]),
    "structs": pa.array([{"a": 1}, {"a": None}]),
    "categories": pa.array(["a", "b", "a"]).dictionary_encode(),
    "dates": pa.array([-719_162, 2_932_896], pa.int32()).cast(pa.date32()),
    "instants": pa.array([0, 10**15], pa.int64()).cast(pa.timestamp("us", "UTC")),
    "clocks": pa.array([0, 86_399], pa.int32()).cast(pa.time32("s")),
}


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_columns_are_read_as_they_were(tmp_path: Path, kind: str, version: str, compression: str) -> None:
    path = written(tmp_path / "a.parquet", ORDINARY[kind], data_page_version=version, compression=compression)
    whole = pq.read_table(path)["x"]
    found = pa.chunked_array([batch.column(0) for batch in read(path, chunk_rows=400)])
    assert found.to_pylist() == whole.to_pylist()
    if pa.types.is_string(whole.type):
        assert found.type == pa.string()
        assert pa.types.is_dictionary(read(path, encode=["x"])[0].column(0).type)


def test_a_text_that_every_row_means_is_unpacked_in_pieces_that_fit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", repeated("a" * 100_000, 2000), dictionary_pagesize_limit=1 << 30)
    assert path.stat().st_size < 88_000  # and 200 MB when it is unpacked
    rows = 0
    for batch in read_bounded(pafs.LocalFileSystem(), str(path), groups=[0], columns=["x"], chunk_rows=50_000):
        assert batch.nbytes <= LIMIT
        rows += batch.num_rows
        if rows > 500:
            break
    assert rows > 500


def test_one_text_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", repeated("a" * (LIMIT + 1), 3), use_dictionary=False, write_statistics=False)
    with pytest.raises(DataError, match=r"column x: found a page that says it is 25.2 MB .*a\.parquet"):
        read(path)


def test_a_page_that_says_it_is_large_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    zeros = pa.array(np.zeros(4 << 20))  # 32 MB in one page, of a few kilobytes
    path = written(tmp_path / "a.parquet", zeros, use_dictionary=False, data_page_size=1 << 30, row_group_size=8 << 20,
                   write_batch_size=8 << 20, max_rows_per_page=1 << 30)  # fmt: skip
    assert path.stat().st_size < 88_000

    def refused() -> None:
        with pytest.raises(
            DataError, match=r"column x: found a page that says it is .* MB when it is unpacked, in .*a\.parq"
        ):
            read(path)

    assert peak_growth(refused) < 16 << 10


def test_many_pages_that_each_fit_but_not_together_are_refused(tmp_path: Path) -> None:
    columns = {f"c{i}": pa.array(np.zeros(1 << 18)) for i in range(6)}  # 2 MB each, of 8 MB that may be
    options = {
        "use_dictionary": False,
        "data_page_size": 1 << 30,
        "write_batch_size": 1 << 20,
        "max_rows_per_page": 1 << 30,
        "compression": "zstd",
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", **options)
    assert read(tmp_path / "a.parquet", columns=["c0", "c1"])[0].num_rows == 50_000
    with pytest.raises(DataError, match="column c"):
        read(tmp_path / "a.parquet", columns=list(columns))


def test_texts_written_as_the_one_before_are_read_few_at_a_time(tmp_path: Path) -> None:
    texts = pa.array(["a" * 100_000] * 300)
    path = written(tmp_path / "a.parquet", texts, use_dictionary=False, column_encoding={"x": "DELTA_BYTE_ARRAY"})
    batches = read(path)
    assert sum(batch.num_rows for batch in batches) == 300
    assert len(batches) > 3
    assert max(batch.nbytes for batch in batches) <= LIMIT


def test_a_row_of_too_many_values_is_refused(tmp_path: Path) -> None:
    values = pa.ListArray.from_arrays([0, 3 << 20], pa.nulls(3 << 20, pa.int8()))
    path = written(tmp_path / "a.parquet", values)
    assert path.stat().st_size < 88_000
    with pytest.raises(DataError, match=r"column x: found lists of 3,145,728 values"):
        read(path)


OUTSIDE = {
    "a date beyond the calendar": pa.array([2**31 - 1], pa.int32()).cast(pa.date32()),
    "a date before the calendar": pa.array([-(2**31)], pa.int32()).cast(pa.date32()),
    "the first day after": pa.array([2_932_897], pa.int32()).cast(pa.date32()),
    "a time beyond the calendar": pa.array([2**62], pa.int64()).cast(pa.timestamp("us")),
    "milliseconds beyond the calendar": pa.array([2**52], pa.int64()).cast(pa.timestamp("ms")),
    "a time of the year 0": pa.array([-62_135_596_801_000], pa.int64()).cast(pa.timestamp("ms", "UTC")),
    "a time of day beyond the day": pa.array([2**40], pa.int64()).cast(pa.time64("us")),
    "a time of day before the day": pa.array([-1], pa.int32()).cast(pa.time32("ms")),
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_times_that_no_calendar_has_are_refused_by_file_and_column(tmp_path: Path, what: str) -> None:
    with pytest.raises(DataError, match=r"column x: found a (date|time).* outside of the .*a\.parquet") as caught:
        read(written(tmp_path / "a.parquet", OUTSIDE[what]))
    assert [problem.code for problem in caught.value.problems] == ["time_invalid"]


def test_a_footer_as_long_as_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + b"\0" * 5000 + struct.pack("<I", 5000) + b"PAR1")
    with pytest.raises(DataError, match=r"a footer without columns, in .*a\.parquet"):
        check_footer(pafs.LocalFileSystem(), str(path))
    monkeypatch.setattr(parquet_limits, "_LARGEST_FOOTER", 1000)
    with pytest.raises(DataError, match=r"a footer of 5 kB, in .*a\.parquet"):
        check_footer(pafs.LocalFileSystem(), str(path))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 8, b"\xff" * 4 + b"PAR1"])
def test_what_is_no_parquet_file_is_left_to_who_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    check_footer(pafs.LocalFileSystem(), str(tmp_path / "a.parquet"))


def forged(path: Path, content: bytes) -> None:
    """Put other bytes where the first page's header is."""
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    raw = bytearray(path.read_bytes())
    raw[start : start + len(content)] = content
    path.write_bytes(raw)


def number(value: int) -> bytes:
    """A signed number as Thrift's compact protocol writes it."""
    zigzag, found = (value << 1) ^ (value >> 63), bytearray()
    while zigzag > 127:
        found.append(zigzag & 127 | 128)
        zigzag >>= 7
    return bytes([*found, zigzag])


def header(size: int, packed: int, values: int) -> bytes:
    return (
        b"\x15" + number(0) + b"\x15" + number(size) + b"\x15" + number(packed) + b"\x2c\x15" + number(values) + b"\0\0"
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (header(2**31 - 1, 1 << 20, 10), "a page that says it is 2.15 GB"),
        (header(-1, 10, 10), "pages of a size that cannot be"),
        (header(10, -5, 10), "pages of a size that cannot be"),
        (b"\x3c" * 40, "a page whose header cannot be read"),
        (b"\x1d" * 40, "a page whose header cannot be read"),
        (b"\xff" * 40, "a page whose header cannot be read"),
    ],
)
def test_a_page_that_lies_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    path = written(tmp_path / "a.parquet", pa.array(range(1000)), compression="none")
    forged(path, content)
    with pytest.raises(DataError, match=found):
        read(path)


def endless() -> Iterator[pa.RecordBatch]:
    batch = pa.RecordBatch.from_pydict({"x": pa.array(np.zeros(1 << 17))})
    while True:
        yield batch


def test_rows_without_an_end_are_refused_when_memory_ends() -> None:
    with pytest.raises(DataError, match=r"orders: .* in the first 8,519,680 rows; allowed: rows of at most 67.1 MB"):
        for batch in memory.within_memory(endless(), "orders"):
            assert batch.num_rows == 1 << 17


def test_a_file_without_rows_has_no_page_that_could_be_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    pq.write_table(pa.table({"x": pa.array([], pa.int64()), "c": pa.array([], pa.string())}), path)
    groups = range(pq.ParquetFile(path).num_row_groups)
    found = read_bounded(pafs.LocalFileSystem(), str(path), groups=groups, columns=["x", "c"], chunk_rows=10)
    assert sum(batch.num_rows for batch in found) == 0


# texts within lists, structs and maps; files of our own -----------------------------------------------------------


def within(kind: str, texts: pa.Array) -> pa.Array:
    rows = len(texts)
    starts = pa.array(range(rows + 1), pa.int32())
    made: dict[str, pa.Array] = {
        "list": pa.ListArray.from_arrays(starts, texts),
        "struct": pa.StructArray.from_arrays([pa.array(range(rows)), texts], ["n", "t"]),
        "map": pa.MapArray.from_arrays(starts, pa.array(range(rows)), texts),
        "list of structs": pa.ListArray.from_arrays(starts, pa.StructArray.from_arrays([texts], ["t"])),
        "struct of lists": pa.StructArray.from_arrays([pa.ListArray.from_arrays(starts, texts)], ["l"]),
    }
    return made[kind]


WITHIN = ["list", "struct", "map", "list of structs", "struct of lists"]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", WITHIN)
def test_a_text_within_a_value_is_unpacked_in_pieces_that_fit(tmp_path: Path, kind: str, own: bool) -> None:
    """302 bytes would be 20 GB: a list, a struct or a map of one text that every row means."""
    texts = repeated("a" * 100_000, 2000)
    path = written(tmp_path / "a.parquet", within(kind, texts), dictionary_pagesize_limit=1 << 30, store_schema=False)
    assert path.stat().st_size < 88_000

    def read_some() -> None:
        rows = 0
        for batch in read_as_own(path) if own else iter_bounded(path):
            assert batch.nbytes <= LIMIT
            rows += batch.num_rows
            if rows > 500:
                break
        assert rows > 500

    assert peak_growth(read_some) < 5 * LIMIT >> 10


def iter_bounded(path: Path) -> Iterator[pa.RecordBatch]:
    return read_bounded(pafs.LocalFileSystem(), str(path), groups=[0], columns=["x"], chunk_rows=50_000)


def read_as_own(path: Path) -> Iterator[pa.RecordBatch]:
    return read_own(pa.OSFile(str(path)), str(path), columns=None, chunk_rows=50_000)


PAGES: dict[str, dict[str, Any]] = {
    "one": {},
    "row groups": {"row_group_size": 7},
    "no dictionary": {"use_dictionary": False},
    "a dictionary that was given up": {"dictionary_pagesize_limit": 64, "data_page_size": 64, "write_batch_size": 8},
}


@pytest.mark.parametrize("pages", PAGES)
@pytest.mark.parametrize("kind", WITHIN)
def test_a_text_within_a_value_stays_what_it_is(tmp_path: Path, kind: str, pages: str) -> None:
    texts = pa.array(["a", None, "", *(f"b{n}" * 9 for n in range(97))] * 2)
    path = written(tmp_path / "a.parquet", within(kind, texts), **PAGES[pages])
    for batches in (read(path), list(read_as_own(path))):
        assert pa.Table.from_batches(batches)["x"].to_pylist() == within(kind, texts).to_pylist()


def test_one_text_within_a_value_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    many = pa.ListArray.from_arrays([0, 2000], repeated("a" * 100_000, 2000))
    path = written(tmp_path / "a.parquet", many, dictionary_pagesize_limit=1 << 30, store_schema=False)
    with pytest.raises(DataError, match="column x: found a text of"):
        read(path)


def test_values_of_lists_that_are_written_as_the_one_before_are_counted(tmp_path: Path) -> None:
    texts = pa.ListArray.from_arrays([0, 3000], pa.array(["a" * 100_000] * 3000))
    path = written(
        tmp_path / "a.parquet", texts, use_dictionary=False, column_encoding={"x.list.element": "DELTA_BYTE_ARRAY"}
    )
    assert path.stat().st_size < 88_000
    with pytest.raises(DataError, match="column x: found lists of 3,000 values"):
        read(path)


def test_a_page_of_a_column_with_a_dot_in_its_name_is_looked_at(tmp_path: Path) -> None:
    """The path of a leaf has dots between its parts, and a name may have one of its own."""
    zeros = pa.array(np.zeros(4 << 20))
    options = {"use_dictionary": False, "data_page_size": 1 << 30, "row_group_size": 8 << 20, "compression": "zstd"}
    table = pa.table({"x.y": zeros})
    pq.write_table(table, tmp_path / "a.parquet", **options, write_batch_size=8 << 20, max_rows_per_page=1 << 30)
    with pytest.raises(DataError, match=r"column x\.y: found a page that says it is"):
        read(tmp_path / "a.parquet", columns=["x.y"])


@pytest.mark.parametrize("kind", ORDINARY)
def test_what_this_package_wrote_has_its_own_types(tmp_path: Path, kind: str) -> None:
    column = ORDINARY[kind]
    schema = pa.schema([pa.field("x", column.type, metadata={"k": "v"}), pa.field("n", pa.int8(), nullable=False)])
    table = pa.table({"x": column, "n": pa.array([1] * len(column), pa.int8())}, schema=schema)
    pq.write_table(table, tmp_path / "a.parquet")
    (batch,) = read_as_own(tmp_path / "a.parquet")
    (plain,) = pq.ParquetFile(tmp_path / "a.parquet").iter_batches()
    assert batch.equals(plain)
    assert batch.schema.equals(plain.schema, check_metadata=True)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 100, b"x" * 92 + struct.pack("<I", 80 << 20) + b"PAR1"])
def test_what_is_no_file_of_our_own_is_an_error_and_no_memory(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises((pa.ArrowException, OSError, DataError)):
        list(read_as_own(tmp_path / "a.parquet"))
