"""A first model that is refused: what the evidence points to is what is wrong with the world, and it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.gate import advice_of, decide, evaluate
from airflow_mlops.core.gate.remedies import (
    TITLES,
    applicable_settings,
    learned_from,
    other_metric,
    settings_for_rare,
)
from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.pipeline.simpler import LearnedFrom
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.training.fit import fit
from airflow_mlops.reports import approval_form
from airflow_mlops.reports.decision.page import render
from airflow_mlops.spec.model import ModelSpec
from tests.support.core_loop import HISTOGRAM, SERVED, Loop

RIDGE = "sklearn.linear_model.Ridge"
REGRESSOR = "sklearn.ensemble.HistGradientBoostingRegressor"
LOGISTIC = "sklearn.linear_model.LogisticRegression"
Labels = Callable[[np.random.Generator, Any], Any]


def rare(rng: np.random.Generator, x: Any) -> Any:
    return (rng.random(len(x)) < 1 / (1 + np.exp(-(1.3 * x[:, 0] + 0.9 * x[:, 1] - 6)))).astype(int)


def nothing(rng: np.random.Generator, x: Any) -> Any:
    return (rng.random(len(x)) < 0.3).astype(int)


def faint(rng: np.random.Generator, x: Any) -> Any:
    return (rng.random(len(x)) < 1 / (1 + np.exp(-0.17 * x[:, 0]))).astype(int)


def heavy(rng: np.random.Generator, x: Any) -> Any:
    return np.exp(3 + 0.7 * x[:, 0] - 0.4 * x[:, 1] + 2.0 * rng.normal(size=len(x)))


def judged(loop: Loop, labels: Labels, estimator: str, rows: int = 9000, seed: int = 3, **gate: Any) -> GateDecision:
    """Decide on a first model of five normal columns and labels that are drawn from them."""
    rng = np.random.default_rng(seed)
    times = pd.Timestamp(loop.as_of - timedelta(days=60)) + pd.to_timedelta(
        np.sort(rng.uniform(0, 59 * 86400, rows)), unit="s"
    )
    x = rng.normal(size=(rows, 5))
    frame = pd.DataFrame({"id": np.arange(rows), "t": times.as_unit("us"), **dict(zip("abcde", x.T, strict=True))})
    frame["y"] = labels(rng, x)
    spec = loop.spec(
        estimator, training={"calibration": "never", "parameters": PARAMETERS.get(estimator, {})}, gate=gate
    )
    snapshot = loop.snapshot(spec, frame)
    fitted = fit(spec, snapshot, frame)
    candidate = loop.candidate(fitted)
    found = evaluate(spec, candidate, fitted.pipeline, None, None, frame, snapshot=snapshot, served=SERVED)
    return decide(spec, candidate, found, now=loop.as_of)


PARAMETERS = {HISTOGRAM: {"max_iter": 100}}


def pointed(decision: GateDecision) -> list[str]:
    return [one.name for one in decision.evaluation.remedies]


def test_rare_positives_that_are_ranked_and_overfitted(loop: Loop) -> None:
    found = judged(loop, rare, HISTOGRAM)
    assert found.verdict is Verdict.REJECT
    assert pointed(found) == ["calibrate", "simplify", "metric", "window"]
    first = found.reasons[0]  # what the history prints, and the log of the promotion
    assert first.startswith(
        "the constant prediction is not beaten; the evidence points to calibrated probabilities, a simpler estimator, "
        "another metric or a longer window ("
    )
    assert "there is no champion yet, and gate.first_model = beat_baseline" in first
    assert "calibration slope 0." in first
    assert "airflow mlops advise m" in first
    advice = advice_of(found)
    assert any("(training: {calibration: always})" in text for text in advice)
    assert any("(gate: {primary: average_precision})" in text for text in advice)
    assert advice[-1] == "airflow mlops advise m tries what may help on history, and says what did."


def test_heavy_tails_are_a_matter_of_the_metric(loop: Loop) -> None:
    found = judged(loop, heavy, REGRESSOR)
    assert pointed(found)[:2] == ["simplify", "metric"]
    assert found.evaluation.remedies[1].settings == {
        "gate.primary": "mae",
        "training.parameters.loss": "absolute_error",
    }
    assert "rows weigh as" in found.evaluation.remedies[1].because
    line = judged(loop, heavy, RIDGE, rows=4000)
    assert "metric" in pointed(line)
    assert {tuple(one.settings) for one in line.evaluation.remedies if one.name == "metric"} == {("gate.primary",)}


def test_a_regression_of_even_errors_is_not_a_matter_of_the_metric(loop: Loop) -> None:
    found = judged(loop, lambda rng, x: rng.normal(size=len(x)), REGRESSOR)
    assert found.verdict is Verdict.REJECT
    assert pointed(found) == ["simplify"]


def test_a_faint_signal_needs_rows(loop: Loop) -> None:
    found = judged(loop, faint, LOGISTIC, rows=1500, seed=1)
    assert pointed(found) == ["holdout"]
    (remedy,) = found.evaluation.remedies
    assert "rows, and there are" in remedy.because
    assert remedy.settings.keys() == {"gate.holdout", "data.window"}


def test_columns_that_hold_nothing_point_to_nothing(loop: Loop) -> None:
    found = judged(loop, nothing, LOGISTIC)
    assert found.verdict is Verdict.REJECT
    assert pointed(found) == []
    assert "the columns may hold nothing about the label" in found.reasons[0]
    assert "airflow mlops advise m" in advice_of(found)[-1]


def test_a_bound_on_calibration_points_to_calibration(loop: Loop) -> None:
    def plain(rng: np.random.Generator, x: Any) -> Any:
        return (rng.random(len(x)) < 1 / (1 + np.exp(-1.5 * x[:, 0]))).astype(int)

    found = judged(loop, plain, HISTOGRAM, calibration={"max_error": 0.001})
    assert {one.rule for one in found.evaluation.rules if one.verdict is not Verdict.ACCEPT} == {"calibration"}
    assert pointed(found)[0] == "calibrate"


def test_nothing_is_looked_for_where_there_is_a_champion_or_nothing_was_refused(loop: Loop) -> None:
    def plain(rng: np.random.Generator, x: Any) -> Any:
        return (x[:, 0] + rng.normal(size=len(x)) > 0).astype(int)

    assert pointed(judged(loop, plain, LOGISTIC)) == []
    assert pointed(judged(loop, rare, HISTOGRAM, mode="off")) == []


def test_the_page_and_the_form_have_a_table_of_what_may_help(loop: Loop) -> None:
    decision = judged(loop, rare, HISTOGRAM)
    candidate = replace(
        loop.candidate(fit_of(loop)), run_id=decision.run_id, loop_run=decision.loop_run, model_uri=decision.model_uri
    )
    page = render(decision, candidate, advice_of(decision), evidence=())
    assert "What may help" in page
    assert page.count("training: {calibration: always}") == 2  # in the steps, and in the table
    spec = loop.spec(HISTOGRAM)
    form = approval_form.body(spec, candidate, decision, 1, links={}, evidence=())
    assert "What may help" in form
    assert GateDecision.from_json(decision.to_json()) == decision


def fit_of(loop: Loop) -> Any:
    spec, frame = loop.spec(HISTOGRAM), loop.frame(1500)
    return fit(spec, loop.snapshot(spec, frame), frame)


def test_settings_are_ones_that_the_specification_takes(loop: Loop) -> None:
    spec = loop.spec(HISTOGRAM, gate={"holdout": "10d"})
    candidate = loop.candidate(fit_of(loop))
    found = applicable_settings(spec, candidate, LearnedFrom(rows=5000, events=60), longer=3)
    assert found.keys() == TITLES.keys()
    assert found["holdout"] == {"gate.holdout": "30d", "data.window": "80d"}
    assert found["window"] == {"data.window": "120d"}
    for settings in found.values():
        raw = spec.model_dump(mode="json", exclude_unset=True)
        for path, value in settings.items():
            *parents, last = path.split(".")
            here = raw
            for name in parents:
                here = here.setdefault(name, {})
            here[last] = value
        assert ModelSpec.model_validate(raw) != spec


def test_what_would_change_nothing_is_left_out(loop: Loop) -> None:
    search = {"method": "grid", "parameters": {"max_leaf_nodes": [4, 8], "min_samples_leaf": [20], "max_iter": [10]}}
    spec = loop.spec("sklearn.ensemble.HistGradientBoostingClassifier", training={"calibration": "always"})
    searched = spec.training.model_copy(update={"parameters": {}, "search": search})
    spec = spec.model_copy(update={"training": searched})
    found = applicable_settings(spec, loop.candidate(fit_of(loop)), LearnedFrom(rows=5000, events=60))
    assert found.keys() == {"metric", "holdout", "window"}


@pytest.mark.parametrize("name", ["log_loss", "roc_auc", "f1", "rmse", "mae", "r2"])
def test_the_other_metric_is_one_of_the_same_task(name: str) -> None:
    other = other_metric(name, "regression" if METRICS[name].kind == "regression" else "binary")
    assert METRICS[other].kind == METRICS[name].kind
    assert other != name


def test_rare_labels_have_a_default_path() -> None:
    labels = pd.Series([0] * 990 + [1] * 10)
    found = settings_for_rare(learned_from(labels, "binary"))
    assert found["training.calibration"] == "always"
    assert found["gate.absolute"] == [{"metric": "average_precision", "min": 0.01}]
    assert settings_for_rare(learned_from(pd.Series([0, 1] * 50), "binary")) == {}
