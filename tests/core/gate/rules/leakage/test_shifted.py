"""The label of an earlier row is known when its delay has passed; that of a later row never is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.gate.rules.leakage.shifted import shifts_of
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.spec.problems import ReasonCode
from tests.support.leakage_inputs import AS_OF, bench_of, found


def hourly(rows: int = 1200, seed: int = 0) -> pd.DataFrame:
    steps = np.random.default_rng(seed).normal(size=rows)
    times = pd.date_range(AS_OF - timedelta(hours=rows), periods=rows, freq="h")
    return pd.DataFrame({"t": times, "y": np.cumsum(steps) * 0.3, "x": steps[::-1]})


def seen(frame: pd.DataFrame, name: str, entities: tuple[str, ...] = ()) -> Any:
    cut = len(frame) * 2 // 3
    parts = [(part, part["y"]) for part in (frame[:cut], frame[cut:])]
    return shifts_of([name], parts, "t", entities).get(name)


@pytest.mark.parametrize("steps", [1, 24, 168, -1, -24])
def test_shifts_are_found_either_way(steps: int) -> None:
    frame = hourly()
    shift = seen(frame.assign(f=frame["y"].shift(steps)), "f")
    assert (shift.steps, shift.later) == (steps, steps < 0)
    assert shift.apart == timedelta(hours=abs(steps))


def test_a_state_that_seldom_changes_is_the_one_before_and_not_the_one_after() -> None:
    changes = np.random.default_rng(0).random(1200) < 0.01
    frame = hourly().assign(y=np.where(np.cumsum(changes) % 2, "on", "off"))
    assert seen(frame.assign(f=frame["y"].shift(1)), "f").steps == 1
    assert seen(frame.assign(f=frame["y"].shift(-1)), "f").steps == -1
    assert seen(frame.assign(f=frame["y"]), "f") is None


def test_rows_of_an_entity_are_counted_apart() -> None:
    one, other = (hourly(seed=seed).assign(site=seed) for seed in (1, 2))
    frame = pd.concat([part.assign(f=part["y"].shift(2)) for part in (one, other)]).sort_values(
        "t", kind="stable", ignore_index=True
    )
    assert seen(frame, "f") is not None  # four rows back, where the sites take turns
    mixed = frame.sort_values(["t", "y"], ignore_index=True)
    shift = seen(mixed, "f", ("site",))
    assert (shift.steps, shift.within) == (2, "site")


def test_noise_is_no_shift() -> None:
    frame = hourly()
    assert seen(frame.assign(f=frame["y"].shift(1) + 1e-6), "f") is None
    assert seen(frame, "x") is None


def ruled(frame: pd.DataFrame, delay: str) -> Any:
    bench = bench_of(frame, "regression")
    data = bench.spec.model_dump(mode="json")
    data["data"]["label_delay"] = delay
    from dataclasses import replace

    return found(replace(bench, spec=type(bench.spec).model_validate(data)))


def test_a_lag_is_never_rejected_and_asked_about_only_within_the_label_delay() -> None:
    frame = hourly(3000)
    frame = frame.assign(before=frame["y"].shift(1)).iloc[1:]
    results, leaks = ruled(frame, "1h")
    assert not leaks
    assert {result.verdict for result in results.values()} == {Verdict.ACCEPT}
    results, leaks = ruled(frame, "1d")
    assert [(leak.what, leak.asked) for leak in leaks] == [("before", True)]
    assert "the label 1h before, where data.label_delay = 1d" in results["single_feature_power"].reason
    assert results["single_feature_power"].code is ReasonCode.LEAKAGE_ASKED


def test_the_label_of_a_later_row_is_rejected_however_weak_it_is() -> None:
    frame = hourly(3000)
    noise = np.random.default_rng(3).normal(size=3000)
    results, leaks = ruled(frame.assign(y=noise, after=pd.Series(noise).shift(-3)).iloc[:-3], "1h")
    assert [(leak.what, leak.leaking) for leak in leaks] == [("after", True)]
    assert results["function_of_label"].code is ReasonCode.LABEL_LEAKAGE
