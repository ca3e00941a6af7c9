"""The flights data, against an independent reading of its source."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow.dataset as ds
import pytest

from dev.demo import flights

KNOWN_AFTERWARDS = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


@pytest.fixture(scope="module")
def built_flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flights")
    flights.build(folder)
    return folder


@pytest.fixture(scope="module")
def frame(built_flights: Path) -> pd.DataFrame:
    return ds.dataset(built_flights / "flights").to_table().to_pandas().set_index("flight_id")


@pytest.fixture(scope="module")
def source() -> list[dict[str, str]]:
    with zipfile.ZipFile(flights.source() / "flights.csv.zip") as archive:
        text = archive.read("flights.csv").decode()
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def weather() -> dict[tuple[str, datetime], dict[str, str]]:
    with (flights.source() / "weather.csv").open() as file:
        return {(row["origin"], datetime.fromisoformat(row["time_hour"])): row for row in csv.DictReader(file)}


def test_every_flight_is_there_once(frame: pd.DataFrame, source: list[dict[str, str]]) -> None:
    assert len(frame) == len(source) == 336_776
    assert frame.index.is_unique


def test_nothing_known_only_afterwards_is_there(frame: pd.DataFrame) -> None:
    assert KNOWN_AFTERWARDS.isdisjoint(frame.columns)


def test_time_label_and_weather_agree_with_the_source(
    frame: pd.DataFrame, source: list[dict[str, str]], weather: dict[tuple[str, datetime], dict[str, str]]
) -> None:
    """Every 97th flight, both changes of the clocks among them, read by other means than the module's."""
    new_york = ZoneInfo("America/New_York")
    changes = [row for row in source if (row["month"], row["day"]) in {("3", "10"), ("11", "3")}]
    compared = 0
    for row in source[::97] + changes[::7]:
        date = datetime(int(row["year"]), int(row["month"]), int(row["day"]))
        local = date.replace(hour=int(row["hour"]), minute=int(row["minute"]), tzinfo=new_york)
        got = frame.loc[f"{date:%Y-%m-%d}/{row['carrier']}{row['flight']}/{row['origin']}"]
        departure = local.astimezone(ZoneInfo("UTC"))
        assert got["scheduled_departure"] == departure
        assert departure.replace(minute=0) == datetime.fromisoformat(row["time_hour"])
        delay = row["arr_delay"]
        assert pd.isna(got["late"]) if delay in {"", "NA"} else bool(got["late"]) == (float(delay) > 15)
        assert (got["hour"], got["weekday"], got["distance"]) == (local.hour, local.weekday(), int(row["distance"]))
        before = weather.get((row["origin"], departure.replace(minute=0) - timedelta(hours=1)))
        if before is not None and before["temp"] not in {"", "NA"}:
            assert got["temp"] == pytest.approx(float(before["temp"]))
            compared += 1
    assert compared > 3000


def test_the_share_of_late_flights_by_month(frame: pd.DataFrame) -> None:
    local = frame["scheduled_departure"].dt.tz_convert("America/New_York")
    share = frame["late"].astype("Float64").groupby(local.dt.month).mean()
    expected = [0.227, 0.229, 0.228, 0.279, 0.220, 0.308, 0.315, 0.238, 0.132, 0.168, 0.174, 0.326]
    assert list(share) == pytest.approx(expected, abs=0.0005)


def test_a_second_build_changes_nothing_and_an_older_format_is_built_again(built_flights: Path) -> None:
    files = sorted((built_flights / "flights").iterdir())
    assert len(files) == 12
    before = [(path.name, path.stat().st_mtime_ns, path.stat().st_ino) for path in files]
    flights.build(built_flights)
    after = [(path.name, path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(files[0].parent.iterdir())]
    assert after == before


@pytest.mark.slow
def test_a_build_that_was_killed_is_not_taken_for_whole(tmp_path: Path) -> None:
    (tmp_path / "flights.new").mkdir()
    (tmp_path / "flights.new" / "flights-2013-01.parquet").write_bytes(b"half")
    (tmp_path / "flights.json").write_text('{"format": 0}')
    flights.build(tmp_path)
    assert len(list((tmp_path / "flights").iterdir())) == 12
    assert not (tmp_path / "flights.new").exists()
