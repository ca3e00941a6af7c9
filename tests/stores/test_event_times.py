"""Event times: whatever a source writes is the instant that Python reads, and a window's ends cut between instants."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.event_times import TimeReader, TimeRules, bounds_in, inside, micros, utc_microseconds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TYPES = [pa.timestamp(unit, tz) for unit in ("s", "ms", "us", "ns") for tz in (None, "UTC")] + [pa.date32()]
near = st.integers(-(10**13), 10**13).map(lambda number: EPOCH + number * MICROSECOND)
"""Moments within four months of 1970, on both sides of it."""


def read(array: pa.Array) -> list[datetime | None]:
    times: list[datetime | None] = TimeReader("t", "orders").convert(array).to_pylist()
    return times


@given(moment=near, offset=st.integers(-14 * 60, 14 * 60))
def test_microseconds_are_those_since_1970_in_any_zone(moment: datetime, offset: int) -> None:
    assert EPOCH + micros(moment.astimezone(timezone(timedelta(minutes=offset)))) * MICROSECOND == moment


@pytest.mark.parametrize("type_", TYPES, ids=str)
@given(start=near, length=st.integers(1, 3 * 10**6), times=st.lists(near, max_size=5))
def test_ends_in_a_columns_own_type_choose_the_rows_of_the_window(
    type_: pa.DataType, start: datetime, length: int, times: list[datetime]
) -> None:
    window = Window(start=start, end=start + length * MICROSECOND)
    edges = [window.start - MICROSECOND, window.start, window.end - MICROSECOND, window.end]
    column = pa.array([micros(time) for time in (*times, *edges)], pa.int64()).cast(utc_microseconds())
    plain = column if getattr(type_, "tz", None) else column.cast(pa.timestamp("us"))
    column = plain.cast(type_, safe=False)
    ends = bounds_in(type_, window)
    assert ends is not None
    chosen = pc.and_(pc.greater_equal(column, ends[0]), pc.less(column, ends[1]))
    assert chosen.to_pylist() == inside(TimeReader("t", "orders").convert(column), window).to_pylist()


def test_ends_that_a_type_cannot_hold_are_its_last_values_and_text_has_no_order() -> None:
    ends = bounds_in(
        pa.timestamp("ns"), Window(start=datetime(1, 1, 1, tzinfo=UTC), end=datetime(9999, 1, 1, tzinfo=UTC))
    )
    assert ends is not None
    assert [end.value for end in ends] == [-(2**63 - 1), 2**63 - 1]
    assert bounds_in(pa.string(), Window(start=EPOCH, end=EPOCH + MICROSECOND)) is None


def test_a_time_is_inside_from_the_start_to_before_the_end_and_a_missing_one_is_not() -> None:
    window = Window(start=EPOCH, end=EPOCH + timedelta(seconds=1))
    times = [EPOCH - MICROSECOND, EPOCH, window.end - MICROSECOND, window.end, None]
    assert inside(pa.array(times, utc_microseconds()), window).to_pylist() == [False, True, True, False, False]


NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
SAME = {
    "naive": pa.array([NOON.replace(tzinfo=None)], pa.timestamp("s")),
    "zoned": pa.array([NOON], pa.timestamp("ms", tz="America/New_York")),
    "text": pa.array([" 2013-03-01T12:00:00 "]),
    "text with an offset": pa.array(["2013-03-01 07:00:00-05:00"]),
    "text in UTC": pa.array(["2013-03-01T12:00:00Z"], pa.large_string()),
    "text of nanoseconds": pa.array(["2013-03-01T12:00:00.000000999"]),
    "dictionary": pa.array(["2013-03-01T12:00:00"]).dictionary_encode(),
}


@pytest.mark.parametrize("array", SAME.values(), ids=SAME)
def test_each_way_to_write_a_time_is_the_same_instant(array: pa.Array) -> None:
    assert read(array) == [NOON]
    assert TimeReader("t", "orders").convert(array).type == utc_microseconds()


def test_dates_begin_at_midnight_and_what_is_missing_stays_missing() -> None:
    midnight = datetime(2013, 3, 1, tzinfo=UTC)
    assert read(pa.array([date(2013, 3, 1), None])) == [midnight, None]
    assert read(pa.nulls(2)) == [None, None]


@given(nanoseconds=st.integers(-(10**13), 10**13))
def test_finer_times_are_rounded_down_before_1970_too(nanoseconds: int) -> None:
    assert read(pa.array([nanoseconds], pa.timestamp("ns"))) == [EPOCH + (nanoseconds // 1000) * MICROSECOND]


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (pa.array([1, 2]), "of type int64"),
        (pa.array(["2013-03-01T12:00:00", "soon"]), "not all times"),
        (pa.array(["2013-03-01T12:00:00", "2013-03-01T12:00:00Z"]), "carry a zone and times that do not"),
    ],
)
def test_what_is_no_event_time_is_refused_by_its_field(array: pa.Array, found: str) -> None:
    with pytest.raises(DataError, match="orders") as caught:
        read(array)
    (problem,) = caught.value.problems
    assert (problem.code, problem.field) == (ReasonCode.TIME_INVALID, "data.time")
    assert found in problem.found


def test_zones_are_not_mixed_across_batches_either() -> None:
    reader: Any = TimeReader("t", "orders")
    assert reader.convert(pa.array(["2013-03-01T12:00:00Z"])).to_pylist() == [NOON]
    with pytest.raises(DataError, match="carry a zone"):
        reader.convert(pa.array(["2013-03-01T12:00:00"]))


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]


@given(zone=st.sampled_from(ZONES), wall=st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)))
def test_a_zones_clock_is_read_as_python_reads_it(zone: str, wall: datetime) -> None:
    """The zoneinfo of Python is the independent word: fold=1 is the later instant, and a gap ends where it goes on."""
    reader = TimeReader("t", "orders", TimeRules(zone=zone))
    (found,) = reader.convert(pa.array([wall], pa.timestamp("us"))).to_pylist()
    early, late = (wall.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1))
    assert reader.doubtful is not None
    assert reader.doubtful.to_pylist() == [early != late]
    if early <= late:  # once, or twice
        assert found == late
    else:  # never: Python reads the two sides of the gap, and what lies between is its end
        assert late < found < early or found in (late, early)
        local = found.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert local > wall
        before = (found - MICROSECOND).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert before < wall


@given(
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    seconds=st.integers(-(10**9), 4 * 10**9),
    kind=st.sampled_from([pa.int64(), pa.float64(), pa.string()]),
)
def test_numbers_since_1970_are_those_instants(unit: str, seconds: int, kind: pa.DataType) -> None:
    number = seconds * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    if kind == pa.float64() and abs(number) > 2**53:
        number -= number % 2**12
    array = pa.array([number, None], pa.int64()).cast(kind, safe=False)
    found = TimeReader("t", "orders", TimeRules(unit=unit)).convert(array).to_pylist()
    assert found[1] is None
    assert abs(found[0] - (EPOCH + timedelta(seconds=seconds))) <= timedelta(milliseconds=1)


def test_texts_of_a_format_are_local_unless_they_say_their_offset() -> None:
    rules = TimeRules(zone="Europe/Berlin", format="%d.%m.%Y %H:%M")
    assert TimeReader("t", "o", rules).convert(pa.array(["01.07.2024 12:00", None])).to_pylist() == [
        datetime(2024, 7, 1, 10, tzinfo=UTC),
        None,
    ]
    zoned = TimeRules(format="%Y%m%d %H%M %z")
    assert TimeReader("t", "o", zoned).convert(pa.array(["20240701 1200 +0200"])).to_pylist() == [
        datetime(2024, 7, 1, 10, tzinfo=UTC)
    ]
    days = TimeReader("t", "o", TimeRules(format="%Y%m%d")).convert(pa.array([20240701]))
    assert days.to_pylist() == [datetime(2024, 7, 1, tzinfo=UTC)]


def test_times_with_and_without_a_zone_go_together_where_a_zone_is_stated() -> None:
    reader = TimeReader("t", "o", TimeRules(zone="Europe/Berlin"))
    texts = pa.array(["2024-07-01T12:00:00Z", "2024-07-01T12:00:00", None])
    assert reader.convert(texts).to_pylist() == [
        datetime(2024, 7, 1, 12, tzinfo=UTC),
        datetime(2024, 7, 1, 10, tzinfo=UTC),
        None,
    ]


@pytest.mark.parametrize(
    ("array", "fix"),
    [
        (pa.array([1_700_000_000]), "time_unit: s"),
        (pa.array([1_700_000_000_000]), "time_unit: ms"),
        (pa.array(["1700000000000000"]), "time_unit: us"),
        (pa.array([1_700_000_000 * 10**9]), "time_unit: ns"),
        (pa.array([20240301]), "time_format: '%Y%m%d'"),
        (pa.array([20240301123000]), "time_format: '%Y%m%d%H%M%S'"),
        (pa.array(["20240301123000"]), "time_format: '%Y%m%d%H%M%S'"),
        (pa.array(["31.12.2024"]), "state data.source.time_format"),
    ],
)
def test_what_a_column_looks_like_is_said(array: pa.Array, fix: str) -> None:
    with pytest.raises(DataError) as caught:
        read(array)
    assert fix in caught.value.problems[0].fix


@pytest.mark.parametrize(
    ("rules", "column"),
    [
        (TimeRules(zone="America/New_York"), pa.array([datetime(2024, 3, 1)], pa.timestamp("us"))),
        (TimeRules(zone="Asia/Tokyo"), pa.array([date(2024, 3, 1)])),
        (TimeRules(unit="s"), pa.array([1_709_251_200], pa.int32())),
        (TimeRules(unit="ms"), pa.array([1_709_251_200_000.0])),
    ],
)
def test_ends_for_statistics_never_lose_a_row_of_the_window(rules: TimeRules, column: pa.Array) -> None:
    (instant,) = TimeReader("t", "o", rules).convert(column).to_pylist()
    ends = bounds_in(column.type, Window(start=instant, end=instant + MICROSECOND), rules)
    assert ends is not None
    assert pc.and_(pc.greater_equal(column, ends[0]), pc.less(column, ends[1])).to_pylist() == [True]


def test_numbers_in_a_wrong_unit_are_refused_with_the_unit() -> None:
    reader = TimeReader("at", "the source", TimeRules(unit="s"))
    with pytest.raises(DataError, match=r"'at' of numbers that are beyond the years 1 to 9999 as 's' since 1970"):
        reader.convert(pa.array([1_700_000_000_000, None], pa.int64()))


def test_a_few_texts_that_are_no_times_are_counted_and_another_way_of_writing_is_told_apart() -> None:
    right = ["2026-02-01 05:00:00", "2026-02-02", " 2026-02-03T07:00:00.5 ", None]
    with pytest.raises(DataError) as error:
        TimeReader("at", "rows").convert(pa.array([*right, *right, "2026-02-30 00:00:00"]))
    (problem,) = error.value.problems
    assert problem.found == "column 'at' of text that is not all times: 1 of 7 that were looked at are none"
    assert "write them empty" in problem.fix
    assert "2026-02-30" not in str(error.value)
    with pytest.raises(DataError, match="not all times; .+time_format"):
        TimeReader("at", "rows").convert(pa.array(["01.02.2026 05:00", "13.02.2026 05:00", "2026-02-01 05:00:00"]))


@pytest.mark.parametrize(("form", "zone"), [("%d.%m.%Y %H:%M", ""), ("%d.%m.%Y %H:%M %z", " +0100")])
def test_a_format_reads_years_that_nanoseconds_do_not_reach(form: str, zone: str) -> None:
    reader: Any = TimeReader("t", "o", TimeRules(format=form))
    texts = pa.array([f"31.12.9998 23:00{zone}", f"01.03.2026 05:30{zone}", None])
    hours = timedelta(hours=1 if zone else 0)
    expected = [datetime(9998, 12, 31, 23, tzinfo=UTC) - hours, datetime(2026, 3, 1, 5, 30, tzinfo=UTC) - hours, None]
    assert reader.convert(texts).to_pylist() == expected
    with pytest.raises(DataError, match="not of the time_format"):
        reader.convert(pa.array([f"31.12.9998 23:00{zone}", "2026-03-01"]))
