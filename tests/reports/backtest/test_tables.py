"""What is not known at a cadence is said to be so, and is no 0."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_mlops.core.records.backtest import Line, Turn
from airflow_mlops.reports.backtest.tables import UNKNOWN, cells

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
DECAYS, MEAN, LONGEST, ALARMS = 7, 8, 9, 10
"""Places of the columns."""


def line(*turns: Turn, **changes: Any) -> Line:
    values: dict[str, Any] = {
        "policy": "never", "turns": turns, "retrainings": sum(turn.retrained for turn in turns), "promotions": 0,
        "mean_loss": 0.4, "worst_loss": 0.5, "worst_step": AS_OF, "recovery_days": None, "longest_days": None,
        "decays": 0, "false_alarms": 0, "escalations": 0, "compute_seconds": 1.0,
    }  # fmt: skip
    return Line(**{**values, **changes})


def turn(number: int, **changes: Any) -> Turn:
    at = AS_OF + timedelta(days=7 * number)
    values: dict[str, Any] = {"action": "wait", "retrained": False, "promoted": False, "serving": at, "reason": ""}
    return Turn(as_of=at, **{**values, "loss": 0.4, "rows": 10, **changes})


@pytest.mark.parametrize(
    ("behind", "decays", "days"),
    [
        ((None, None), UNKNOWN, UNKNOWN),
        ((False, False), "0", "-"),
        ((False, None), "0 in 1 of 2 steps", "-"),
    ],
)
def test_a_decay_that_nobody_can_see_is_not_none(behind: tuple[bool | None, ...], decays: str, days: str) -> None:
    found = cells(line(*(turn(number, behind=one) for number, one in enumerate(behind))))
    assert (found[DECAYS], found[MEAN], found[LONGEST]) == (decays, days, days)


@pytest.mark.parametrize(
    ("decayed", "alarms"),
    [((None, None), UNKNOWN), ((True, True), "0"), ((True, None), "0 in 1 of 2"), ((), "0")],
)
def test_a_retraining_that_nobody_can_judge_is_not_called_right(decayed: tuple[bool | None, ...], alarms: str) -> None:
    turns = (turn(number, retrained=True, decayed=one) for number, one in enumerate(decayed))
    assert cells(line(*turns))[ALARMS] == alarms


def test_a_step_without_a_loss_is_not_asked_about() -> None:
    found = line(turn(0, behind=False), turn(1, loss=None))
    assert (found.measured_steps, found.known_steps) == (1, 1)


def test_an_alarm_of_before_it_was_kept_is_counted() -> None:
    assert line(turn(0, retrained=True, false_alarm=True)).known_retrainings == 1
