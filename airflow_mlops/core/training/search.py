"""Search over parameters, with folds that never look ahead in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.pipeline.class_weights import CLASS_WEIGHTS, matched_weights
from airflow_mlops.core.pipeline.estimator import check_parameters, with_estimators
from airflow_mlops.core.pipeline.predict import plain_classes, predict_trial
from airflow_mlops.core.records.candidate import Label, Task
from airflow_mlops.core.rows.labels import positive_class
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline


def search_parameters(
    spec: ModelSpec,
    task: Task,
    pipeline: Pipeline,
    *,
    inputs: pd.DataFrame,
    labels: pd.Series[Any],
    times: pd.Series[Any],
    weights: Array | None = None,
) -> Pipeline:
    """Return the pipeline, not fitted, with the parameters that do best on later rows.

    Parameters
    ----------
    inputs, labels, times
        The training rows, sorted by time; `times` are their event times.
    weights
        Of the rows, shape (n,): they count in fitting and in the metric; None: all alike. The estimator takes them.

    Raises
    ------
    TrainingError
        If a parameter to search does not exist.
    DataError
        If there are too few distinct times for the folds.
    """
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

    search = spec.training.search
    given = {} if weights is None else {"estimator__sample_weight": weights}
    if search is None:
        return pipeline
    named, prefix = pipeline[-1], "estimator"
    if hasattr(named, "encode"):  # trained on class numbers: the estimator that was named is inside
        named, prefix = named.estimator, "estimator__estimator"
    field = "training.search.parameters"
    check_parameters(spec.training.estimator, search.parameters, tuple(named.get_params()), field=field)
    grid = {
        f"{prefix}__{name}": _values(name, values, labels, f"{field}.{name}", encoder=pipeline[-1])
        for name, values in search.parameters.items()
    }
    chosen = metric.metrics_of(spec)[search.metric or metric.primary(spec, task)]
    numbered = inputs.reset_index(drop=True)  # the scorer finds the weights of a fold's rows by their numbers
    positive = positive_class(plain_classes(sorted(labels.unique(), key=str)), spec.data.positive)
    scorer = Scorer(chosen, task, weights, positive)
    folds = time_folds(times, search.folds, spec.data.label_delay)
    common: Mapping[str, Any] = {"scoring": scorer, "cv": folds, "error_score": "raise", "refit": False}
    if search.method == "grid":
        searched = GridSearchCV(pipeline, grid, **common)
    else:
        iterations = min(search.iterations, _size(grid))
        searched = RandomizedSearchCV(pipeline, grid, n_iter=iterations, random_state=spec.training.seed, **common)
    searched.fit(numbered, labels.to_numpy(), **given)
    # Copied once more: a parameter may be an estimator of its own.
    chosen_values = {name: clone(value, safe=False) for name, value in searched.best_params_.items()}
    best: Pipeline = clone(pipeline).set_params(**chosen_values)
    return best


def _values(name: str, values: Sequence[Any], labels: pd.Series[Any], field: str, *, encoder: Any) -> list[Any]:
    """Values to try, with estimators built and weights of classes matched to the labels."""
    import numpy as np

    found = [with_estimators(value, f"{field}.{place}") for place, value in enumerate(values)]
    if not any(isinstance(value, Mapping) for value in found) or name.rpartition("__")[2] not in CLASS_WEIGHTS:
        return found
    problems: list[Problem] = []
    classes = plain_classes(list(np.unique(labels.to_numpy())))
    matched = [
        matched_weights(value, classes, f"{field}.{place}", problems) if isinstance(value, Mapping) else value
        for place, value in enumerate(found)
    ]
    if problems:
        raise TrainingError(problems)
    if not hasattr(encoder, "encode"):
        return matched
    numbers = dict(zip(classes, encoder.number(labels.to_numpy()).tolist(), strict=True))
    return [
        {numbers[label]: weight for label, weight in value.items()} if isinstance(value, Mapping) else value
        for value in matched
    ]


def time_folds(
    times: pd.Series[Any], folds: int, gap: timedelta = timedelta(0)
) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Cut sorted event times into folds; each part is validated after training on everything known before it.

    Rows of equal time are never on both sides of a cut. Rows whose label was not yet known when the validated
    part began (`gap`, the label delay) are left out of its training rows.

    Parameters
    ----------
    times
        Event times, ascending, shape (n,).
    folds
        Number of (train, validate) pairs.
    gap
        How long after the event its label is known.

    Returns
    -------
    list of (train positions, validation positions)

    Raises
    ------
    DataError
        If a fold would have no rows to train on or to validate on.

    Notes
    -----
    Expanding windows over parts of about equal row counts, as scikit-learn's ``TimeSeriesSplit``, which cuts by
    row number and so may put one instant on both sides.
    """
    import numpy as np

    stamps = times.to_numpy()
    cuts = [np.searchsorted(stamps, stamps[len(stamps) * part // (folds + 1)]) for part in range(1, folds + 1)]
    ends = [*cuts[1:], len(stamps)]
    pairs = []
    for start, end in zip(cuts, ends, strict=True):
        known = np.searchsorted(stamps, stamps[start] - np.timedelta64(gap), side="right") if gap else start
        pairs.append((np.arange(min(known, start)), np.arange(start, end)))
    if any(len(train) == 0 or len(validate) == 0 for train, validate in pairs):
        raise DataError(
            Problem(
                code=ReasonCode.WINDOW_EMPTY,
                field="training.search.folds",
                found=f"{folds} folds over {len(np.unique(stamps))} distinct event times, one of them without rows",
                allowed="folds that each have rows to train on, with known labels, and later rows to validate on",
                fix="use fewer folds, or a longer data.window",
            )
        )
    return pairs


class Scorer:
    """A metric of the gate in the form that scikit-learn's searches call: greater is better."""

    def __init__(
        self, chosen: metric.Metric, task: Task, weights: Array | None = None, positive: Label | None = None
    ) -> None:
        self.chosen = chosen
        self.task: Task = task
        self.positive = positive
        self.weights = weights
        """Of all training rows, by row number, which is the index of the inputs."""

    def __call__(self, pipeline: Any, inputs: pd.DataFrame, labels: np.ndarray[Any, Any]) -> float:
        """Return the metric on these rows, turned so that greater is better."""
        import pandas as pd

        predicted = predict_trial(pipeline, inputs, self.task, self.positive)
        weights = None if self.weights is None else self.weights[inputs.index.to_numpy()]
        value = self.chosen(metric.judge(pd.Series(labels), predicted, weights=weights))
        return value if self.chosen.greater_is_better else -value


def _size(grid: Mapping[str, list[Any]]) -> int:
    import math

    return math.prod(len(values) for values in grid.values())
