"""The whole: ten lines are enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from airflow_mlops.spec import ModelSpec, parse_spec
from airflow_mlops.spec.data import FileSource
from tests.spec.samples import RAW, TEN_LINES


def test_ten_lines_are_enough() -> None:
    spec = parse_spec(TEN_LINES)
    assert spec == ModelSpec.model_validate(RAW) == ModelSpec(**RAW)
    assert (spec.data.key, spec.schedule.cron, spec.risk_tier) == (("flight_id",), "@monthly", "medium")
    assert (spec.data.window, spec.gate.holdout) == (timedelta(days=90), timedelta(days=14))
    assert (spec.registered_model, spec.experiment) == ("flight_delay", "flight_delay")
    assert isinstance(spec.data.source, FileSource)


def test_dates_without_a_zone_are_read_in_the_schedules() -> None:
    raw = {
        **RAW,
        "schedule": {"start": "2013-03-01", "end": "2013-04-01T00:00:00+00:00", "timezone": "America/New_York"},
    }
    schedule = ModelSpec.model_validate(raw).schedule
    assert schedule.start == datetime(2013, 3, 1, tzinfo=ZoneInfo("America/New_York"))
    assert schedule.end == datetime(2013, 4, 1, tzinfo=UTC)
