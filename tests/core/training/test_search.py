"""Searches with weights of rows, and by a metric of the team's own, against the same folds by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from sklearn.pipeline import Pipeline

from airflow_mlops.core.training.search import search_parameters, time_folds

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
