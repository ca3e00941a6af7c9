"""A date among the features is looked at as the days from it to the event."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.gate.rules.leakage.judge import judge
from airflow_mlops.core.gate.rules.leakage.times import times_as_days
from airflow_mlops.core.records.decision import Verdict


def bench(loop: Any, closed: Any = None) -> Any:
    """A candidate with the event time and another date among its features."""
    frame = loop.frame(2000)
    days = np.random.default_rng(5).integers(1, 400, len(frame)) if closed is None else closed(frame)
    frame["opened"] = frame["t"] - pd.to_timedelta(days, unit="D")
    return loop.bench(frame=frame, features={"calendar": {"t": ["hour"], "opened": ["age_days", "month"]}})


def test_other_dates_are_days_until_the_event_and_the_event_is_no_feature(loop: Any) -> None:
    given = bench(loop)
    found = times_as_days(given)
    roles = {feature.name: feature.role for feature in found.candidate.features}
    assert roles == {"opened": "numeric", "a": "numeric", "b": "numeric", "c": "categorical"}
    expected = (given.rows["t"] - given.rows["opened"]).dt.total_seconds() / 86_400
    np.testing.assert_array_equal(found.rows["opened"], expected)
    assert len(found.train) == len(given.train)


def test_inputs_without_dates_are_what_they_are(loop: Any) -> None:
    given = loop.bench()
    assert times_as_days(given) is given


def test_a_date_that_tells_the_label_is_a_leak_and_an_honest_one_is_none(loop: Any) -> None:
    def refused(inputs: Any) -> list[str]:
        return [result.reason for result in judge(inputs).rules if result.verdict is not Verdict.ACCEPT]

    assert refused(bench(loop)) == []
    told = refused(bench(loop, lambda frame: np.where(frame["y"], 400, 3)))
    assert len(told) == 1
    assert "opened" in told[0]
