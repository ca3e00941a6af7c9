"""Outputs of the model are judged apart from its features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from airflow_mlops.core.monitoring.drift.compare import compare
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.profile import Profile
from tests.support.compared_windows import AS_OF, SPEC, normal, reference, window


def test_outputs_are_judged_apart_from_features():
    rng = np.random.default_rng(22)
    whole = reference(normal(rng, 20_000))
    ref = replace(whole, outputs=(replace(whole.columns[0], name="prediction"),))
    now, moved = (window(whole, normal(rng, 2000, shift, shifted=1)) for shift in (0.0, 1.0))

    def seen(profile: Profile, outputs: tuple[object, ...]) -> DriftReport:
        return compare(ref, replace(profile, outputs=outputs), SPEC, champion_version=1, as_of=AS_OF)

    drifting = seen(now, (replace(moved.columns[0], name="prediction"),))
    assert (drifting.verdict, drifting.prediction, drifting.label) == ("ok", "drift", "unknown")
    assert drifting.columns[-1].part == "prediction"
    assert drifting.columns[-1].weight is None
    assert drifting.reasons[-1].startswith("The predictions are in drift: PSI")
    assert seen(now, ()).prediction == "unknown"
    few = replace(now.columns[0], name="prediction", counts=(2,) * len(now.columns[0].counts))
    assert seen(now, (few,)).columns[-1].reason == "40 rows are too few to tell"
    other = replace(now.columns[0], name="prediction", edges=(0.0,), counts=(1, 1))
    assert seen(now, (other,)).prediction == "invalid"
    assert seen(now, (other,)).verdict == "ok"
