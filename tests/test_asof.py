"""One answer to "as of when?" for all four ways a run begins."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_mlops.asof import parse_as_of, resolve_as_of
from airflow_mlops.spec import SpecError

CREATED = datetime(2026, 1, 5, 12, tzinfo=UTC)
MARCH = datetime(2013, 3, 1, tzinfo=UTC)


def context(run_type: str, *, events: list[dict[str, str] | None] | None = None, **params: object) -> dict[str, object]:
    run = SimpleNamespace(run_type=run_type, data_interval_end=MARCH, run_after=CREATED)
    triggering = {"asset": [SimpleNamespace(extra=extra) for extra in events]} if events is not None else {}
    return {"dag_run": run, "params": params, "triggering_asset_events": triggering}


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
def test_a_scheduled_run_lives_at_the_end_of_its_data_interval_whatever_the_params_say(run_type: str) -> None:
    assert resolve_as_of(context(run_type, as_of="2014-01-01")) == MARCH


def test_a_run_by_hand_takes_the_param_and_else_the_time_it_was_created() -> None:
    assert resolve_as_of(context("manual", as_of="2013-12-01T06:00:00+01:00")) == datetime(2013, 12, 1, 5, tzinfo=UTC)
    assert resolve_as_of(context("manual", as_of=None)) == CREATED


def test_an_event_carries_its_as_of_and_the_latest_of_several_counts() -> None:
    events = [{"as_of": "2013-05-01T00:00:00+02:00"}, {"as_of": "2013-05-01T00:00:00Z"}, None]
    assert resolve_as_of(context("asset_triggered", events=events)) == datetime(2013, 5, 1, tzinfo=UTC)


def test_an_event_without_as_of_means_when_the_run_was_created() -> None:
    assert resolve_as_of(context("asset_triggered", events=[{}])) == CREATED


def test_a_future_as_of_is_refused() -> None:
    with pytest.raises(SpecError, match="not in the future"):
        resolve_as_of(context("manual", as_of=(datetime.now(UTC) + timedelta(days=1)).isoformat()))


def test_a_time_that_is_none_is_refused_in_one_sentence() -> None:
    with pytest.raises(SpecError, match="as_of: found 'last tuesday'; allowed: an ISO 8601 time"):
        parse_as_of("last tuesday")


@pytest.mark.parametrize(
    "value", ["0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1899-12-31"]
)
def test_a_time_at_the_end_of_the_calendar_is_refused(value: str) -> None:
    with pytest.raises(SpecError, match="a time in the years 1900 to 2199"):
        parse_as_of(value)
