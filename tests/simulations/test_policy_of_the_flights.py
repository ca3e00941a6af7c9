"""The defaults on ten months of real flights: better than always training, with far fewer promotions."""

from __future__ import annotations

import pytest

from airflow_mlops.spec import load_spec
from benchmarks.backtest import SPEC, measure


def test_the_specification_of_the_flights_has_the_defaults_of_decay() -> None:
    spec = load_spec(SPEC)
    assert "performance" not in spec.monitoring.model_fields_set
    assert not {"escalate_after", "backoff", "budget", "on_decay", "on_drift"} & spec.retraining.model_fields_set


@pytest.mark.chaos
def test_the_defaults_beat_always_and_the_better_point_estimate() -> None:
    _, figures = measure(months=10)
    lines = {line["policy"]: line for line in figures["report"]["lines"]}
    own, always, point = (lines[name] for name in ("specification", "always", "point_estimate"))
    assert own["mean_loss"] < min(always["mean_loss"], point["mean_loss"], lines["never"]["mean_loss"])
    assert 0 < own["promotions"] <= min(always["promotions"], point["promotions"]) / 2
    assert own["worst_loss"] <= always["worst_loss"]
