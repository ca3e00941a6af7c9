"""Snapshots of real files in a real folder: same rows, same address; whole, or not there at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlops.core.errors import DataError, StoreUnavailableError
from airflow_mlops.core.pipeline.features import resolve
from airflow_mlops.core.snapshot.read import open_snapshot, read_snapshot, verify_snapshot
from airflow_mlops.core.snapshot.take import take_snapshot
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.taken_snapshots import AS_OF, HOURS, NOW, Place, flights, spec


def test_exactly_the_mature_rows_of_the_window(place: Place) -> None:
    snapshot = place.take()
    frame = read_snapshot(snapshot, place.storage)
    assert list(frame.columns) == ["dep", "id", "late", "dist", "carrier"]
    assert frame["dep"].min() == AS_OF - timedelta(days=40)
    assert frame["dep"].max() == AS_OF - timedelta(days=1)  # mature on the instant
    assert len(frame) == snapshot.rows == 39 * 24 + 1
    assert str(frame["dep"].dtype) == "datetime64[us, UTC]"
    assert frame["id"].is_monotonic_increasing


def test_the_manifest_says_where_the_rows_come_from(place: Place) -> None:
    snapshot = place.take()
    assert open_snapshot(snapshot.uri, place.storage) == snapshot
    assert snapshot.uri.endswith(f"snapshots/flight_delay/{snapshot.fingerprint}")
    assert snapshot.source == f"files {place.folder}/data"
    assert [column.name for column in snapshot.source_columns] == ["dep", "id", "late", "dist", "carrier", "tail"]
    assert {column.name: column.type for column in snapshot.columns}["carrier"] == "string"
    assert [issue.found for issue in snapshot.known_issues] == ["times without a zone in 'dep'"]
    assert (snapshot.as_of, snapshot.extracted_at) == (AS_OF, NOW)
    assert place.files() == [
        f"snapshots/flight_delay/{snapshot.fingerprint}/data.parquet",
        f"snapshots/flight_delay/{snapshot.fingerprint}/manifest.json",
    ]


def test_a_second_run_uses_the_first_ones_snapshot(place: Place) -> None:
    first = place.take()
    files = place.files()
    data = place.folder / "mlops" / files[0]
    written = data.stat().st_mtime_ns
    again = place.take(now=NOW + timedelta(days=3))
    assert again == first
    assert place.files() == files
    assert data.stat().st_mtime_ns == written


@pytest.mark.parametrize("later", [False, True])
def test_a_snapshot_whose_rows_are_gone_is_written_again(place: Place, later: bool) -> None:
    first = place.take()
    # The same rows as of a later time are a snapshot of their own, beside it.
    as_of = AS_OF + timedelta(minutes=1) if later else AS_OF
    snapshot = place.take(as_of=as_of)
    assert (snapshot.uri != first.uri) is later
    data = Path(snapshot.data_uri.removeprefix("file://"))
    before = data.read_bytes()
    data.unlink()
    with pytest.raises(DataError, match="no file"):
        read_snapshot(snapshot, place.storage)
    assert place.take(as_of=as_of, now=NOW + timedelta(days=3)) == snapshot
    verify_snapshot(snapshot, place.storage)
    assert data.read_bytes() == before
    assert len(place.files()) == (4 if later else 2)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[("k", 1)]] * HOURS, pa.map_(pa.string(), pa.int64())),
        pa.array([[1.0, 2.0]] * HOURS, pa.list_(pa.float64(), 2)),
        pa.array([{"a": 1, "b": "x"}] * HOURS),
        pa.array([[{"a": [1]}]] * HOURS),
        pa.array([b"abcd"] * HOURS, pa.binary(4)),
    ],
    ids=lambda values: str(values.type),
)
def test_a_column_of_many_parts_is_kept_and_read_back(place: Place, values: pa.Array) -> None:
    place.write(flights().append_column("parts", values))
    snapshot = place.take()
    frame = read_snapshot(snapshot, place.storage)
    verify_snapshot(snapshot, place.storage)
    assert "parts" in frame
    assert place.take(now=NOW + timedelta(days=1)) == snapshot


def test_rows_that_the_source_no_longer_has_are_another_snapshot(place: Place) -> None:
    first = place.take()
    Path(first.data_uri.removeprefix("file://")).unlink()
    place.write(flights().slice(10, 1200))
    second = place.take()
    assert second.fingerprint != first.fingerprint
    verify_snapshot(second, place.storage)
    assert [file.rpartition("/")[2] for file in place.files()].count("manifest.json") == 2


def test_one_changed_cell_is_another_snapshot(place: Place) -> None:
    first = place.take()
    distances = flights()["dist"].to_pylist()
    distances[1300] += 0.001
    place.write(flights(dist=pa.array(distances)))
    assert place.take().fingerprint != first.fingerprint


def test_the_files_layout_does_not_matter(place: Place) -> None:
    first = place.take()
    table = flights()
    pq.write_table(table.slice(0, 700), place.folder / "data/a.parquet", row_group_size=33)
    pq.write_table(table.slice(700), place.folder / "data/b.parquet", compression="none")
    assert place.take().fingerprint == first.fingerprint


def test_the_same_rows_for_a_later_as_of_are_a_snapshot_of_their_own(place: Place) -> None:
    model = spec(window="300d")
    first, later = (place.take(model, AS_OF + timedelta(days=days)) for days in (30, 31))
    assert first.fingerprint == later.fingerprint
    assert first.uri != later.uri
    assert open_snapshot(later.uri, place.storage).as_of == AS_OF + timedelta(days=31)
    assert place.take(model, AS_OF + timedelta(days=31)) == later
    assert place.take(model, AS_OF + timedelta(days=30)) == first
    verify_snapshot(later, place.storage)


@pytest.mark.parametrize(
    ("features", "columns"),
    [
        ({"numeric": ["dist"]}, ["dep", "id", "late", "dist"]),
        ({"numeric": ["dist", "gone"], "categorical": ["carrier"]}, ["dep", "id", "late", "dist", "carrier"]),
        ({}, ["dep", "id", "late", "dist", "carrier", "tail"]),
        ({"transformer": "sklearn.preprocessing.FunctionTransformer", "exclude": ["tail"]}, None),
    ],
)
def test_which_columns_are_kept(place: Place, features: dict[str, Any], columns: list[str] | None) -> None:
    kept = [column.name for column in place.take(spec(features)).columns]
    assert kept == (columns or ["dep", "id", "late", "dist", "carrier"])


def test_rows_without_label_or_time_are_left_out_and_counted(place: Place) -> None:
    table = flights()
    late = [None if i % 10 == 0 else i % 2 for i in range(HOURS)]
    dep = [None if i < 5 else value for i, value in enumerate(table["dep"].to_pylist())]
    place.write(flights(late=pa.array(late), dep=pa.array(dep, pa.timestamp("us"))))
    snapshot = place.take()
    inside = range(24 * 20, 24 * 59 + 1)
    assert snapshot.rows == sum(late[i] is not None for i in inside)
    codes = [issue.code for issue in snapshot.known_issues]
    assert codes == [ReasonCode.LABELS_MISSING, ReasonCode.TIME_INVALID, ReasonCode.TIME_INVALID]
    assert f"{sum(late[i] is None for i in inside)} rows" in snapshot.known_issues[0].found
    assert "5 rows" in snapshot.known_issues[1].found


def test_what_is_missing_beside_a_missing_label_is_counted(place: Place) -> None:
    def some(values: list[Any], step: int, gap: Any = None) -> list[Any]:
        return [gap if i % step == 0 else value for i, value in enumerate(values)]

    place.write(
        flights(
            late=pa.array(some([i % 2 for i in range(HOURS)], 10)),
            dist=pa.array(some([i * 0.5 for i in range(HOURS)], 15, float("nan"))),
            carrier=pa.array(some(["AB"[i % 2] for i in range(HOURS)], 20)).dictionary_encode(),
        )
    )
    snapshot = place.take()
    inside = [i for i in range(24 * 20, 24 * 59 + 1) if i % 10 == 0]
    assert snapshot.unlabelled == len(inside)
    assert snapshot.unlabelled_nulls == {
        "dep": 0,
        "id": 0,
        "late": len(inside),
        "dist": sum(i % 15 == 0 for i in inside),
        "carrier": sum(i % 20 == 0 for i in inside),
    }
    assert open_snapshot(snapshot.uri, place.storage) == snapshot


def test_a_snapshot_of_the_first_format_is_read_and_not_taken_for_todays(place: Place) -> None:
    snapshot = place.take()
    path = Path(snapshot.uri.removeprefix("file://")) / "manifest.json"
    old = {k: v for k, v in json.loads(path.read_text()).items() if not k.startswith("unlabelled")}
    path.write_text(json.dumps({**old, "format": 1}))
    read = open_snapshot(snapshot.uri, place.storage)
    assert (read.unlabelled, read.unlabelled_nulls) == (0, None)
    assert len(read_snapshot(read, place.storage)) == snapshot.rows
    again = place.take()
    assert again.uri != snapshot.uri
    assert again.unlabelled_nulls is not None
    assert place.take() == again


GATE: dict[str, Any] = {
    "slices": {"columns": ["carrier", "nowhere"]},
    "fairness": {"columns": ["tail"]},
    "champion": {"entity": "id", "block": None},
}


def test_what_the_gate_judges_by_is_kept_and_no_feature(place: Place) -> None:
    place.write(flights(w=pa.array([1.0] * HOURS), plane=flights()["tail"]))
    champion = {"entity": "plane"}
    model = spec({"numeric": ["dist"]}, gate={**GATE, "champion": champion}, weight="w")
    snapshot = place.take(model)
    assert [c.name for c in snapshot.columns] == ["dep", "id", "late", "dist", "w", "plane", "carrier", "tail"]
    assert [f.name for f in resolve(model, snapshot)] == ["dist"]
    by_type = spec(gate={**GATE, "champion": champion}, weight="w")
    found = place.take(by_type)
    assert {"w", "plane", "tail"} <= {c.name for c in found.columns}
    assert [f.name for f in resolve(by_type, found)] == ["dist", "carrier"]


def test_a_missing_weight_or_entity_is_named(place: Place) -> None:
    model = spec(gate={"champion": {"entity": "tial"}}, weight="wieght")
    with pytest.raises(DataError) as caught:
        place.take(model)
    assert [(p.field, p.code) for p in caught.value.problems] == [
        ("data.weight", ReasonCode.COLUMN_MISSING),
        ("gate.champion.entity", ReasonCode.COLUMN_RENAMED),
    ]
    assert "did you mean 'tail'" in str(caught.value)


def test_a_label_that_is_not_a_number_is_missing(place: Place) -> None:
    place.write(flights(late=pa.array([float("nan") if i % 2 else 1.0 for i in range(HOURS)])))
    assert place.take().rows == len([i for i in range(24 * 20, 24 * 59 + 1) if i % 2 == 0])


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], ReasonCode, str]] = {
    "labels all missing": (
        {"late": pa.nulls(HOURS, pa.int64())},
        {},
        ReasonCode.LABELS_MISSING,
        "no label 'late' in any of 937 rows",
    ),
    "labels of no type": ({"late": pa.nulls(HOURS)}, {}, ReasonCode.LABELS_MISSING, "no label 'late'"),
    "renamed label": ({}, {"label": "lat"}, ReasonCode.COLUMN_RENAMED, r"data\.label.*did you mean 'late'"),
    "renamed time": ({}, {"time": "depp"}, ReasonCode.COLUMN_RENAMED, r"data\.time.*did you mean 'dep'"),
    "missing key": ({}, {"key": ["id", "zzzz"]}, ReasonCode.COLUMN_MISSING, r"data\.key: found no column 'zzzz'"),
    "no time": ({}, {"time": "dist"}, ReasonCode.TIME_INVALID, "'dist' of type double"),
    "times all null": (
        {"dep": pa.nulls(HOURS, pa.timestamp("us"))},
        {},
        ReasonCode.WINDOW_EMPTY,
        "the source holds no times at all",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_snapshot_leaves_nothing(place: Place, case: str) -> None:
    table, data, code, message = REFUSED[case]
    place.write(flights(**table))
    with pytest.raises(DataError, match=message) as caught:
        place.take(spec(**data))
    assert {problem.code for problem in caught.value.problems} == {code}
    assert f"files {place.folder}/data" in str(caught.value)
    assert place.files() == []


def test_an_empty_window_says_what_times_there_are(place: Place) -> None:
    with pytest.raises(DataError) as caught:
        place.take(as_of=datetime(2030, 1, 1, tzinfo=UTC))
    assert caught.value.problems[0].code is ReasonCode.WINDOW_EMPTY
    assert "times from 2024-01-01T00:00:00+00:00 to 2024-03-10T23:00:00+00:00" in str(caught.value)
    assert "window [2029-11-22T00:00:00+00:00, " in str(caught.value)
    assert place.files() == []
    # Its remedy is a command that works: history is the first thing that somebody new has.
    assert """trigger flight_delay.train --conf '{"as_of": "2024-03-12T00:00:00Z"}'""" in str(caught.value)
    assert place.take(as_of=datetime(2024, 3, 12, tzinfo=UTC)).rows > 0


def test_a_window_before_every_row_has_no_as_of_to_propose(place: Place) -> None:
    with pytest.raises(DataError, match=r"check the as-of time, data\.window"):
        place.take(as_of=datetime(2020, 1, 1, tzinfo=UTC))


def test_a_source_that_breaks_half_way_leaves_nothing(place: Place) -> None:
    path = place.folder / "data/b.parquet"
    pq.write_table(flights(), path, compression="none")
    whole = bytearray(path.read_bytes())
    whole[4:-3000] = bytes(len(whole) - 3004)
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"found a damaged Parquet file: .*b\.parquet"):
        place.take()
    assert place.files() == []


def test_unwritable_storage_is_named(place: Place) -> None:
    (place.folder / "taken").write_text("a file")
    storage = open_storage(str(place.folder / "taken" / "mlops"))
    with pytest.raises(StoreUnavailableError, match=r"cannot write file://.*/taken/mlops/.*store_unwritable"):
        take_snapshot(spec(), AS_OF, FileStore(str(place.folder / "data")), storage, now=NOW)


def test_two_runs_with_the_same_rows_at_the_same_time_do_not_lose_a_manifest(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see that nothing stands there; the second one has another window, and comes before the first one's end."""
    move, others = place.storage.move, []
    minute = timedelta(minutes=1)  # rows are hourly: these two windows hold the same

    def overtaken(path: str, target: str) -> str:
        if target.endswith("manifest.json") and not others:
            others.append(None)
            others[0] = place.take(as_of=AS_OF + 2 * minute)
        return move(path, target)

    monkeypatch.setattr(place.storage, "move", overtaken)
    with pytest.raises(StoreUnavailableError, match="took the same rows for another window at the same time") as caught:
        place.take(as_of=AS_OF + minute)
    assert not caught.value.lasting
    (other,) = others
    assert open_snapshot(other.uri, place.storage) == other
    again = place.take(as_of=AS_OF + minute)
    assert again.fingerprint == other.fingerprint
    assert again.uri != other.uri
    for snapshot in (other, again):
        assert open_snapshot(snapshot.uri, place.storage) == snapshot
        verify_snapshot(snapshot, place.storage)
    assert [name for name in place.files() if "staging" in name] == []


