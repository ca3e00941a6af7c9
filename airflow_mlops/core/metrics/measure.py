"""Metric of judged rows by its name: what `spec.metrics` declares of it, with its function from `registry`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.metrics.custom import prepared
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.registry import FUNCTIONS
from airflow_mlops.core.metrics.weighted import Undefined, WeightedMetric
from airflow_mlops.core.pipeline.predict import Predicted, plain_classes
from airflow_mlops.core.records.candidate import Label, Task
from airflow_mlops.spec.metrics import METRICS as DECLARED
from airflow_mlops.spec.metrics import MetricDeclaration
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Metric:
    """A metric by name: what the specification declares of it, and its function; call it for its value."""

    name: str
    declared: MetricDeclaration
    needs_probabilities: bool
    prepare: Callable[[LabelledPredictions], WeightedMetric]
    """From judged rows to a function of row weights; the rows' own weights are put on it afterwards."""

    @property
    def kind(self) -> Literal["classification", "regression"]:
        """The kind of task it is of."""
        return self.declared.kind

    @property
    def greater_is_better(self) -> bool:
        """Whether more of it is better."""
        return self.declared.greater_is_better

    def weighted(self, judged: LabelledPredictions) -> WeightedMetric:
        """The metric as a function of how often each row counts; undefined when something is missing or not finite."""
        if not judged.finite:
            return Undefined("there are no rows, or a label, a prediction or a weight is not a finite number")
        if judged.probabilities is None and self.needs_probabilities:
            return Undefined("the model gives no probabilities")
        found = self.prepare(judged)
        return found if judged.weights is None else found.scale(judged.weights)

    def __call__(self, judged: LabelledPredictions) -> float:
        """Value on all rows; NaN where it is not defined, never an exception."""
        import numpy as np

        return float(self.weighted(judged)(np.ones((1, len(judged.y_true))))[0])

    def why_undefined(self, judged: LabelledPredictions) -> str | None:
        """Why there is no value, in words that follow `because`; None when nothing is known against it."""
        found = self.weighted(judged)
        return found.reason if isinstance(found, Undefined) else None


def judge(
    labels: pd.Series[Any], predicted: Predicted, classes: Sequence[Label] | None = None, weights: Array | None = None
) -> LabelledPredictions:
    """Bring labels and predictions together.

    Parameters
    ----------
    labels
        As `core.rows.labels.clean_labels` gives them, shape (n,), in the order of the predicted rows.
    classes
        Classes to judge by, when two models with different classes are compared: probabilities of a class
        that the model does not know are 0. Its own classes when left out.
    weights
        Of the rows, shape (n,); None: all alike.
    """
    import numpy as np
    import pandas as pd

    weights = None if weights is None else np.asarray(weights, dtype=float)
    if predicted.task == "regression":
        values = np.asarray(predicted.values, dtype=float)
        return LabelledPredictions("regression", labels.to_numpy(dtype=float), values, None, weights)
    wanted = tuple(predicted.classes if classes is None else classes)
    index = pd.Index(wanted)
    task: Task = "binary" if len(wanted) == 2 else "multiclass"  # noqa: PLR2004
    probabilities = predicted.probabilities
    if probabilities is not None and wanted != tuple(predicted.classes):
        aligned = np.zeros((len(probabilities), len(wanted)))
        aligned[:, index.get_indexer(pd.Index(predicted.classes))] = probabilities
        probabilities = aligned
    truth, said = (index.get_indexer(pd.Index(found)) for found in (labels, predicted.values))
    strange = _strangers((truth, said), (labels.to_numpy(), np.asarray(predicted.values)))
    return LabelledPredictions(task, truth, said, probabilities, weights, (*wanted, *reversed(strange)))


def _strangers(numbers: Sequence[Array], found: Sequence[Array]) -> list[Label]:
    """Labels outside the classes; their numbers become -1, -2, ... in place, the same for the same label."""
    strange: list[Label] = []
    for number, values in zip(numbers, found, strict=True):
        unknown = number < 0
        for label in dict.fromkeys(plain_classes(values[unknown])):
            if label not in strange:
                strange.append(label)
            number[unknown & (values == label)] = -1 - strange.index(label)
    return strange


def metrics_of(spec: ModelSpec) -> Mapping[str, Metric]:
    """Every metric that this specification may name: the registered ones, and `gate.metrics` by import path.

    Raises
    ------
    TrainingError
        If a function of `gate.metrics` cannot be imported or used.
    """
    own = {
        path: Metric(
            path,
            MetricDeclaration(one.kind, greater_is_better=one.greater_is_better),
            one.needs == "probabilities",
            prepare,
        )
        for path, (one, prepare) in prepared(spec).items()
    }
    return {**METRICS, **own}


def measure(judged: LabelledPredictions, spec: ModelSpec | None = None) -> dict[str, float]:
    """Every metric of the task, those from probabilities only when there are any; with `gate.metrics` of a `spec`."""
    known = METRICS if spec is None else metrics_of(spec)
    return {name: metric(judged) for name, metric in known.items() if _applies(metric, judged)}


def primary(spec: ModelSpec, task: Task) -> str:
    """The metric that decides: the specification's, or log_loss for classification and rmse for regression.

    >>> from types import SimpleNamespace
    >>> primary(SimpleNamespace(gate=SimpleNamespace(primary=None)), "binary")
    'log_loss'
    """
    return spec.gate.primary or ("rmse" if task == "regression" else "log_loss")


def require_fitting(spec: ModelSpec, task: Task) -> None:
    """Refuse metrics of the other kind of task: an RMSE of classes means nothing.

    Raises
    ------
    TrainingError
        One problem for each field that names such a metric; or those of `metrics_of`.
    """
    kind = "regression" if task == "regression" else "classification"
    named = {"gate.primary": primary(spec, task)}
    named |= {f"gate.absolute[{number}].metric": rule.metric for number, rule in enumerate(spec.gate.absolute)}
    if spec.training.search is not None and spec.training.search.metric is not None:
        named["training.search.metric"] = spec.training.search.metric
    known = metrics_of(spec)
    problems = [
        Problem(
            code=ReasonCode.METRIC_UNKNOWN,
            field=field,
            found=f"{name}, and {spec.training.estimator} is for {kind}",
            allowed=f"one of: {', '.join(name for name, metric in known.items() if metric.kind == kind)}",
            fix="name a metric of that kind, or another estimator",
        )
        for field, name in named.items()
        if name not in known or known[name].kind != kind
    ]
    if problems:
        raise TrainingError(problems, subject=spec.name)


def _applies(metric: Metric, judged: LabelledPredictions) -> bool:
    kind = "regression" if judged.task == "regression" else "classification"
    return metric.kind == kind and (judged.probabilities is not None or not metric.needs_probabilities)


METRICS: Mapping[str, Metric] = {name: Metric(name, declared, *FUNCTIONS[name]) for name, declared in DECLARED.items()}
"""Every registered metric; `metrics_of` adds those of a specification's own."""
