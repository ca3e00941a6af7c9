"""Marks of a source: they change when something comes, goes or changes, and not otherwise."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.data import FileSource, SqlSource
from airflow_mlops.stores.change_token import change_token, count_at_least, file_change_token

START = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = Window(start=START, end=START + timedelta(days=7))
TABLE = SqlSource(conn_id="shop", table="orders")
QUERY = SqlSource(
    conn_id="shop", query="select t, late from orders where t >= :window_start and t < :window_end -- bounded"
)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    file = tmp_path / "shop.db"
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": str(file)}))
    connection = sqlite3.connect(file)
    connection.executescript(
        "create table orders (t text, late integer); insert into orders values ('2026-03-02 00:00:00', null)"
    )
    yield connection
    connection.close()


@pytest.mark.parametrize("source", [TABLE, QUERY], ids=["table", "query"])
@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ("insert into orders values ('2026-03-03 00:00:00', null)", True),
        ("insert into orders values ('2026-03-02 00:00:00', null)", True),
        ("update orders set late = 1", True),
        ("delete from orders", True),
        ("insert into orders values ('2026-05-03 00:00:00', 1)", False),
        ("insert into orders values (null, 1)", False),
    ],
)
def test_a_database_is_marked_by_rows_outcomes_and_newest_time(
    shop: sqlite3.Connection, source: SqlSource, change: str, differs: bool
) -> None:
    def mark() -> str:
        return change_token(source, data_root="", window=WEEK, time="t", counted=["late"])

    before = mark()
    assert mark() == before
    with shop:
        shop.execute(change)
    assert (mark() != before) is differs


@pytest.mark.parametrize("source", [TABLE, QUERY], ids=["table", "query"])
def test_rows_are_counted(shop: sqlite3.Connection, source: SqlSource) -> None:
    assert [count_at_least(source, data_root="", window=WEEK, time="t", rows=n) for n in (1, 2)] == [True, False]


def test_what_a_database_lacks_is_said_at_once(shop: sqlite3.Connection) -> None:
    with pytest.raises(DataError, match="column_missing") as caught:
        change_token(TABLE, data_root="", window=WEEK, time="moment", counted=["outcome"])
    assert len(caught.value.problems) == 2


def test_files_are_marked_wherever_a_machine_has_mounted_them(tmp_path: Path) -> None:
    for mount in ("a", "b"):
        folder = tmp_path / mount / "orders" / "day=1"
        folder.mkdir(parents=True)
        (folder / "x.csv").write_text("t\n")
        os.utime(folder / "x.csv", ns=(1, 1_700_000_000_000_000_000))
    one, other = (
        change_token(FileSource(path="orders/"), data_root=str(tmp_path / mount), window=WEEK, time="t")
        for mount in "ab"
    )
    assert one == other
    os.utime(tmp_path / "a" / "orders" / "day=1" / "x.csv", ns=(1, 1_700_000_000_000_000_001))
    assert file_change_token(str(tmp_path / "a" / "orders")) != one


def test_a_link_to_nothing_hides_no_other_file(tmp_path: Path) -> None:
    for number in range(20):  # folders are listed in any order: before and after the file
        (tmp_path / f"{number:02}.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "orders.csv").write_text("t\n")
    before = file_change_token(str(tmp_path))
    assert file_change_token(str(tmp_path)) == before
    (tmp_path / "orders.csv").write_text("t\n1\n")
    assert file_change_token(str(tmp_path)) != before


def test_one_file_and_none(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    nothing = file_change_token(str(file))
    file.write_text("t\n")
    one = file_change_token(str(file))
    file.write_text("t\n1\n")
    assert len({nothing, one, file_change_token(f"file://{file}")}) == 3


def test_an_object_store_is_marked_too(memory: str) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    store, folder = MemoryFileSystem(), memory.removeprefix("memory:/")
    store.pipe(f"{folder}/orders/a.csv", b"t\n")
    before = file_change_token(f"{memory}/orders")
    assert file_change_token(f"{memory}/orders") == before
    store.pipe(f"{folder}/orders/b.csv", b"t\n")
    assert file_change_token(f"{memory}/orders") != before
