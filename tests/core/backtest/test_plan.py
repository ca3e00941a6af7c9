"""A span of time is cut into steps, or refused in one sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.backtest.plan import history_of, plan_of
from airflow_mlops.core.errors import DataError
from tests.support.drifting_stream import specification

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@given(days=st.integers(1, 400), every=st.integers(1, 60))
def test_steps_cover_the_span_without_gaps_and_none_is_half_empty(days: int, every: int) -> None:
    if days < every:
        with pytest.raises(DataError, match="--to: found .* at least one step"):
            plan_of(specification(), BEGIN, BEGIN + days * DAY, every * DAY)
        return
    steps = plan_of(specification(), BEGIN, BEGIN + days * DAY, every * DAY).steps
    assert steps[0].start == BEGIN
    assert steps[-1].end == BEGIN + days * DAY
    assert all(one.end == other.start for one, other in pairwise(steps))
    assert all(step.end - step.start == every * DAY for step in steps[:-1])
    assert every * DAY / 2 <= steps[-1].end - steps[-1].start < every * DAY * 1.5


@pytest.mark.parametrize(
    ("start", "end", "every", "said"),
    [
        (BEGIN, BEGIN - DAY, 14 * DAY, "--from: found 2026-01-01.* not before --to 2025-12-31.*exchange or correct"),
        (BEGIN, BEGIN, 14 * DAY, "--from: found .*not before"),
        (BEGIN, BEGIN + 9 * DAY, 14 * DAY, "--to: found 9d from --from to --to; allowed: at least one step of 14d"),
        (BEGIN, BEGIN + DAY, timedelta(0), "--every: found 0s; allowed: a duration above 0"),
        (BEGIN, BEGIN + 90 * DAY, DAY / 1440, "--every: found 1m, which makes 129,600 steps"),
        (BEGIN.replace(tzinfo=None), BEGIN, DAY, "--from: found .* without a time zone"),
    ],
)
def test_a_span_that_cannot_be_replayed_is_one_sentence(
    start: datetime, end: datetime, every: timedelta, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        plan_of(specification(), start, end, every)


def test_a_version_says_its_step_and_the_change_that_it_knows_of() -> None:
    plan = plan_of(specification(), BEGIN, BEGIN + 70 * DAY, 7 * DAY)
    plain = [plan.version_of(step) for step in range(len(plan.steps))]
    assert plain == list(range(1, 11))
    changed = BEGIN + timedelta(days=3, hours=5, minutes=7)
    knowing = plan.version_of(4, changed)
    assert knowing not in plain
    assert (plan.step_of(knowing), plan.changed_of(knowing)) == (4, changed)
    assert [plan.step_of(version) for version in plain] == list(range(10))
    assert plan.changed_of(3) is None
    assert plan.version_of(5, changed) != plan.version_of(4, changed) != plan.version_of(4, changed + DAY)


@pytest.mark.parametrize(
    ("room", "count"), [(28, None), (46, None), (52, None), (57, 3), (58, 3), (66, 3), (67, 4), (999, 26)]
)
def test_steps_before_the_span_have_their_whole_training_window(room: int, count: int | None) -> None:
    """A window of 28 days, of which a twentieth may be missing, and steps of ten: three take 58 less 1.4 days."""
    plan = plan_of(specification(), BEGIN, BEGIN + 70 * DAY, 10 * DAY)
    found = history_of(plan, BEGIN - room * DAY)
    assert (None if found is None else len(found.steps)) == count
    if found is not None:
        assert found.end == BEGIN
        assert (found.every, found.spec) == (plan.every, plan.spec)
        assert found.start - 0.95 * timedelta(days=28) >= BEGIN - room * DAY
