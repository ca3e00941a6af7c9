"""JSON lines that would become more than there is: memory stays bounded, and the refusal names the file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError
from airflow_mlops.stores.files import json_limits
from airflow_mlops.stores.files.json_limits import pieces
from airflow_mlops.stores.files.json_lines import JsonPart
from tests.support.memory import peak_growth

MEMORY = 64 << 20


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_limits, "memory_bytes", lambda: MEMORY)


def part(path: Path, content: bytes) -> JsonPart:
    path.write_bytes(content)
    return JsonPart(pafs.LocalFileSystem(), str(path))


def test_ordinary_lines_are_read_as_they_are(tmp_path: Path) -> None:
    rows = [{"a": n, "b": f"x{n % 7}", "c": {"d": [n, None]}, "e": [{"f": n}] * (n % 3)} for n in range(20_000)]
    read = part(tmp_path / "a.json", "".join(json.dumps(row) + "\n" for row in rows).encode())
    names = list(read.names)
    assert names == ["a", "b", "c", "e"]
    found = pa.Table.from_batches(read.batches(None, "", names, 5000))
    assert found.to_pylist() == rows


def test_a_field_of_its_own_in_each_line_is_refused(tmp_path: Path) -> None:
    lines = b"".join(b'{"a%d":1}\n' % n for n in range(100_000))  # 1 MB, a table of 10 billion cells
    read = part(tmp_path / "a.json", lines)

    def refused() -> None:
        with pytest.raises(DataError, match=r"more than 20,000 fields, in .*a\.json"):
            list(read.names)

    assert peak_growth(refused) < 300 << 10


def test_many_empty_lines_are_no_wide_table(tmp_path: Path) -> None:
    wide = json.dumps({f"c{n}": n for n in range(2000)}).encode() + b"\n"
    read = part(tmp_path / "a.json", wide + b"{}\n" * 300_000)
    names = list(read.names)
    sizes = []

    def some() -> None:
        for batch in read.batches(None, "", names, 50_000):
            sizes.append((batch.num_rows, batch.nbytes))
            if sum(rows for rows, _ in sizes) > 50_000:
                break

    assert peak_growth(some) < 300 << 10
    assert sum(rows for rows, _ in sizes) > 50_000
    assert max(taken for _, taken in sizes) <= 16 << 20


def test_one_line_of_many_objects_is_bounded(tmp_path: Path) -> None:
    flat = b'{"a":[' + b",".join(b'{"b":1}' for _ in range(20_000)) + b"]}\n"
    assert list(part(tmp_path / "a.json", flat).names) == ["a"]
    wide = b'{"a":[' + b",".join(b'{"b%d":1}' % n for n in range(20_000)) + b"]}\n"
    with pytest.raises(DataError, match=r"a line of 20,00\d objects with 20,00\d fields between them, in .*b\.json"):
        list(part(tmp_path / "b.json", wide).names)


@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
@pytest.mark.parametrize("levels", [90, 1000, 200_000])
def test_depth_is_refused_before_a_parser_falls(tmp_path: Path, opens: bytes, closes: bytes, levels: int) -> None:
    """Of 100,000 levels pyarrow's parser ends the process."""
    levels = levels // (opens.count(b"[") + opens.count(b"{"))
    read = part(tmp_path / "a.json", b'{"x":' + opens * levels + b"1" + closes * levels + b"}\n")
    if levels <= 90:
        assert list(read.names) == ["x"]
    else:
        with pytest.raises(DataError, match=r"more than 100 levels, in .*a\.json"):
            list(read.names)


def test_brackets_in_texts_are_no_depth(tmp_path: Path) -> None:
    assert list(part(tmp_path / "a.json", json.dumps({"x": '[{"\\' * 5000}).encode() + b"\n").names) == ["x"]


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_limits, "LONGEST_LINE", 4 << 20)
    path = tmp_path / "a.json.gz"
    with gzip.open(path, "wb") as file:
        file.write(b'{"x":"')
        for _ in range(64):
            file.write(b"a" * (1 << 20))
    assert path.stat().st_size < 88_000
    with pytest.raises(DataError, match=r"a line of more than 4.19 MB, in .*a\.json\.gz"):
        list(JsonPart(pafs.LocalFileSystem(), str(path)).names)


@given(st.lists(st.binary(max_size=30).filter(lambda raw: b"\n" not in raw), max_size=60), st.integers(0, 10**6))
def test_pieces_are_the_lines_in_their_order(lines: list[bytes], columns: int) -> None:
    block = b"".join(line + b"\n" for line in lines)
    try:
        found = list(pieces(block, columns, "x"))
    except DataError as error:
        assert "objects with" in str(error)  # noqa: PT017
        return
    assert b"".join(found) == block
    assert all(piece.endswith(b"\n") or not piece for piece in found)
