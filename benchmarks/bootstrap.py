"""The paired bootstrap of a million rows, and scikit-learn's `resample` in a loop on the same work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.child import in_child, peak_mb
from benchmarks.report import Table

if TYPE_CHECKING:
    import numpy as np

METRICS = ("log_loss", "roc_auc", "f1", "accuracy")
UNITS = ("row", "day")
DAYS = 60


def measure(*, rows: int, resamples: int, loops: int) -> tuple[Table, dict[str, Any]]:
    """Measure every metric by row and by day, each in a fresh process.

    The loop is timed over `loops` resamples and its time scaled up to all of them; the interval is compared with what
    these few say, within the Monte Carlo error that they leave.
    """
    found: list[dict[str, Any]] = []
    for metric in METRICS:
        for unit in UNITS:
            given: dict[str, Any] = {"metric": metric, "unit": unit, "rows": rows}
            ours = in_child("bootstrap:ours", resamples=resamples, **given)
            loop = in_child("bootstrap:loop", loops=loops, **given)
            found.append({**given, **ours, **_against(ours, loop, loops, resamples)})
    table = Table(
        title=f"Paired bootstrap, {resamples:,} resamples of {rows:,} rows",
        heads=("metric", "unit", "seconds", "MB added", "loop, seconds", "times faster", "interval difference"),
        rows=tuple(
            (
                one["metric"],
                one["unit"],
                f"{one['seconds']:.2f}",
                f"{one['added_mb']:.0f}",
                f"{one['loop_seconds']:,.0f}",
                f"{one['ratio']:,.0f}",
                f"{one['difference']:.1f}",
            )
            for one in found
        ),
        notes=(
            f"The loop: sklearn.utils.resample of rows or days, then its metric, twice; {loops} times, scaled up.",
            "Interval difference: of standard error and lower bound, the larger, in Monte Carlo standard errors.",
        ),
    )
    return table, {"rows": rows, "resamples": resamples, "loops": loops, "runs": found}


def ours(metric: str, unit: str, rows: int, resamples: int) -> dict[str, Any]:
    """Time and memory of `core.stats.bootstrap.gain`; imports and the models' predictions are there before."""
    from airflow_mlops.core.metrics.labelled import LabelledPredictions
    from airflow_mlops.core.metrics.measure import METRICS as KNOWN
    from airflow_mlops.core.stats.bootstrap import gain

    labels, scores, day = _models(rows)
    models = [LabelledPredictions("binary", labels, _said(p), _columns(p)) for p in scores]
    block = day if unit == "day" else None
    small = [model.take(slice(6000)) for model in models]
    gain(KNOWN[metric], small[0], small[1], None if block is None else block[:6000] % 20, resamples=200)  # imports
    before = peak_mb()
    began = time.perf_counter()
    found = gain(KNOWN[metric], models[0], models[1], block, resamples=resamples)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "added_mb": peak_mb() - before,
        "value": found.value,
        "lower": found.lower,
        "error": found.error,
    }


def loop(metric: str, unit: str, rows: int, loops: int) -> dict[str, Any]:
    """Time of the same by hand, and its differences between the models."""
    import numpy as np
    from sklearn.utils import resample

    labels, scores, day = _models(rows)
    groups = [np.flatnonzero(day == number) for number in range(DAYS)]
    value = _functions()[metric]
    sign = -1 if metric == "log_loss" else 1
    everything = np.arange(rows)
    found = []
    began = time.perf_counter()
    for number in range(loops):
        if unit == "row":
            picked = resample(everything, random_state=number)
        else:
            picked = np.concatenate(resample(groups, random_state=number))
        y = labels[picked]
        first, second = (value(y, p[picked]) for p in scores)
        found.append(sign * (first - second))
    return {"seconds": time.perf_counter() - began, "draws": found}


def _against(ours: dict[str, Any], loop: dict[str, Any], loops: int, resamples: int) -> dict[str, Any]:
    """Compare centre, spread and lower bound with those of the few resamples of the loop."""
    import numpy as np
    from scipy import stats

    draws = np.array(loop["draws"])
    spread = draws.std(ddof=1)
    z = stats.norm.ppf(0.95)
    of_spread = abs(spread / ours["error"] - 1) * np.sqrt(2 * (loops - 1))
    # a quantile of few draws, by mean and spread: the draws of a million rows are normal enough for that
    lower = draws.mean() - z * spread
    of_lower = abs(lower - ours["lower"]) / (spread * np.sqrt((1 + z**2 / 2) / loops))
    seconds = loop["seconds"] / loops * resamples
    return {
        "loop_seconds": seconds,
        "ratio": seconds / ours["seconds"],
        "difference": float(max(of_spread, of_lower)),
    }


def _models(rows: int) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Labels, scores of two models, day of each row; days differ in what the models know of them."""
    import numpy as np

    rng = np.random.default_rng(0)
    day = np.sort(np.r_[np.arange(DAYS), rng.integers(0, DAYS, rows - DAYS)])
    hidden = rng.normal(0, 1.5, rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-hidden))).astype(int)
    scores = []
    for noise in (0.9, 1.0):
        error = rng.normal(0, noise, rows) + rng.normal(0, 0.1, DAYS)[day]
        scores.append(1 / (1 + np.exp(-(hidden + error))))
    return labels, scores, day


def _said(p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    said: np.ndarray[Any, Any] = (p > 0.5).astype(int)
    return said


def _columns(p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.column_stack([1 - p, p])


def _functions() -> dict[str, Callable[..., float]]:
    from sklearn import metrics

    return {
        "log_loss": metrics.log_loss,
        "roc_auc": metrics.roc_auc_score,
        "f1": lambda y, p: metrics.f1_score(y, _said(p)),
        "accuracy": lambda y, p: metrics.accuracy_score(y, _said(p)),
    }
