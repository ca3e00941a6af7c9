"""Whether predictions and inputs arrive at all."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.measured_model import classified, live, made
from tests.support.served_model import (
    batch_of,
    day,
    days,
)


def test_failed_predictions_latency_and_freshness_are_the_flow():
    one = made(gate={"champion": {"block": None}})
    frame = classified(days(0, 14), 1400, np.random.default_rng(1))
    failed = np.arange(1400) % 100 == 0
    one.log(days(0, 14), frame, latency_ms=np.arange(1400) / 10, error=np.where(failed, "timeout", None))
    path = "predictions/m/20240101T000000Z_20240115T000000Z/v3.parquet"
    table = one.storage.files[path].to_pandas()
    batch = batch_of(table.assign(prediction=table["prediction"].astype("Int64").mask(failed)))
    one.storage.write_batches(path, iter([batch]), batch.schema)
    one.store.add(frame.assign(p1=frame["p1"].where(np.arange(1400) >= 350)))
    report = one.perform(day(14))
    assert (report.predicted, report.matched) == (1400, 1386)
    assert report.problems == ("14 predictions are missing or not finite: they are left out",)
    flow = report.flow
    assert (flow.errors, flow.rows, flow.predicted) == (14, 1400, 1400)
    assert flow.latency_ms == {
        "p50": pytest.approx(69.95),
        "p99": pytest.approx(np.quantile(np.arange(1400) / 10, 0.99)),
    }
    assert flow.missing == {"p1": 0.25}
    assert flow.newest == frame["t"].max().to_pydatetime()
    assert flow.age_seconds == pytest.approx((day(14) - frame["t"].max()).total_seconds())


def test_a_source_that_went_silent_is_as_old_as_it_is():
    one = made()
    live(one, 0, 14)
    report = one.perform(day(100))
    assert report.verdict == "unknown"
    assert 86 < report.flow.age_seconds / 86_400 < 86.1
    one.store.add(classified(days(200, 201), 10, np.random.default_rng(1), 10**6))
    assert one.perform(day(100)).flow.newest is None
