"""The benchmark of the gate's levels, without its worlds: these are `tests/simulations/test_gate_levels.py`."""

import pytest

from benchmarks.levels import measure
from tests.support.worlds import CASES, METRICS


def test_the_benchmark_has_a_row_for_each_case_and_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.levels.accepted", lambda *_, **__: 0.05)
    table, figures = measure(worlds=10, resamples=200)
    assert len(table.rows) == len(figures["runs"]) == len(METRICS) * (len(CASES) + 1)
    assert "5.00%" in table.text()
