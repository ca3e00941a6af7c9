"""Windows of a loop run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.rows.windows import label_window, split
from airflow_mlops.spec.model import ModelSpec
from tests.support.builders import make_spec

AS_OF = datetime(2013, 3, 2, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def spec(**data: Any) -> ModelSpec:
    return make_spec(data={"window": "60d", **data}, gate={"holdout": "14d"})


def test_without_a_delay_the_window_ends_before_as_of() -> None:
    window = label_window(spec(), AS_OF)
    assert (window.start, window.end) == (AS_OF - timedelta(days=60), AS_OF)


@given(delay=st.integers(1, 22), offset=st.integers(-3, 3))
def test_a_row_is_in_exactly_when_its_label_is_mature(delay: int, offset: int) -> None:
    window = label_window(spec(label_delay=f"{delay}d"), AS_OF)
    event = AS_OF - timedelta(days=delay) + offset * TICK
    assert (window.start <= event < window.end) == (event + timedelta(days=delay) <= AS_OF)


@given(delay=st.integers(0, 20), years=st.integers(-40, 60))
def test_a_label_delay_lies_between_the_parts_and_they_span_the_window(delay: int, years: int) -> None:
    as_of = AS_OF.replace(year=AS_OF.year + years)
    model = spec(label_delay=f"{delay}d")
    train, holdout = split(model, as_of)
    whole = label_window(model, as_of)
    assert (train.start, holdout.end) == (whole.start, whole.end)
    assert holdout.end - holdout.start == model.gate.holdout
    assert holdout.start - train.end == model.data.label_delay


@given(delay=st.integers(1, 20), offset=st.integers(-3, 3))
def test_every_training_label_was_known_when_the_holdout_began(delay: int, offset: int) -> None:
    model = spec(label_delay=f"{delay}d")
    train, holdout = split(model, AS_OF)
    event = holdout.start - timedelta(days=delay) + offset * TICK
    assert (train.start <= event < train.end) == (event + timedelta(days=delay) < holdout.start)


def test_an_as_of_in_another_zone_is_the_same_instant() -> None:
    from zoneinfo import ZoneInfo

    there = AS_OF.astimezone(ZoneInfo("America/New_York"))
    assert label_window(spec(), there) == label_window(spec(), AS_OF)


def test_an_as_of_without_a_zone_is_refused() -> None:
    with pytest.raises(DataError, match=r"as-of: found 2013-03-02T00:00:00 without a time zone"):
        label_window(spec(), AS_OF.replace(tzinfo=None))
