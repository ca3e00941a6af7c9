"""Metrics of a team's own: what they are called with, what they may return, and what happens when they fail."""

import logging
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import METRICS, judge, measure, metrics_of, require_fitting
from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.core.stats.bootstrap import gain

MODULE = "a_teams_metrics"


def cost(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
    """A missed late flight costs five times as much as a false alarm."""
    assert set(y_true) | set(y_pred) <= {"late", "punctual"}
    paid = np.where(y_true == y_pred, 0, np.where(y_true == "late", 5, 1))
    return float(np.average(paid, weights=sample_weight))


def losses(y_true: Any, y_pred: Any) -> Any:
    return -np.log(y_pred[np.arange(len(y_true)), y_true])


def squared(y_true: Any, y_pred: Any) -> Any:
    return (y_true - y_pred) ** 2


def plain_error(y_true: Any, y_pred: Any) -> float:
    return float(np.abs(y_true - y_pred).mean())


def weighted_error(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> Any:
    return np.float64(np.average(np.abs(y_true - y_pred), weights=sample_weight))


def fails(y_true: Any, y_pred: Any) -> float:
    raise RuntimeError("no such thing")


def ignores(y_true: Any, y_pred: Any, **others: Any) -> float:
    return 0.0


RETURNS: dict[str, Any] = {
    "text": "0.5",
    "nothing": None,
    "array": np.ones(2),
    "complex": 1j,
    "nan": float("nan"),
    "infinite": np.inf,
}


@pytest.fixture(autouse=True)
def module() -> Iterator[ModuleType]:
    made = ModuleType(MODULE)
    for function in (cost, losses, squared, plain_error, weighted_error, fails, ignores):
        setattr(made, function.__name__, function)
    for name, value in RETURNS.items():
        setattr(made, f"gives_{name}", lambda _true, _pred, value=value: value)
    made.a_number = 3  # type: ignore[attr-defined]
    made.Class = type("Class", (), {})  # type: ignore[attr-defined]
    sys.modules[MODULE] = made
    yield made
    del sys.modules[MODULE]


def spec_of(loop: Any, *own: dict[str, Any], weight: str | None = None, **parts: Any) -> Any:
    spec = loop.spec(**parts, gate={"metrics": [{"kind": "regression", **one} for one in own]})
    if weight is None:
        return spec
    data = spec.model_dump(mode="json")
    data["data"]["weight"] = weight
    return type(spec).model_validate(data)


def regression(rows: int = 80, weights: Any = None) -> tuple[LabelledPredictions, LabelledPredictions]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=rows)
    first, second = (
        judge(
            pd.Series(truth),
            Predicted(task="regression", classes=(), values=truth + rng.normal(size=rows), probabilities=None),
            weights=weights,
        )
        for _ in range(2)
    )
    return first, second


def flights(rows: int = 60, weights: Any = None, unknown: bool = False) -> LabelledPredictions:
    rng = np.random.default_rng(1)
    late = rng.random(rows) < 0.4
    p = np.clip(0.3 + 0.4 * late + rng.normal(0, 0.2, rows), 0.01, 0.99)
    labels = pd.Series(np.where(late, "late", "punctual"))
    if unknown:
        labels[0] = "cancelled"
    predicted = Predicted(
        task="binary",
        classes=("late", "punctual"),
        values=np.where(p > 0.5, "late", "punctual"),
        probabilities=np.column_stack([p, 1 - p]),
    )
    return judge(labels, predicted, weights=weights)


def test_a_function_of_labels_is_given_the_labels_of_the_data(loop: Any) -> None:
    spec = spec_of(loop, {"path": f"{MODULE}.cost", "kind": "classification"})
    metric = metrics_of(spec)[f"{MODULE}.cost"]
    judged = flights()
    truth, said = judged.labels
    assert metric(judged) == cost(truth, said) > 0
    assert not metric.greater_is_better
    weights = np.random.default_rng(0).exponential(size=60)
    assert metric(flights(weights=weights)) == pytest.approx(cost(truth, said, weights))


@pytest.mark.parametrize("path", ["sklearn.metrics.f1_score", "sklearn.metrics.cohen_kappa_score"])
def test_scikit_learns_functions_are_metrics_as_they_are(loop: Any, path: str) -> None:
    spec = spec_of(loop, {"path": path, "kind": "classification", "greater_is_better": True})
    predicted = Predicted(task="binary", classes=(0, 1), values=np.array([0, 1, 1, 0]), probabilities=None)
    judged = judge(pd.Series([0, 1, 0, 0]), predicted)
    expected = getattr(sk, path.rpartition(".")[2])([0, 1, 0, 0], [0, 1, 1, 0])
    found = measure(judged, spec)
    assert found[path] == pytest.approx(expected)
    assert set(found) - {path} == set(measure(judged))


def test_a_function_of_probabilities_is_given_columns_and_per_row_is_the_weighted_mean(loop: Any) -> None:
    own = {"path": f"{MODULE}.losses", "kind": "classification", "needs": "probabilities", "per_row": True}
    metric = metrics_of(spec_of(loop, own))[f"{MODULE}.losses"]
    for weights in (None, np.random.default_rng(0).exponential(size=60)):
        judged = flights(weights=weights)
        assert metric(judged) == pytest.approx(METRICS["log_loss"](judged))
    strange = flights(unknown=True)
    assert np.isnan(metric(strange))
    assert "a class that the model does not" in str(metric.why_undefined(strange))
    without = LabelledPredictions(judged.task, judged.y_true, judged.y_pred, None, None, judged.names)
    assert np.isnan(metric(without))
    assert f"{MODULE}.losses" not in measure(without, spec_of(loop, own))


@pytest.mark.parametrize("weighted", [False, True])
def test_per_row_metrics_are_resampled_as_the_registered_ones(loop: Any, weighted: bool) -> None:
    weights = np.random.default_rng(2).exponential(size=80) if weighted else None
    first, second = regression(weights=weights)
    own = metrics_of(spec_of(loop, {"path": f"{MODULE}.squared", "per_row": True}))[f"{MODULE}.squared"]
    found = gain(own, first, second, None, resamples=300)
    same = METRICS["rmse"](first) ** 2
    assert own(first) == pytest.approx(same)
    assert found.lower < found.value < found.upper


@pytest.mark.parametrize("by_block", [False, True])
@pytest.mark.parametrize("name", ["plain_error", "weighted_error"])
def test_any_function_is_resampled_as_the_registered_metric_that_it_is(loop: Any, name: str, by_block: bool) -> None:
    first, second = regression()
    block = np.arange(80) % 16 if by_block else None
    own = metrics_of(spec_of(loop, {"path": f"{MODULE}.{name}"}))[f"{MODULE}.{name}"]
    found = gain(own, first, second, block, resamples=250, seed=3)
    expected = gain(METRICS["mae"], first, second, block, resamples=250, seed=3)
    for field in ("value", "lower", "upper", "error"):
        assert getattr(found, field) == pytest.approx(getattr(expected, field), abs=1e-12)


def test_weights_of_rows_are_multiplied_with_the_draws(loop: Any) -> None:
    first, second = regression(weights=np.random.default_rng(2).integers(0, 3, 80).astype(float))
    own = metrics_of(spec_of(loop, {"path": f"{MODULE}.weighted_error"}, weight="w"))[f"{MODULE}.weighted_error"]
    found = gain(own, first, second, None, resamples=250, seed=3)
    expected = gain(METRICS["mae"], first, second, None, resamples=250, seed=3)
    assert (found.lower, found.upper) == pytest.approx((expected.lower, expected.upper))
    # a function without weights, which the specification's check lets pass because it has no data.weight
    plain = metrics_of(spec_of(loop, {"path": f"{MODULE}.plain_error"}))[f"{MODULE}.plain_error"]
    assert np.isnan(plain(first))
    assert "takes no sample_weight" in str(plain.why_undefined(first))


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("name", [*(f"gives_{name}" for name in RETURNS), "fails"])
def test_whatever_goes_wrong_is_nan_with_a_reason(loop: Any, name: str, per_row: bool, caplog: Any) -> None:
    path = f"{MODULE}.{name}"
    metric = metrics_of(spec_of(loop, {"path": path, "per_row": per_row}))[path]
    first, second = regression()
    with caplog.at_level(logging.WARNING):
        assert np.isnan(metric(first))
    reason = str(metric.why_undefined(first))
    assert reason.startswith(path)
    if name not in {"gives_nan", "gives_infinite"} or per_row:
        assert (
            "RuntimeError" in reason
            if name == "fails"
            else any(word in reason for word in ("TypeError", "ValueError", "shape", "finite"))
        )
        assert path in caplog.text
    found = gain(metric, first, second, None, resamples=200)
    assert np.isnan(found.value)
    assert np.isnan(found.lower)
    assert np.isnan(measure(first, spec_of(loop, {"path": path, "per_row": per_row}))[path])


def test_a_function_that_fails_on_some_resamples_counts_against_both_bounds(loop: Any, module: Any) -> None:
    def picky(y_true: Any, y_pred: Any) -> float:
        if len(np.unique(y_true)) < 55:
            raise ValueError("too few different rows")
        return float(np.abs(y_true - y_pred).mean())

    module.picky = picky
    metric = metrics_of(spec_of(loop, {"path": f"{MODULE}.picky"}))[f"{MODULE}.picky"]
    found = gain(metric, *regression(), None, resamples=200)
    assert np.isfinite(found.value)
    assert (found.lower, found.upper, found.error) == (-np.inf, np.inf, np.inf)


def test_a_function_cannot_change_the_rows_for_those_after_it(loop: Any, module: Any) -> None:
    def vandal(y_true: Any, y_pred: Any) -> Any:
        y_pred[:] = y_true
        return np.zeros(len(y_true))

    module.vandal = vandal
    first, _ = regression()
    before = METRICS["mae"](first)
    for per_row in (True, False):
        metrics_of(spec_of(loop, {"path": f"{MODULE}.vandal", "per_row": per_row}))[f"{MODULE}.vandal"](first)
    assert METRICS["mae"](first) == before


def test_every_function_that_cannot_be_used_is_named(loop: Any) -> None:
    paths = ["no_such_module.f", f"{MODULE}.costs", f"{MODULE}.a_number", f"{MODULE}.Class", f"{MODULE}.squared"]
    with pytest.raises(TrainingError) as refused:
        metrics_of(spec_of(loop, *({"path": path} for path in paths)))
    assert [problem.field for problem in refused.value.problems] == [f"gate.metrics[{i}].path" for i in range(4)]
    assert f"did you mean '{MODULE}.cost'?" in str(refused.value)


@pytest.mark.parametrize("name", ["plain_error", "ignores"])
def test_a_function_that_cannot_take_weights_is_refused_where_rows_have_them(loop: Any, name: str) -> None:
    own = {"path": f"{MODULE}.{name}"}
    metrics_of(spec_of(loop, own))
    with pytest.raises(TrainingError, match=r"gate\.metrics\[0\]\.path: found .* without a parameter sample_weight"):
        metrics_of(spec_of(loop, own, weight="w"))
    metrics_of(spec_of(loop, {**own, "per_row": True}, weight="w"))


def test_a_custom_metric_may_be_primary_and_must_fit_the_task(loop: Any) -> None:
    path = f"{MODULE}.cost"
    spec = loop.spec(gate={"primary": path, "metrics": [{"path": path, "kind": "classification"}]})
    require_fitting(spec, "binary")
    with pytest.raises(TrainingError, match=r"gate\.primary: found a_teams_metrics\.cost, and .* is for regression"):
        require_fitting(spec, "regression")
