"""A grid is every combination of its values, or refused in one sentence."""

from __future__ import annotations

import pytest

from airflow_mlops.core.backtest.grid import grid_of
from airflow_mlops.spec.problems import SpecError
from tests.support.drifting_stream import specification


def test_a_grid_crosses_every_value_with_every_other() -> None:
    points = grid_of(specification(), ["gate.champion.confidence=0.8,0.9,0.95", "retraining.on_drift=true,false"])
    found = [(point.spec.gate.champion.confidence, point.spec.retraining.on_drift) for point in points]
    assert found == [(c, d) for c in (0.8, 0.9, 0.95) for d in (True, False)]
    assert all(point.spec.fingerprint == specification().fingerprint for point in points)
    assert len({point.name for point in points}) == 6
    assert grid_of(specification(), []) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gate.champion.confidnce=0.8", "no field 'confidnce'.*did you mean 'confidence'"),
        ("training.seed=1,2", "no field 'training'; allowed: one of: gate, monitoring, retraining"),
        ("gate.champion=0.8", "a whole part; allowed: one setting of it: hypothesis"),
        ("gate.champion.confidence.low=1", "nothing below 'confidence'"),
        ("gate.holdout=7d,14d", "settings but gate.holdout: it says what the model is trained on"),
        ("gate.primary=brier", "settings but gate.primary"),
        ("gate.champion.confidence", "'gate.champion.confidence' without values"),
        ("gate.champion.confidence=high", "--grid.gate.champion.confidence: found 'high'"),
        ("monitoring.drift.violations=9", "violations: found 9 of 5"),
        ("gate.champion.resamples=" + ",".join(map(str, range(200, 800))), "600 points; allowed: at most 500"),
    ],
)
def test_a_grid_that_is_none_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        grid_of(specification(), [text])
