"""One window is not enough where two are asked for."""

from __future__ import annotations

from airflow_mlops.core.records.retraining import History, MonitoringInput
from tests.support.retrain_cases import (
    DAY,
    NOW,
    drift,
    performance,
)
from tests.support.retraining_decisions import TWO, decide


def test_one_window_of_two_waits():
    seen = MonitoringInput(drift=drift(), performance=performance())
    decision = decide(seen, monitoring=TWO)
    assert (decision.action, decision.rule) == ("wait", "persistence")
    assert "in 1 of the last 1 windows (2 of 5 make a signal)" in " ".join(decision.reasons)
    before = History(drift=(drift(at=NOW - DAY),))
    assert decide(MonitoringInput(drift=drift()), before, monitoring={}).action == "retrain"
