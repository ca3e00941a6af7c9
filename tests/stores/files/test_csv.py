"""CSV files: types from all rows, quotes, marks, compression, offsets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.files.store import FileStore
from tests.support.files import NOON, csv, read


def test_csv_types_come_from_all_rows(tmp_path: Path) -> None:
    rows = ["t,i,f,b,s,n,mixed,when,big"]
    rows += [f"2024-03-01T00:00:{k % 60:02d}Z,{k},{k},true,{k},,{k},2024-01-01,{10**19 + k}" for k in range(30_000)]
    rows += ["2024-03-01T00:00:00Z,1,1.5,FALSE,x,,2024-01-01,2024-01-01 05:00:00,1"]
    table = read(csv(tmp_path, "\n".join(rows)), "i", "f", "b", "s", "n", "mixed", "when", "big")
    assert [str(field.type) for field in table.schema] == [
        *("int64", "double", "bool", "string", "null", "string", "timestamp[us]", "string")
    ]
    assert table.num_rows == 30_001
    assert table.slice(30_000)["f"].to_pylist() == [1.5]


def test_csv_files_of_one_source_share_types(tmp_path: Path) -> None:
    csv(tmp_path, "t,x,y\n2024-03-01,1,\n")
    store = csv(tmp_path, "t,x,y\n2024-03-01,2.5,a\n", "b.csv")
    assert read(store, "x", "y").to_pylist() == [{"x": 1.0, "y": None}, {"x": 2.5, "y": "a"}]


def test_csv_with_quotes_spaces_marks_and_compression(tmp_path: Path) -> None:
    import gzip

    text = '\ufefft,x,"a,b"\n2024-03-01T05:00+02:00, 7 ,"two\nlines"\n2024-03-01 03:00:00.1234567Z,NA,""\n'
    store = csv(tmp_path, gzip.compress(text.encode()), "a.csv.gz")
    assert read(store, "t", "x", "a,b").to_pylist() == [
        {"t": datetime(2024, 3, 1, 3, tzinfo=UTC), "x": 7, "a,b": "two\nlines"},
        {"t": datetime(2024, 3, 1, 3, 0, 0, 123_456, tzinfo=UTC), "x": None, "a,b": None},
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    micros=st.lists(st.integers(-(2 * 10**15), 4 * 10**15), min_size=1, max_size=5),
    hours=st.integers(-14, 14),
    separator=st.sampled_from(["T", " "]),
)
def test_any_offset_in_text_is_converted_as_python_does(
    tmp_path: Path, micros: list[int], hours: int, separator: str
) -> None:
    from datetime import timezone

    zone = timezone(timedelta(hours=hours))
    zoned = [datetime(1970, 1, 1, tzinfo=zone) + timedelta(microseconds=count) for count in micros]
    store = csv(tmp_path, "t\n" + "\n".join(moment.isoformat(separator) for moment in zoned) + "\n")
    always = Window(start=datetime(1800, 1, 1, tzinfo=UTC), end=datetime(2200, 1, 1, tzinfo=UTC))
    assert read(store, "t", window=always)["t"].to_pylist() == zoned


def test_numbers_of_a_country_are_numbers_and_others_stay_text(tmp_path: Path) -> None:
    text = "t;a;b;c;d\n2024-03-01;1.234,5;1.000;12;1.5\n2024-03-01;-0,25;2.000.000;;x\n"
    store = FileStore(csv(tmp_path, text)._path, delimiter=";", decimal=",", thousands=".")
    table = read(store, "a", "b", "c", "d")
    assert table.to_pydict() == {"a": [1234.5, -0.25], "b": [1000, 2_000_000], "c": [12, None], "d": ["1.5", "x"]}
    assert str(table.schema.field("b").type) == "int64"
    french = csv(tmp_path, "t;a\n2024-03-01;1\u202f234,5\n2024-03-01;12 345\n", "b.csv")._path + "/b.csv"
    store = FileStore(french, delimiter=";", decimal=",", thousands=" ")
    assert read(store, "a")["a"].to_pylist() == [1234.5, 12345.0]


def test_groups_of_digits_are_groups_of_three(tmp_path: Path) -> None:
    store = FileStore(csv(tmp_path, 't,a\n2024-03-01,"1,23"\n')._path, thousands=",")
    assert read(store, "a")["a"].to_pylist() == ["1,23"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["1,5", "2,25"], "decimal: ','"),
        (["1.234,50", "12,00"], "decimal: ',', thousands: "),
        (["1,234.50", "999.00"], 'thousands: ","'),
        (["1 234", "12 345"], 'thousands: " "'),
        (["1,5", "a"], None),
        (["1,2,3", "4,5"], None),
        (["2024-01-01", "soon"], None),
    ],
)
def test_texts_that_look_like_numbers_of_another_country_are_said(
    tmp_path: Path, texts: list[str], said: str | None
) -> None:
    store = csv(tmp_path, "t,x\n" + "".join(f'2024-03-01,"{text}"\n' for text in texts))
    assert read(store, "x")["x"].to_pylist() == texts
    assert [problem.field for problem in store.issues()] == (["column x"] if said else [])
    assert said is None or said in str(store.issues()[0])


def test_quoted_marks_are_texts_among_texts_and_missing_among_numbers(tmp_path: Path) -> None:
    rows = '"2024-03-01","NA","NA","NULL",NA,""\n"2024-03-01","DE","1","true","NA","x"\n'
    store = csv(tmp_path, "t,text,number,flag,both,empty\n" + rows)
    assert read(store, "text", "number", "flag", "both", "empty").to_pylist() == [
        {"text": "NA", "number": None, "flag": None, "both": None, "empty": None},
        {"text": "DE", "number": 1, "flag": True, "both": "NA", "empty": "x"},
    ]


def test_stated_marks_are_missing_quoted_or_not(tmp_path: Path) -> None:
    store = FileStore(csv(tmp_path, 't,x,y\n2024-03-01,-,"-"\n2024-03-01,1,NA\n')._path, null_values=["-"])
    assert read(store, "x", "y").to_pylist() == [{"x": None, "y": None}, {"x": 1, "y": "NA"}]


def test_quotes_and_escapes_are_as_stated(tmp_path: Path) -> None:
    path = csv(tmp_path, "t,x\n2024-03-01,'a,\\'b'\n2024-03-01,\"c\"\n")._path
    store = FileStore(path, quote="'", escape="\\")
    assert read(store, "x")["x"].to_pylist() == ["a,'b", '"c"']
    csv(tmp_path, 't,x\n2024-03-01,5" pipe\n')
    assert read(FileStore(path, quote=None), "x")["x"].to_pylist() == ['5" pipe']


def test_a_column_without_a_name_is_left_out_and_said_and_duplicates_are_refused(tmp_path: Path) -> None:
    store = csv(tmp_path, ",t,,x\n0,2024-03-01,9,1\n")
    assert [column.name for column in store.schema()] == ["t", "x"]
    assert read(store, "x")["x"].to_pylist() == [1]
    assert [problem.field for problem in store.issues()] == ["a column without a name"]


def test_stated_types_are_read_or_refused_by_name(tmp_path: Path) -> None:
    path = csv(tmp_path, "t,zip,n,when\n2024-03-01,007,1,2024-01-01\n2024-03-01,7,2,2024-01-02T00:00Z\n")._path
    store = FileStore(path, types={"zip": "text", "n": "number", "when": "text"})
    assert read(store, "zip", "n", "when").to_pylist()[0] == {"zip": "007", "n": 1.0, "when": "2024-01-01"}
    with pytest.raises(DataError, match=r"column zip: found values of type string in .*a\.csv that are no bool"):
        read(FileStore(path, types={"zip": "boolean"}), "zip")


def test_a_file_of_a_window_only_decides_the_types(tmp_path: Path) -> None:
    csv(tmp_path, "t,x\n2024-03-01,1\n", "a.csv")
    store = csv(tmp_path, "t,x\n2020-01-01,one\n", "b.csv")
    assert read(store, "x")["x"].to_pylist() == [1]


def test_doubts_about_hundreds_of_columns_are_a_few_sentences(tmp_path: Path) -> None:
    names = [f"x{number:03}" for number in range(300)]
    row = ";".join(["1,5"] * 300)
    path = csv(tmp_path, f"t;{';'.join(names)}\n2024-03-01;{row}\n2024-03-01;{row}\n")._path
    store = FileStore(path, delimiter=";")
    assert read(store, *names).num_rows == 2
    issues = store.issues()
    assert len(issues) == 11
    assert issues[-1].field == "290 more columns"
    assert len(str(issues[-1])) < 1000


DRESSED = {
    "percent": ["12.5%", "7%", "-3.25 %"],
    "money": ["€ 3.20", "$1,200.00", "5"],
    "money behind": ["1\u00a0234,50 €", "7 €", "0 €"],
    "accountants": ["(1,234.50)", "12.00", "7-"],
}
NO_NUMBERS = {
    "dates": ["1.2.2024", "31.12.2023", "7.7.2024"],
    "addresses": ["192.168.1.1", "10.0.0.1", "127.0.0.1"],
    "phones": ["(030) 12345", "+49 30 123", "110"],
    "weights": ["12 kg", "7 kg", "1 kg"],
    "codes": ["A1%", "B2", "C3"],
}


LOOKS = [*((v, True) for v in DRESSED.values()), *((v, False) for v in NO_NUMBERS.values())]


@pytest.mark.parametrize(("values", "said"), LOOKS)
def test_numbers_with_a_sign_beside_them_are_said(tmp_path: Path, values: list[str], said: bool) -> None:
    lines = "".join(f'{NOON.isoformat()};"{value}"\n' for value in values)
    (tmp_path / "a.csv").write_text(f"t;x\n{lines}", encoding="utf-8")
    store = FileStore(str(tmp_path), delimiter=";")
    assert read(store, "x")["x"].to_pylist() == values
    found = [issue.found[:46] for issue in store.issues() if issue.field == "column x"]
    assert found == ["3 texts that all look like numbers with a sign"] * said
    stated = FileStore(str(tmp_path), delimiter=";", types={"x": "text"})
    assert read(stated, "x")["x"].to_pylist() == values
    assert [issue for issue in stated.issues() if issue.field == "column x"] == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_the_encoding_that_a_file_begins_with_is_told(tmp_path: Path, encoding: str) -> None:
    mark = "" if encoding in ("utf-16", "utf-32") else "\ufeff"
    (tmp_path / "a.csv").write_bytes(f"{mark}t,x\n{NOON.isoformat()},\u00e9\n".encode(encoding))
    told = encoding.removesuffix("-le")
    with pytest.raises(DataError, match=f"state data.source.encoding: {told}"):
        read(FileStore(str(tmp_path)), "x")
    assert read(FileStore(str(tmp_path), encoding=told), "x")["x"].to_pylist() == ["\u00e9"]


def test_what_stands_above_the_header_is_told_from_a_ragged_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the first line must be the header"):
        csv(tmp_path, f"# made by x\nt,x\n{NOON.isoformat()},1\n").schema()
