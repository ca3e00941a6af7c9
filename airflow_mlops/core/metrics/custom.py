"""Metrics of the team's own: functions that the specification names by import path, in `gate.metrics`.

A function is called as ``f(y_true, y_pred)``, or ``f(y_true, y_pred, sample_weight=w)`` where rows have weights (those
of `data.weight`, or how often the bootstrap drew them), and returns one number.

==============  ============================================  ================================================
needs           y_true                                        y_pred
==============  ============================================  ================================================
labels          the labels as they are in the data            predicted labels, the same kind
labels          numbers (regression)                          predicted numbers
probabilities   the column of y_pred that is the true class   probabilities, shape (n, classes)
==============  ============================================  ================================================

Columns are given instead of labels beside probabilities, because the function is not told which column is which.
With `per_row` the function returns one number for each row, shape (n,); the metric is their mean weighted by
`data.weight`, so it is given no weights, and called once, not once for every resample.

Whatever a function raises, and whatever it returns that is not such a number, makes the metric NaN, which no rule of
the gate accepts; the reason is logged.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.importing import import_object
from airflow_mlops.core.metrics.registry import Prepare, of_rows
from airflow_mlops.core.metrics.weighted import Spread, Undefined, WeightedMetric
from airflow_mlops.spec.gate import CustomMetric
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.named_code import metric_problem
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    from airflow_mlops.core.metrics.labelled import LabelledPredictions

log = logging.getLogger(__name__)


def prepared(spec: ModelSpec) -> dict[str, tuple[CustomMetric, Prepare]]:
    """Import the functions of `gate.metrics`: by path, what is declared and what prepares the metric.

    Raises
    ------
    TrainingError
        For each function that cannot be imported or called, or that takes no weights where `data.weight` is set.
    """
    found: dict[str, tuple[CustomMetric, Prepare]] = {}
    problems: list[Problem] = []
    for number, own in enumerate(spec.gate.metrics):
        field = f"gate.metrics[{number}].path"
        foreign = metric_problem(own.path, field)
        if foreign is not None:
            problems.append(foreign)
            continue
        try:
            function = import_object(own.path, field)
        except TrainingError as refusal:
            problems.extend(refusal.problems)
            continue
        wrong = _unusable(spec, own, function, field)
        if wrong is not None:
            problems.append(wrong)
            continue
        found[own.path] = own, _prepare(own, function)
    if problems:
        raise TrainingError(problems, subject=spec.name)
    return found


def takes_weights(function: Callable[..., Any]) -> bool:
    """Whether a function names a parameter `sample_weight`; one with only `**others` might ignore it.

    >>> takes_weights(lambda y_true, y_pred, sample_weight=None: 0.0), takes_weights(lambda y_true, y_pred: 0.0)
    (True, False)
    """
    try:
        found = inspect.signature(function).parameters.get("sample_weight")
    except (TypeError, ValueError):  # a built-in that tells nothing of its parameters
        return False
    return found is not None and found.kind is not found.POSITIONAL_ONLY


@dataclass
class Opaque:
    """A function of labels and predictions that is called again for every resample."""

    name: str
    function: Callable[..., Any]
    y_true: Array
    y_pred: Array
    base: Array | None = None
    """Weights of the rows; None: all 1."""
    failure: str | None = None
    """Why it gave no number, the first time that it did not."""

    def __call__(self, weights: Array) -> Array:
        """One call for each resample, on the rows that it drew."""
        import numpy as np

        return np.array([self._once(row) for row in weights])

    def scale(self, weights: Array) -> Opaque:
        """Weigh the rows."""
        again = copy(self)
        again.base = weights if self.base is None else self.base * weights
        return again

    def collapse(self, block: Array, blocks: int) -> WeightedMetric:
        """Spread block weights to rows."""
        del blocks
        return Spread(self, block)

    def gradient(self) -> None:
        """Nobody knows what a row adds."""

    def _once(self, weights: Array) -> float:
        import numpy as np

        drawn = weights if self.base is None else weights * self.base
        rows = np.flatnonzero(drawn)
        if not len(rows):
            return float("nan")
        given = {}
        if takes_weights(self.function):
            if len(rows) < len(drawn) or np.any(drawn != 1):
                given = {"sample_weight": drawn[rows]}
        elif self.base is None:
            rows = np.repeat(rows, drawn[rows].astype(int))  # whole numbers: how often each row was drawn
        else:
            return self._failed("it takes no sample_weight, and the rows have weights", None)
        try:
            return _number(self.function(self.y_true[rows], self.y_pred[rows], **given))
        except Exception as error:  # noqa: BLE001 - whatever a team's own code raises makes the metric NaN
            return self._failed(f"it raised {type(error).__name__}", error)

    def _failed(self, why: str, error: Exception | None) -> float:
        if self.failure is None:
            self.failure = why
            log.warning("metric %s gave no number: %s", self.name, why, exc_info=error)
        return float("nan")


def _prepare(own: CustomMetric, function: Callable[..., Any]) -> Prepare:
    def prepare(judged: LabelledPredictions) -> WeightedMetric:
        import numpy as np

        if own.needs == "probabilities":
            if (judged.y_true < 0).any():
                return Undefined(f"{own.path} needs probabilities, and some rows have a class that the model does not")
            truth, predicted = judged.y_true, judged.known
        else:
            truth, predicted = judged.labels
        opaque = Opaque(own.path, function, truth, predicted)
        if own.per_row:
            return _per_row(opaque, judged)
        whole = opaque if judged.weights is None else opaque.scale(judged.weights)
        value = whole(np.ones((1, len(truth))))
        if whole.failure is not None:
            return Undefined(f"{own.path} gave no number: {whole.failure}")
        return opaque if np.isfinite(value[0]) else Undefined(f"{own.path} gave a number that is not finite")

    return prepare


def _per_row(opaque: Opaque, judged: LabelledPredictions) -> WeightedMetric:
    import numpy as np

    rows = len(judged.y_true)
    try:  # copies: the function is a stranger, and these arrays are used again
        found = np.asarray(opaque.function(opaque.y_true.copy(), opaque.y_pred.copy()), dtype=float)
    except Exception as error:  # noqa: BLE001 - as above
        opaque._failed(f"it raised {type(error).__name__}", error)  # noqa: SLF001
        return Undefined(f"{opaque.name} gave no numbers: {opaque.failure}")
    if found.shape != (rows,):
        opaque._failed(f"shape {found.shape} instead of ({rows},), one number for each row", None)  # noqa: SLF001
        return Undefined(f"{opaque.name} gave no numbers: {opaque.failure}")
    if not np.isfinite(found).all():
        return Undefined(f"{opaque.name} gave numbers that are not finite, for {int((~np.isfinite(found)).sum())} rows")
    return of_rows(judged, found)


def _number(found: Any) -> float:
    """Take a real number, or an array without dimensions.

    Raises
    ------
    TypeError, ValueError
        If it is anything else.
    """
    import numpy as np

    if np.ndim(found) or isinstance(found, str | bytes):
        raise TypeError(f"{type(found).__name__} with {np.ndim(found)} dimensions instead of one number")
    return float(found)


def _unusable(spec: ModelSpec, own: CustomMetric, function: Any, field: str) -> Problem | None:
    if not callable(function) or inspect.isclass(function):
        return Problem(
            code=ReasonCode.METRIC_UNKNOWN,
            field=field,
            found=f"{own.path}, a {type(function).__name__}",
            allowed="a function (y_true, y_pred, sample_weight=None)",
            fix="name the function itself",
        )
    if spec.data.weight is not None and not own.per_row and not takes_weights(function):
        return Problem(
            code=ReasonCode.METRIC_UNKNOWN,
            field=field,
            found=f"{own.path} without a parameter sample_weight, where data.weight is {spec.data.weight!r}",
            allowed="a function that takes sample_weight, or one that gives a number for each row",
            fix="add the parameter, or return one number for each row and set per_row: true",
        )
    return None
