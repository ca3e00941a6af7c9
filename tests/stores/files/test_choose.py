"""Which files are opened for a window: those that can hold its rows, told without the others where that is possible."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.files.store import FileStore

FIRST = datetime(2023, 1, 1, tzinfo=UTC)
BROKEN = b"this is no file of rows"


def window(first: int, last: int) -> Window:
    return Window(start=FIRST + timedelta(days=first), end=FIRST + timedelta(days=last))


def day_of(number: int, hours: int = 24) -> pa.Table:
    times = [FIRST + timedelta(days=number, hours=hour) for hour in range(hours)]
    return pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "x": [number] * hours})


def write(folder: Path, names: list[str], ending: str = "parquet") -> None:
    for number, name in enumerate(names):
        path = folder / f"{name}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if ending == "csv":
            pacsv.write_csv(day_of(number), path)
        else:
            pq.write_table(day_of(number), path)


def read(folder: Path, first: int, last: int) -> list[int]:
    store = FileStore(str(folder))
    return sorted({row["x"] for batch in store.read(window(first, last), "t", ["x"]) for row in batch.to_pylist()})


def named(number: int, form: str) -> str:
    return (FIRST + timedelta(days=number)).strftime(form)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("form", ["%Y-%m-%d", "dt=%Y-%m-%d/part-0", "year=%Y/month=%m/day=%d/x", "orders_%Y%m%d"])
def test_of_a_thousand_files_three_and_their_neighbours_are_opened(tmp_path: Path, form: str, ending: str) -> None:
    write(tmp_path, [named(number, form) for number in range(480, 520)], ending)
    for number in range(480, 520):  # rows of the right days, whatever `write` counts from
        path = tmp_path / f"{named(number, form)}.{ending}"
        pacsv.write_csv(day_of(number), path) if ending == "csv" else pq.write_table(day_of(number), path)
    for number in [*range(480), *range(520, 1000)]:
        path = tmp_path / f"{named(number, form)}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BROKEN)
    for number in [n for n in range(480, 520) if not 498 <= n <= 504]:
        (tmp_path / f"{named(number, form)}.{ending}").write_bytes(BROKEN)
    assert read(tmp_path, 500, 503) == [500, 501, 502]
    assert "files named after other days were not opened" in FileStore(str(tmp_path)).query(window(500, 503), "t", [])


def test_names_that_lie_are_not_believed(tmp_path: Path) -> None:
    write(tmp_path, [named(number + 3, "export-%Y-%m-%d") for number in range(20)])
    assert read(tmp_path, 5, 8) == [5, 6, 7]


def test_late_rows_in_the_neighbour_open_all_files(tmp_path: Path) -> None:
    write(tmp_path, [named(number, "%Y-%m-%d") for number in range(20)])
    late = pa.concat_tables([day_of(8), day_of(5, hours=1).set_column(1, "x", pa.array([99]))])
    pq.write_table(late, tmp_path / f"{named(8, '%Y-%m-%d')}.parquet")
    later = pa.concat_tables([day_of(15), day_of(5, hours=1).set_column(1, "x", pa.array([77]))])
    pq.write_table(later, tmp_path / f"{named(15, '%Y-%m-%d')}.parquet")
    assert read(tmp_path, 5, 8) == [5, 6, 7, 77, 99]


def test_statistics_tell_where_names_do_not(tmp_path: Path) -> None:
    write(tmp_path, [f"part-{number:04}" for number in range(10)])
    table = day_of(9).set_column(1, "x", pa.array(["text"] * 24))
    pq.write_table(table, tmp_path / "part-0009.parquet")
    assert read(tmp_path, 2, 4) == [2, 3]
    assert [column.type for column in FileStore(str(tmp_path)).schema(window(2, 4), "t")][1] == "int64"


def test_a_read_tells_where_statistics_do_not(tmp_path: Path) -> None:
    write(tmp_path, [f"part-{number:04}" for number in range(6)], "csv")
    (tmp_path / "part-0005.csv").write_text("t,y\n2023-01-06,a\n")
    texts = [f"2023-01-{day:02}" for day in range(1, 4)]
    assert read(tmp_path, 2, 4) == [2, 3]
    folder = tmp_path / "texts"
    folder.mkdir()
    for number, text in enumerate(texts):
        columns = {"t": [text], "x": [number]} if number < 2 else {"t": [text], "y": [number]}
        pq.write_table(pa.table(columns), folder / f"{number}.parquet")
    assert read(folder, 0, 2) == [0, 1]


def test_a_file_that_cannot_be_placed_is_named(tmp_path: Path) -> None:
    write(tmp_path, [f"part-{number:04}" for number in range(3)])
    pq.write_table(pa.table({"x": [1]}), tmp_path / "stray.parquet")
    with pytest.raises(DataError, match=r"stray\.parquet: data\.time: found no column 't'"):
        read(tmp_path, 0, 1)
    pq.write_table(pa.table({"t": [1], "x": [1]}), tmp_path / "stray.parquet")
    with pytest.raises(DataError, match=r"data\.time: found column 't' of type int64, in .*stray\.parquet"):
        read(tmp_path, 0, 1)


def test_hours_of_a_zone_near_midnight_are_not_lost(tmp_path: Path) -> None:
    for number in range(6):
        local = day_of(number)["t"].cast(pa.timestamp("us"))
        pq.write_table(pa.table({"t": local, "x": [number] * 24}), tmp_path / f"{named(number, '%Y-%m-%d')}.parquet")
    store = FileStore(str(tmp_path), time_zone="Asia/Tokyo")
    rows = [row for batch in store.read(window(2, 3), "t", ["t", "x"]) for row in batch.to_pylist()]
    assert len(rows) == 24
    assert {row["x"] for row in rows} == {2, 3}
    assert min(row["t"] for row in rows) == FIRST + timedelta(days=2)


def test_a_file_without_a_line_holds_no_rows_and_blocks_nothing(tmp_path: Path) -> None:
    for day, text in enumerate(["", f'{{"t": "{FIRST.isoformat()}", "x": 7}}\n', "\n\n"]):
        (tmp_path / f"part-{day}.jsonl").write_text(text)
    store = FileStore(str(tmp_path))
    assert [row["x"] for batch in store.read(window(0, 1), "t", ["x"]) for row in batch.to_pylist()] == [7]
    assert store.bounds("t") == (FIRST, FIRST)
    assert [row["x"] for batch in store.read_all(["x"]) for row in batch.to_pylist()] == [7]
    (tmp_path / "part-1.jsonl").write_text("")
    with pytest.raises(DataError, match="no column 'x'; allowed: none"):
        list(FileStore(str(tmp_path)).read(window(0, 1), "t", ["x"]))
