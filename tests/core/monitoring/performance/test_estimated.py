"""Estimates without outcomes: right under covariate shift, wrong under concept drift, not worse for calibration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.monitoring.performance import cbpe, direct_loss
from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.core.records.candidate import Feature
from tests.support.rule_inputs import binary, numbers
from tests.support.served_model import Says, SaysNumber, Served, day, days, rows_on, served, spec_of


def predicted(p: Any) -> Predicted:
    p = np.asarray(p, dtype=float)
    return Predicted(
        task="binary", classes=(0, 1), values=(p > 0.5).astype(int), probabilities=np.column_stack([1 - p, p])
    )


def expectation(name: str, p: Any, calibration: cbpe.Calibration = cbpe.Calibration("none")) -> float:  # noqa: B008
    return METRICS[name](cbpe.expected(predicted(p), calibration, None))


def test_expectations_are_those_of_the_formulas():
    rng = np.random.default_rng(0)
    p = rng.beta(0.7, 1.2, 500)
    hit = np.maximum(p, 1 - p)
    assert expectation("accuracy", p) == pytest.approx(hit.mean())
    assert expectation("brier", p) == pytest.approx((p * (1 - p)).mean())
    assert expectation("log_loss", p) == pytest.approx(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())
    said = p > 0.5
    assert expectation("precision", p) == pytest.approx(p[said].mean())
    assert expectation("recall", p) == pytest.approx(p[said].sum() / p.sum())
    y, score, weight = np.tile([0, 1], 500), np.repeat(p, 2), np.column_stack([1 - p, p]).ravel()
    assert expectation("roc_auc", p) == pytest.approx(sk.roc_auc_score(y, score, sample_weight=weight))
    assert expectation("average_precision", p) == pytest.approx(
        sk.average_precision_score(y, score, sample_weight=weight)
    )


def test_expectations_are_means_over_drawn_outcomes():
    rng = np.random.default_rng(1)
    p = rng.beta(0.7, 1.2, 2000)
    drawn = [binary(rng.random(2000) < p, p) for _ in range(200)]
    for name in ("log_loss", "accuracy", "f1", "roc_auc", "balanced_accuracy"):
        values = [METRICS[name](judged) for judged in drawn]
        assert expectation(name, p) == pytest.approx(np.mean(values), abs=5 * np.std(values) / np.sqrt(200) + 2e-3)


def bend(p: Any) -> Any:
    """What a model that is too sure of itself says where the truth is p."""
    odds = (p / (1 - p)) ** 2
    return odds / (1 + odds)


def test_slope_and_level_are_those_of_a_logistic_regression_on_the_log_odds():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.98, 20_000)
    y = rng.random(20_000) < p
    for said, slope in ((p, 1.0), (bend(p), 0.5)):
        odds = np.log(said / (1 - said))
        independent = LogisticRegression(C=np.inf, tol=1e-10).fit(odds[:, None], y)
        found = cbpe.calibrate(binary(y, said), None)
        assert found.method == "platt"
        assert found.parameters == pytest.approx([independent.coef_[0, 0], independent.intercept_[0]], abs=2e-3)
        assert found.parameters[0] == pytest.approx(slope, abs=0.03)


def test_the_covariance_is_that_of_fits_to_other_rows():
    rng = np.random.default_rng(1)
    fits, said = [], []
    for _ in range(150):
        p = rng.uniform(0.05, 0.95, 600)
        day_effect = np.repeat(rng.normal(0, 0.4, 20), 30)
        odds = np.log(p / (1 - p))
        y = rng.random(600) < 1 / (1 + np.exp(-odds - day_effect))
        found = cbpe.calibrate(binary(y, p), np.repeat(np.arange(20), 30))
        fits.append(found.parameters)
        said.append(np.sqrt(np.diag(found.covariance)))
    assert len(fits) == 150
    assert np.std(fits, axis=0) == pytest.approx(np.mean(said, axis=0), rel=0.25)
    assert np.mean(said, axis=0)[1] > 1.2 * 2 / np.sqrt(600)  # days err together: more than rows one by one


@pytest.mark.parametrize("known", [np.zeros(300, dtype=int), np.arange(300) < 1, np.arange(300) < 150])
def test_one_class_few_hits_and_a_perfect_order_leave_it_finite(known):
    p = np.linspace(0.9, 0.1, 300)
    found = cbpe.calibrate(binary(np.asarray(known, dtype=int), p), np.repeat(np.arange(10), 30))
    assert np.isfinite(found.parameters).all()
    assert np.isfinite(found(np.column_stack([1 - p, p]))).all()


def test_an_overfitted_model_is_not_taken_at_its_word():
    errors: dict[str, list[float]] = {"platt": [], "none": []}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        p = rng.beta(1, 1, 500).clip(0.01, 0.99)
        known = binary(rng.random(500) < p, bend(p))
        new = rng.beta(2, 1, 4000).clip(0.01, 0.99)  # other covariates, the same concept
        truth = METRICS["log_loss"](binary(rng.random(4000) < new, bend(new)))
        errors["platt"].append(expectation("log_loss", bend(new), cbpe.calibrate(known, None)) - truth)
        errors["none"].append(expectation("log_loss", bend(new)) - truth)
    assert len(errors["platt"]) == 30
    assert np.mean(np.square(errors["platt"])) < 0.2 * np.mean(np.square(errors["none"]))


def test_several_classes_add_up_and_are_calibrated_each():
    rng = np.random.default_rng(2)
    p = rng.dirichlet([1, 1, 1], 3000)
    sure = p**2 / (p**2).sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) > rng.random(3000)[:, None]).argmax(axis=1)
    judged = LabelledPredictions("multiclass", y, sure.argmax(axis=1), sure, None, (0, 1, 2))
    calibration = cbpe.calibrate(judged, None)
    np.testing.assert_allclose(calibration(sure).sum(axis=1), 1)
    said = Predicted(task="multiclass", classes=(0, 1, 2), values=sure.argmax(axis=1), probabilities=sure)
    for name in ("log_loss", "accuracy", "roc_auc", "f1"):
        # one class against the rest is an approximation: what two other classes share is not calibrated
        assert METRICS[name](cbpe.expected(said, calibration, None)) == pytest.approx(METRICS[name](judged), abs=0.05)
    assert METRICS["log_loss"](cbpe.expected(said, cbpe.Calibration("none"), None)) < METRICS["log_loss"](judged) - 0.1


# through the report ---------------------------------------------------------------------------------------------------


def outcomes(p: Any, rng: np.random.Generator, wrong: float = 0.0) -> Any:
    y = (rng.random(len(p)) < p).astype(int)
    return np.where(rng.random(len(p)) < wrong, 1 - y, y)


def classifier(seed: int, **parts: Any) -> tuple[Served, np.random.Generator]:
    rng = np.random.default_rng(seed)
    frames = []
    for window, rows, first in ((days(-14, 0), 4200, 10**6), (days(-60, -14), 4200, 10**7)):
        p = rng.beta(0.5, 0.5, rows).clip(0.02, 0.98)
        frames.append(rows_on(window, rows, rng, first, p1=p, y=outcomes(p, rng)))
    features = [Feature(name="p1", role="numeric")]
    return served(spec_of(data={"label_delay": "14d"}, **parts), *frames, Says(), features), rng


@pytest.mark.parametrize(
    ("shape", "wrong", "verdict"),
    [((0.5, 0.5), 0.0, "ok"), ((2.0, 2.0), 0.0, "decay"), ((0.5, 0.5), 0.25, "unknown")],
    ids=["the same", "harder rows", "concept drift"],
)
def test_covariate_shift_is_seen_and_concept_drift_is_not(shape, wrong, verdict):
    one, rng = classifier(1)
    p = rng.beta(*shape, 8400).clip(0.02, 0.98)
    frame = rows_on(days(0, 28), 8400, rng, p1=p, y=outcomes(p, rng, wrong))
    one.serve(days(0, 28), frame)
    report = one.perform(day(28))
    estimate = report.estimate
    later = frame[frame["t"] > day(14)]
    truth = sk.log_loss(later["y"], later["p1"])
    assert (report.matched, report.immature, estimate.estimated.rows) == (8400 - len(later), len(later), len(later))
    assert estimate.verdict == verdict
    assert report.verdict == ("decay" if wrong else "ok"), "that rows are harder is no decay of the model"
    assert estimate.error == pytest.approx(estimate.estimated.value - truth, abs=0.06)
    if wrong:
        assert estimate.error < -0.2  # the estimate is wrong, and its error says so
        assert any(f"it was off by {estimate.error:+.4g}" in reason for reason in report.reasons)
        assert truth - estimate.estimated.value > 0.2
    else:
        assert estimate.estimated.value == pytest.approx(truth, abs=0.03)
        assert abs(estimate.error) < 0.03
    assert estimate.metrics["accuracy"] == pytest.approx(
        sk.accuracy_score(later["y"], later["p1"] > 0.5), abs=0.02 + wrong
    )
    assert any("no concept drift" in words for words in estimate.assumptions)
    assert any("support" in words for words in estimate.assumptions)


@pytest.mark.slow
def test_false_alarms_of_the_estimate_are_rare():
    decayed = 0
    for seed in range(30):
        one, rng = classifier(
            seed,
            gate={"champion": {"resamples": 200}},
            monitoring={"performance": {"max_drop": 1e-9, "confidence": 0.95}},
        )
        p = rng.beta(0.5, 0.5, 4200).clip(0.02, 0.98)
        one.serve(days(0, 14), rows_on(days(0, 14), 4200, rng, p1=p, y=0))
        decayed += one.perform(day(14)).estimate.verdict == "decay"
    assert decayed <= 5


def test_it_can_be_turned_off():
    one, rng = classifier(2, monitoring={"performance": {"estimate": False}})
    one.serve(days(0, 14), rows_on(days(0, 14), 1000, rng, p1=0.5, y=0))
    report = one.perform(day(14))
    assert report.estimate is None
    assert not any("estimate" in reason for reason in report.reasons)


@pytest.mark.parametrize("window", [days(0, 14), days(13, 14)], ids=["few blocks", "one block"])
def test_few_rows_are_unknown_and_the_interval_says_how_little_they_tell(window):
    one, rng = classifier(2)
    one.serve(days(0, 14), rows_on(window, 23, rng, p1=rng.uniform(0.1, 0.9, 23), y=0))
    report = one.perform(day(14))
    seen = report.estimate.estimated
    assert report.estimate.verdict == "unknown"
    assert seen.lower < seen.value < seen.upper
    assert any("it is of 23 rows; needed are" in reason for reason in report.reasons)


def test_no_probabilities_no_estimate():
    class Labels:
        classes_ = np.array([0, 1])

        def predict(self, rows: pd.DataFrame) -> Any:
            return (rows["p1"] > 0.5).astype(int).to_numpy()

    rng = np.random.default_rng(0)
    frames = [
        rows_on(window, 1000, rng, first, p1=(p := rng.random(1000)), y=outcomes(p, rng))
        for window, first in ((days(-14, 0), 10**6), (days(-60, -14), 10**7))
    ]
    one = served(spec_of(gate={"primary": "accuracy"}), *frames, Labels(), [Feature(name="p1", role="numeric")])
    p = rng.random(1000)
    one.serve(days(0, 14), rows_on(days(0, 14), 1000, rng, p1=p, y=outcomes(p, rng)))
    report = one.perform(day(14))
    assert report.verdict == "ok"
    assert report.estimate is None
    assert any("gives no probabilities" in reason for reason in report.reasons)
    assert "log_loss" not in report.metrics


# numbers ---------------------------------------------------------------------------------------------------

FEATURES = (
    Feature(name="x", role="numeric"),
    Feature(name="hard", role="numeric"),
    Feature(name="c", role="categorical"),
)


def measured(
    window: Any, rows: int, rng: np.random.Generator, first: int = 0, hard: float = 0.3, more: float = 0.0
) -> pd.DataFrame:
    x, hard_ = rng.normal(size=rows), (rng.random(rows) < hard).astype(float)
    noise = (0.5 + 1.5 * hard_) * rng.normal(size=rows) + more
    return rows_on(window, rows, rng, first, x=x, hard=hard_, c=rng.choice(["a", "b"], rows), y=x + noise)


@pytest.mark.parametrize("metric", ["rmse", "mae"])
@pytest.mark.parametrize(("hard", "more", "verdict"), [(0.3, 0.0, "ok"), (0.9, 0.0, "decay"), (0.3, 2.0, "unknown")])
def test_losses_of_a_regression(metric, hard, more, verdict):
    rng = np.random.default_rng(3)
    spec = spec_of("sklearn.linear_model.Ridge", data={"label_delay": "14d"}, gate={"primary": metric})
    held, train = measured(days(-14, 0), 4200, rng, 10**6), measured(days(-60, -14), 4200, rng, 10**7)
    one = served(spec, held, train, SaysNumber(), FEATURES)
    frame = measured(days(0, 28), 8400, rng, hard=hard, more=more)
    one.serve(days(0, 28), frame)
    report = one.perform(day(28))
    estimate = report.estimate
    later = frame[frame["t"] > day(14)]
    error = later["y"] - later["x"]
    truth = np.sqrt((error**2).mean()) if metric == "rmse" else error.abs().mean()
    assert estimate.method == "direct_loss"
    assert estimate.estimated.rows == len(later)
    assert estimate.verdict == (verdict if abs(estimate.error) <= report.bound else "unknown")
    assert verdict != "unknown" or abs(estimate.error) > report.bound
    assert estimate.estimated.lower < estimate.estimated.value < estimate.estimated.upper
    assert estimate.metrics == {metric: pytest.approx(estimate.estimated.value)}
    if more:
        assert estimate.error < -0.4
    else:
        assert estimate.estimated.value == pytest.approx(truth, rel=0.06)
        assert abs(estimate.error) < 0.06 * truth


class SaysProduct:
    """A model whose errors grow with what it says, which no feature alone tells."""

    def predict(self, rows: pd.DataFrame) -> Any:
        return (rows["x"] * rows["hard"]).to_numpy()


def test_the_losses_are_those_of_what_was_predicted_and_not_of_places_in_the_log():
    rng = np.random.default_rng(4)

    def part(window: Any, rows: int, first: int = 0, larger: float = 1.0) -> pd.DataFrame:
        x, hard = rng.gamma(2, 1, rows) * larger, rng.gamma(2, 1, rows)
        y = x * hard * (1 + 0.3 * rng.normal(size=rows))
        return rows_on(window, rows, rng, first, x=x, hard=hard, c=rng.choice(["a", "b"], rows), y=y)

    spec = spec_of("sklearn.linear_model.Ridge", data={"label_delay": "14d"}, gate={"primary": "mae"})
    one = served(spec, part(days(-14, 0), 4200, 10**6), part(days(-60, -14), 4200, 10**7), SaysProduct(), FEATURES)
    frame = part(days(0, 28), 8400, larger=0.5)
    one.serve(days(0, 28), frame)
    estimate = one.perform(day(28)).estimate
    later = frame[frame["t"] > day(14)]
    truth = (later["y"] - later["x"] * later["hard"]).abs().mean()
    assert estimate.estimated.value == pytest.approx(truth, rel=0.1)


def test_losses_of_rows_never_seen_are_still_numbers():
    rng = np.random.default_rng(0)
    rows = measured(days(0, 1), 500, rng)
    judged = numbers(rows["y"], rows["x"])
    model = direct_loss.fit_losses(rows, judged, FEATURES, "mape", 1)
    strange = rows.head(3).assign(c=["new", None, "a"], x=[np.nan, 1e9, 0.0])
    found = model(strange, predicted=np.array([0.0, 1e9, -3.0]))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert np.mean(model(rows, predicted=judged.y_pred)) == pytest.approx(METRICS["mape"](judged), rel=0.01)


def test_losses_without_weights_have_the_level_of_those_whose_weights_are_all_alike():
    rng = np.random.default_rng(0)
    rows = measured(days(0, 10), 2000, rng)
    judged = numbers(rows["y"], rows["x"])
    block = np.arange(len(rows)) // 200
    alike = replace(judged, weights=np.full(len(rows), 2.0))
    plain, weighted = (direct_loss.fit_losses(rows, one, FEATURES, "rmse", 1, block) for one in (judged, alike))
    assert plain.relative_error == pytest.approx(weighted.relative_error, rel=0.05)
    told = [float(np.mean(model(rows, predicted=judged.y_pred))) for model in (plain, weighted)]
    assert told[0] == pytest.approx(told[1], rel=0.02)


def test_what_is_no_mean_of_losses_is_not_estimated():
    rng = np.random.default_rng(3)
    spec = spec_of("sklearn.linear_model.Ridge", data={"label_delay": "14d"}, gate={"primary": "r2"})
    one = served(
        spec, measured(days(-14, 0), 900, rng, 10**6), measured(days(-60, -14), 900, rng, 10**7), SaysNumber(), FEATURES
    )
    one.serve(days(0, 14), measured(days(0, 14), 900, rng))
    report = one.perform(day(14))
    assert report.estimate is None
    assert any("r2 is not a mean of losses" in reason for reason in report.reasons)
