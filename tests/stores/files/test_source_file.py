"""Names of columns as people see them, whatever characters their letters are made of."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.files.store import FileStore
from tests.support.files import NOON, read

COMPOSED = unicodedata.normalize("NFC", "größe")
APART = unicodedata.normalize("NFD", COMPOSED)
TIME = unicodedata.normalize("NFD", "zeit_für")


def write(path: Path, columns: dict[str, list[object]]) -> None:
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".orc":
        orc.write_table(table, path)
    elif path.suffix == ".csv":
        lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        frame = table.to_pandas()
        path.write_text(frame.to_json(orient="records", lines=True, force_ascii=False), encoding="utf-8")


@pytest.mark.parametrize("ending", ["parquet", "orc", "csv", "jsonl"])
def test_letters_that_are_composed_otherwise_are_the_same_name(tmp_path: Path, ending: str) -> None:
    assert COMPOSED != APART
    for number, name in enumerate((COMPOSED, APART)):
        write(tmp_path / f"{number}.{ending}", {TIME: [NOON.isoformat()], name: [number]})
    store = FileStore(str(tmp_path))
    time = unicodedata.normalize("NFC", TIME)
    assert [column.name for column in store.schema()] == [time, COMPOSED]
    assert read(store, COMPOSED, time=time)[COMPOSED].to_pylist() == [0, 1]
    assert [issue for issue in store.issues() if COMPOSED in issue.field] == []


def test_two_columns_that_differ_in_nothing_else_are_one_too_many(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"t": [NOON], COMPOSED: [1], APART: [2]})
    with pytest.raises(DataError, match=f"2 columns named '{COMPOSED}'") as error:
        FileStore(str(tmp_path)).schema()
    assert [problem.code for problem in error.value.problems] == [ReasonCode.COLUMN_DUPLICATED]


def test_a_name_in_a_specification_that_is_composed_otherwise_is_explained(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"t": [NOON], COMPOSED: [1]})
    with pytest.raises(DataError, match="the same letters, composed of other Unicode characters: copy the name"):
        read(FileStore(str(tmp_path)), APART)


@pytest.mark.parametrize("ending", ["parquet", "orc", "csv", "jsonl"])
def test_a_column_without_a_name_is_left_out_and_said(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"a.{ending}", {"t": [NOON.isoformat()], "": [7], "x": [1]})
    store = FileStore(str(tmp_path))
    assert [column.name for column in store.schema()] == ["t", "x"]
    assert read(store, "x")["x"].to_pylist() == [1]
    (said,) = [issue for issue in store.issues() if issue.code is ReasonCode.COLUMN_EXTRA]
    assert said.field == "a column without a name"
