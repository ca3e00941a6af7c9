"""Searches with weights of rows, and by a metric of the team's own, against the same folds by hand."""

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from sklearn.pipeline import Pipeline

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.training.search import search_parameters, time_folds
from tests.support.fitting import LOGISTIC, fitted_of

ALPHAS = [1e-3, 1e1, 1e3]


def regimes(rows: int = 400) -> tuple[pd.DataFrame, pd.Series, pd.Series, np.ndarray]:
    """Half of the rows follow x, the others have nothing to learn; index and times as after a filter."""
    rng = np.random.default_rng(0)
    follows = rng.random(rows) < 0.5
    inputs = pd.DataFrame({"x": rng.normal(size=rows)}, index=np.arange(rows) * 3 + 7)
    labels = pd.Series(np.where(follows, inputs["x"], rng.normal(0, 2, rows)), index=inputs.index)
    times = pd.Series(pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(rows), unit="h"))
    return inputs, labels, times, follows


def found_alpha(loop: Any, weights: Any, metric: str = "rmse", method: str = "grid", **gate: Any) -> float:
    search = {"method": method, "parameters": {"alpha": ALPHAS}, "folds": 3, "metric": metric}
    spec = loop.spec("sklearn.linear_model.Ridge", training={"search": search}, gate=gate)
    inputs, labels, times, _ = regimes()
    pipeline = Pipeline([("estimator", Ridge())])
    best = search_parameters(spec, "regression", pipeline, inputs=inputs, labels=labels, times=times, weights=weights)
    return float(best[-1].alpha)


def by_hand(spec: Any, weights: np.ndarray) -> float:
    inputs, labels, times, _ = regimes()
    errors = []
    for alpha in ALPHAS:
        parts = []
        for train, test in time_folds(times, 3, spec.data.label_delay):
            model = clone(Ridge(alpha=alpha)).fit(inputs.iloc[train], labels.iloc[train], weights[train])
            said = model.predict(inputs.iloc[test])
            parts.append(mean_squared_error(labels.iloc[test], said, sample_weight=weights[test]) ** 0.5)
        errors.append(np.mean(parts))
    return ALPHAS[int(np.argmin(errors))]


@pytest.mark.parametrize("method", ["grid", "random"])
def test_weights_count_in_fitting_and_in_the_metric(loop: Any, method: str) -> None:
    follows = regimes()[3]
    on_signal, on_noise = np.where(follows, 1.0, 1e-6), np.where(follows, 1e-6, 1.0)
    assert found_alpha(loop, on_signal, method=method) == by_hand(loop.spec(), on_signal) == 1e-3
    assert found_alpha(loop, on_noise, method=method) == by_hand(loop.spec(), on_noise) == 1e3


def test_weights_of_one_are_no_weights(loop: Any) -> None:
    assert found_alpha(loop, np.ones(400)) == found_alpha(loop, None)


def test_a_search_goes_by_the_teams_own_metric(loop: Any) -> None:
    path = "sklearn.metrics.max_error"
    own = {"metrics": [{"path": path, "kind": "regression"}], "primary": path}
    worst = {**own, "metrics": [{"path": path, "kind": "regression", "greater_is_better": True}]}
    assert {found_alpha(loop, None, path, **own), found_alpha(loop, None, path, **worst)} <= set(ALPHAS)
    assert found_alpha(loop, None, path, **own) != found_alpha(loop, None, path, **worst)


@pytest.mark.parametrize("method", ["random", "grid"])
def test_search_finds_the_better_parameter_the_same_way_twice(loop: Any, method: str) -> None:
    search = {"method": method, "parameters": {"C": [1e-6, 1.0], "l1_ratio": [0.0]}, "folds": 3}
    spec, frame = loop.spec(LOGISTIC, training={"search": search}), loop.frame(800)
    found = [fitted_of(loop, spec, frame) for _ in range(2)]
    assert [f.parameters["C"] for f in found] == [1.0, 1.0]
    assert found[0].metrics == found[1].metrics


def test_search_by_a_named_metric_of_a_regression(loop: Any) -> None:
    search = {"parameters": {"alpha": [1e-3, 1e5]}, "metric": "r2", "folds": 2}
    spec, frame = (
        loop.spec("sklearn.linear_model.Ridge", training={"search": search}),
        loop.frame(800, kind="regression"),
    )
    assert fitted_of(loop, spec, frame).parameters["alpha"] == 1e-3


@given(
    st.lists(st.integers(0, 60), min_size=12, max_size=80),
    st.integers(2, 5),
    st.integers(0, 6),
)
@settings(max_examples=150, deadline=None)
def test_folds_never_look_ahead_nor_split_an_instant(hours: list[int], folds: int, gap: int) -> None:
    times = pd.Series(pd.to_datetime("2024-01-01", utc=True) + pd.to_timedelta(sorted(hours), unit="h"))
    delay = timedelta(hours=gap)
    try:
        pairs = time_folds(times, folds, delay)
    except DataError:
        return
    assert len(pairs) == folds
    seen: set[int] = set()
    for train, validate in pairs:
        assert len(train)
        assert len(validate)
        assert times.iloc[train].max() + delay <= times.iloc[validate].min()
        assert times.iloc[train].max() < times.iloc[validate].min()
        assert not seen & set(validate)
        seen |= set(validate)
        outside = set(times) if len(validate) == 0 else set(times.drop(index=validate))
        assert not outside & set(times.iloc[validate])


def test_one_instant_cannot_be_folded() -> None:
    with pytest.raises(DataError, match="fewer folds"):
        time_folds(pd.Series(pd.to_datetime(["2024-01-01T00:00Z"] * 30)), 3)
