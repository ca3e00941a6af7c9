"""Where the training part begins when something changed: at the change, or as far back as ever.

Rows from before a change teach what does not hold any more, and there are more of them. Which of the two matters more
is an empirical question, and is answered as Klinkenberg and Joachims do: each window is tried on the newest rows, and
the one with the better metric is taken. The rows that it is tried on lie before the holdout, which the gate judges on.

References
----------
R. Klinkenberg, T. Joachims (2000), Detecting concept drift with support vector machines, ICML.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.pipeline.predict import plain_classes, predict_trial
from airflow_mlops.core.records.candidate import Label, Task
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.labels import positive_class
from airflow_mlops.core.rows.weights import fit_arguments
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

MIN_TRAIN_ROWS = 50
"""Fewer rows than this teach a model nothing that a gate could tell from luck."""
TRIED_ON = 1 / 3
"""Of the training rows since the change, the newest: what both windows are tried on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRows:
    """What a pipeline learns from: n rows, sorted by event time."""

    inputs: pd.DataFrame
    """Feature columns only."""
    labels: pd.Series[Any]
    times: pd.Series[Any]
    weights: Array | None
    """Shape (n,); None: all alike."""

    def since(self, start: datetime) -> TrainingRows:
        """Rows of event times not before `start`."""
        return self.take((self.times >= start).to_numpy())

    def take(self, chosen: Array) -> TrainingRows:
        """Rows by a mask, shape (n,)."""
        return TrainingRows(
            inputs=self.inputs.iloc[chosen.nonzero()[0]],
            labels=self.labels[chosen],
            times=self.times[chosen],
            weights=None if self.weights is None else self.weights[chosen],
        )


def choose_start(  # noqa: PLR0917 - by which rules, of what, from which rows of which window
    spec: ModelSpec, task: Task, pipeline: Pipeline, rows: TrainingRows, window: Window, changed: datetime
) -> datetime:
    """Return where to begin: `changed`, if a model of the rows since is better on the newest of them, else the window.

    Parameters
    ----------
    pipeline
        Not fitted.
    rows
        Of the whole training part.
    window
        Their event times; `changed` lies inside.
    """
    cut = window.end - TRIED_ON * (window.end - changed)
    before = (rows.times < cut).to_numpy()
    earlier, newest = rows.take(before), rows.take(~before)
    young = earlier.since(changed)
    if not _is_learnable(task, young.labels) or not len(newest.labels):
        return window.start
    chosen = metric.metrics_of(spec)[metric.primary(spec, task)]
    sign = 1.0 if chosen.greater_is_better else -1.0
    positive = positive_class(plain_classes(sorted(rows.labels.unique(), key=str)), spec.data.positive)
    whole, since = (sign * _tried(chosen, task, pipeline, part, newest, positive) for part in (earlier, young))
    better = math.isfinite(since) and not (math.isfinite(whole) and whole >= since)
    return changed if better else window.start


def _is_learnable(task: Task, labels: pd.Series[Any]) -> bool:
    """Whether there is something to learn: enough rows, and of classes more than one."""
    return len(labels) >= MIN_TRAIN_ROWS and (task == "regression" or labels.nunique() > 1)


def _tried(  # noqa: PLR0917 - which metric of which pipeline, from which rows on which
    chosen: metric.Metric,
    task: Task,
    pipeline: Pipeline,
    part: TrainingRows,
    newest: TrainingRows,
    positive: Label | None,
) -> float:
    """The primary metric of a model of some rows on the newest; NaN where it is not defined."""
    from sklearn.base import clone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is only tried says nothing about the model that is kept
        model = clone(pipeline).fit(part.inputs, part.labels.to_numpy(), **fit_arguments(part.weights))
    said = predict_trial(model, newest.inputs, task, positive)
    return chosen(metric.judge(newest.labels, said, None, newest.weights))
