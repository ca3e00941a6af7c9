"""Worlds in which nothing changes, or only the inputs: an estimate without outcomes beside what was realised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.monitoring.performance import cbpe, direct_loss
from airflow_mlops.core.monitoring.performance.estimated import Estimator, UnlabelledRows
from airflow_mlops.core.monitoring.performance.expected import ExpectedPerformance
from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.stats.two_sample import sampled
from airflow_mlops.spec import ModelSpec

TRAIN, HOLDOUT, NEW = 44, 14, 30
"""Days of each part."""
CONFIDENCE = 0.95
NAMES = ("x0", "x1", "x2")
FEATURES = tuple(Feature(name=name, role="numeric") for name in NAMES)
Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """An estimate and what was realised."""

    ratio: float
    inside: bool
    """Whether what was realised lies within the interval, whose bounds are one-sided at `CONFIDENCE`."""


def _plain(rng: np.random.Generator, n: int) -> Rows:
    x = rng.normal(size=(n, 3))
    return x, x[:, 0] + rng.normal(0, 1, n)


def _uneven(rng: np.random.Generator, n: int) -> Rows:
    x = rng.normal(size=(n, 3))
    return x, x[:, 0] + rng.normal(0, np.exp(0.7 * x[:, 1]), n)


def _heavy(rng: np.random.Generator, n: int) -> Rows:
    x = rng.normal(size=(n, 3))
    return x, np.exp(3 + 0.7 * x[:, 0] - 0.4 * x[:, 1] + 1.2 * rng.normal(size=n))


def _hourly(rng: np.random.Generator, n: int) -> Rows:
    x, hour = rng.normal(size=(n, 3)), np.arange(n) % 24
    x[:, 2] = hour
    return x, 100 + 30 * np.sin(hour / 24 * 6.28) + 3 * x[:, 0] + rng.normal(0, 5, n)


def _shifted(rng: np.random.Generator, n: int) -> Rows:
    x = rng.normal((1.5, 0, 0), 1, size=(n, 3))
    return x, x[:, 0] + rng.normal(0, np.exp(0.7 * x[:, 1]), n)


def _classes(level: float, strength: float) -> Callable[[np.random.Generator, int], Rows]:
    def draw(rng: np.random.Generator, n: int) -> Rows:
        x = rng.normal(size=(n, 3))
        z = strength * (1.3 * x[:, 0] + 0.9 * x[:, 1]) + level
        return x, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)

    return draw


@dataclass(frozen=True, kw_only=True)
class EstimateWorld:
    """How rows come about, and how many a day."""

    name: str
    rows: int
    draw: Callable[[np.random.Generator, int], Rows]
    later: Callable[[np.random.Generator, int], Rows] | None = None
    classes: bool = False


WORLDS: Sequence[EstimateWorld] = (
    EstimateWorld(name="plain", rows=24, draw=_plain),
    EstimateWorld(name="plain", rows=250, draw=_plain),
    EstimateWorld(name="uneven noise", rows=24, draw=_uneven),
    EstimateWorld(name="uneven noise", rows=250, draw=_uneven),
    EstimateWorld(name="heavy tails", rows=50, draw=_heavy),
    EstimateWorld(name="heavy tails", rows=250, draw=_heavy),
    EstimateWorld(name="hourly", rows=24, draw=_hourly),
    EstimateWorld(name="inputs moved", rows=250, draw=_uneven, later=_shifted),
    EstimateWorld(name="balanced, overfitted", rows=40, draw=_classes(0, 1), classes=True),
    EstimateWorld(name="balanced", rows=250, draw=_classes(0, 1), classes=True),
    EstimateWorld(name="balanced", rows=1000, draw=_classes(0, 1), classes=True),
    EstimateWorld(name="0.5 % positives", rows=400, draw=_classes(-6.45, 1), classes=True),
    EstimateWorld(name="0.5 % positives", rows=2000, draw=_classes(-6.45, 1), classes=True),
    EstimateWorld(name="weak", rows=250, draw=_classes(0, 0.3), classes=True),
)


def compare(world: EstimateWorld, rng: np.random.Generator) -> Compared:
    """Train a default model on 44 days, learn to estimate on 14, estimate on 30 more, and look."""
    x, y = world.draw(rng, TRAIN * world.rows)
    model: Any = HistGradientBoostingClassifier if world.classes else HistGradientBoostingRegressor
    model = model(random_state=0).fit(x, y)
    held, label = world.draw(rng, HOLDOUT * world.rows)
    new, came = (world.later or world.draw)(rng, NEW * world.rows)
    name = "log_loss" if world.classes else "rmse"
    known, block = _judged(model, held, label, world.classes), np.repeat(np.arange(HOLDOUT), world.rows)
    estimator = _estimator(name, known, held, block)
    predicted = _predicted(model, new, world.classes)
    losses = estimator.losses(_frame(new), predicted=predicted.values) if estimator.losses is not None else None
    days = np.repeat(np.arange(NEW), world.rows)
    found = estimator.sample(UnlabelledRows(predicted=predicted, weights=None, block=days, losses=losses))
    truth = METRICS[name](_judged(model, new, came, world.classes))
    return Compared(ratio=found.value / truth, inside=found.lower <= truth <= found.upper)


def _estimator(name: str, known: LabelledPredictions, held: np.ndarray, block: np.ndarray) -> Estimator:
    spec = ModelSpec.model_validate(
        {
            "name": "m",
            "owner": "o",
            "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y"},
            "training": {"estimator": "sklearn.linear_model.Ridge"},
            "gate": {"champion": {"resamples": 200}},
            "monitoring": {"performance": {"confidence": CONFIDENCE}},
        }
    )
    metric = METRICS[name]
    promised = sampled(metric, known, block, confidence=CONFIDENCE, resamples=200, seed=0)
    expected = ExpectedPerformance(
        metric=metric, sample=promised, gain=None, bound=1.0, urgent=None, holdout=None, reasons=()
    )
    if name == "log_loss":
        return Estimator(spec, expected, calibration=cbpe.calibrate(known, block))
    losses = direct_loss.fit_losses(_frame(held), known, FEATURES, name, 42, block)
    return Estimator(spec, expected, losses=losses)


def _frame(x: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(x, columns=[*NAMES])


def _judged(model: Any, x: np.ndarray, y: np.ndarray, classes: bool) -> LabelledPredictions:
    if not classes:
        return LabelledPredictions("regression", y, model.predict(x), None)
    said = model.predict_proba(x)
    return LabelledPredictions("binary", y, said.argmax(axis=1), said, None, (0, 1))


def _predicted(model: Any, x: np.ndarray, classes: bool) -> Predicted:
    if not classes:
        return Predicted(task="regression", classes=(), values=model.predict(x), probabilities=None)
    said = model.predict_proba(x)
    return Predicted(task="binary", classes=(0, 1), values=said.argmax(axis=1), probabilities=said)
