"""From the turns of a policy to its numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.backtest.measures import decays, line_of, with_front, with_objective
from airflow_mlops.core.records.backtest import Line, Turn

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def turn(number: int, **changes: Any) -> Turn:
    at = BEGIN + number * 10 * DAY
    values: dict[str, Any] = {"action": "wait", "retrained": False, "promoted": False, "serving": at, "reason": ""}
    return Turn(as_of=at, **{**values, **changes})


@given(st.lists(st.sampled_from([True, False, None]), max_size=12))
def test_decays_are_runs_of_steps_behind(behind: list[bool | None]) -> None:
    """Against a reading of the same as text: what is not known goes with what is before it."""
    turns = [turn(number, behind=one) for number, one in enumerate(behind)]
    text, last = "", "."
    for one in behind:
        last = last if one is None else "x" if one else "."
        text += last
    expected = [len(run) * 10 * DAY for run in text.split(".") if run]
    assert list(decays(turns, BEGIN + len(behind) * 10 * DAY)) == expected


def test_a_line_sums_up_what_its_turns_did() -> None:
    turns = [
        turn(0, action="start", rows=100, loss=0.5, behind=False),
        turn(1, action="retrain", retrained=True, rows=300, loss=0.7, behind=True, seconds=2.0, false_alarm=True),
        turn(2, action="retrain", retrained=True, promoted=True, rows=100, loss=0.4, behind=False, seconds=1.5),
        turn(3, action="block"),
        turn(4, action="escalate", rows=0, loss=None),
    ]
    line = line_of("specification", turns, end=BEGIN + 50 * DAY, greater_is_better=False)
    assert (line.retrainings, line.promotions, line.false_alarms, line.escalations) == (2, 1, 1, 2)
    assert line.mean_loss == pytest.approx((0.5 * 100 + 0.7 * 300 + 0.4 * 100) / 500)
    assert (line.worst_loss, line.worst_step) == (0.7, turns[1].as_of)
    assert (line.decays, line.recovery_days, line.longest_days, line.compute_seconds) == (1, 10, 10, 3.5)
    assert line_of("x", turns, end=BEGIN, greater_is_better=True).worst_loss == 0.4


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, None]), st.integers(0, 4)), max_size=8), st.booleans())
def test_the_front_is_what_no_point_beats(points: list[tuple[float | None, int]], greater: bool) -> None:
    blank = line_of("specification", [], end=BEGIN, greater_is_better=greater)
    lines: list[Line] = [replace(blank, mean_loss=mean, promotions=count) for mean, count in points]
    sign = -1 if greater else 1
    for line, (mean, count) in zip(with_front(lines, greater_is_better=greater), points, strict=True):
        better = [
            (m, c)
            for m, c in points
            if m is not None and mean is not None and sign * m <= sign * mean and c <= count and (m, c) != (mean, count)
        ]
        assert line.pareto == (mean is not None and not better)


@pytest.mark.parametrize(
    ("greater", "best", "objective", "ratio"),
    [
        (False, 0.4, 0.56, 1.4),
        (True, 0.48, 0.44, 0.48 / 0.44),
        (False, None, 0.56, None),
        (False, -0.1, 0.56, None),
    ],
)
def test_retrainings_are_paid_in_the_objective(
    greater: bool, best: float | None, objective: float, ratio: float | None
) -> None:
    """Three retrainings at 0.02 each make 0.5 worse by 0.06; to the oracle, above 1 is worse in both directions."""
    turns = [turn(number, rows=10, loss=0.5, retrained=number > 0) for number in range(4)]
    line = line_of("always", turns, end=BEGIN + 40 * DAY, greater_is_better=greater)
    found = with_objective(line, 0.02, best, greater_is_better=greater)
    assert found.objective == pytest.approx(objective)
    assert found.to_oracle == (None if ratio is None else pytest.approx(ratio))


def test_a_line_without_a_loss_has_no_objective() -> None:
    line = line_of("never", [turn(0)], end=BEGIN + 10 * DAY, greater_is_better=False)
    assert with_objective(line, 0.02, 0.4, greater_is_better=False) == line
