"""The controller on a silent decay: it retrains before five points of accuracy are lost, and never before it begins."""

from __future__ import annotations

from dataclasses import replace

from airflow_mlops.core.monitoring.performance.prepared import prepare
from airflow_mlops.core.records.retraining import History, MonitoringInput
from airflow_mlops.core.retraining.decide import decide_retraining
from tests.support.decaying_stream import BEFORE, STABLE, accuracy, day, decaying, lived


def test_a_silent_decay_is_retrained_on_in_time_and_nothing_before_it():
    """With the defaults, decided once a day."""
    made = decaying(1)
    prepared = prepare(made.spec, made.champion, lambda: made.pipeline, made.storage, decision=made.decision)
    history, number, decision = History(), 0, None
    for number in lived(made, 1):
        as_of = day(number + 1)
        report = made.perform(as_of, prepared=prepared)
        decision = decide_retraining(made.spec, made.champion, MonitoringInput(performance=report), history, as_of)
        history = replace(history, performance=(report, *history.performance)[:10])
        if decision.action != "wait":
            break
    assert decision is not None
    assert (decision.action, decision.signal) == ("retrain", "decay")
    assert number >= STABLE
    assert BEFORE - 0.05 < accuracy(number) < BEFORE