def test_two_runs_that_take_the_same_snapshot_have_one_manifest(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    move, others = place.storage.move, []

    def overtaken(path: str, target: str) -> str:
        if target.endswith("manifest.json") and not others:
            others.append(None)
            others[0] = place.take(now=NOW + timedelta(seconds=5))
        return move(path, target)

    monkeypatch.setattr(place.storage, "move", overtaken)
    assert place.take() == others[0] == open_snapshot(others[0].uri, place.storage)


def test_an_as_of_without_a_zone_is_refused(place: Place) -> None:
    with pytest.raises(DataError, match="without a time zone"):
        place.take(as_of=AS_OF.replace(tzinfo=None))


KILLED = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
from importlib.util import module_from_spec, spec_from_file_location
known = spec_from_file_location("snapshot_place", sys.argv[3])
sys.modules["snapshot_place"] = module = module_from_spec(known)
known.loader.exec_module(module)
import airflow_mlops.core.snapshot.take as core

place = object.__new__(module.Place)
place.folder = Path(sys.argv[1])
place.storage = module.open_storage(str(place.folder / "mlops"))
step = sys.argv[4]
storage = type(place.storage)

def wait(*_, **__):
    print("ready", flush=True)
    sys.stdin.read()

if step == "rows":
    update = core.ContentHash.update
    core.ContentHash.update = lambda self, batch: wait() if self.rows > 300 else update(self, batch)
elif step == "moved":
    storage.write_text = wait
else:
    storage.move = wait
place.take()
"""


@pytest.mark.parametrize("step", ["rows", "written", "moved"])
def test_a_killed_run_leaves_no_snapshot_and_the_next_one_makes_it(place: Place, step: str) -> None:
    arguments = [str(place.folder), str(Path(__file__).parents[3]), __file__, step]
    command = [sys.executable, "-c", KILLED, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)
    left = place.files()
    assert left, "the kill came in the middle"
    assert not [name for name in left if name.endswith("manifest.json")]
    snapshot = place.take()
    verify_snapshot(snapshot, place.storage)
    # A day later what the killed run staged is swept, and only that.
    place.take(now=NOW + timedelta(days=2))
    assert [name for name in place.files() if snapshot.fingerprint not in name] == []


def test_what_another_run_is_still_writing_is_not_swept(place: Place) -> None:
    folder = place.folder / "mlops/snapshots/flight_delay"
    folder.mkdir(parents=True)
    for name in (".staging-20251231T120000Z-a.parquet", ".staging-20251230T120000Z-a.parquet.x.tmp"):
        (folder / name).write_text("")
    place.take()
    assert [path.name for path in folder.glob(".staging*")] == [".staging-20251231T120000Z-a.parquet"]
