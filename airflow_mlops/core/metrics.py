"""Metrics of the gate: one registry, under the names and directions that `spec.metrics` declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.model import Task
from airflow_mlops.core.predict import Label, Predicted
from airflow_mlops.core.weighted import Additive, Array, AveragePrecision, Mean, Median, RocAuc, Undefined, Weighted
from airflow_mlops.spec import metrics as declared
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Judged:
    """Labels beside predictions for n rows, as arrays that every metric reads."""

    task: Task
    truth: Array
    """Class numbers (-1: a class that the model does not know), or labels of a regression; shape (n,)."""
    predicted: Array
    """Class numbers or values; shape (n,)."""
    probabilities: Array | None
    """Shape (n, classes)."""

    @property
    def known(self) -> Array:
        """The probabilities, for metrics that are asked only when there are some."""
        if self.probabilities is None:
            raise ValueError("no probabilities: Metric.weighted asks for them first")
        return self.probabilities

    @property
    def finite(self) -> bool:
        """Whether there are rows, and every label and prediction is a finite number."""
        import numpy as np

        parts = [self.truth, self.predicted, *([] if self.probabilities is None else [self.probabilities])]
        return len(self.truth) > 0 and all(bool(np.isfinite(part).all()) for part in parts)


@dataclass(frozen=True)
class Metric:
    """A metric by name: call it with judged rows for its value."""

    name: str
    kind: str
    greater_is_better: bool
    needs_probabilities: bool
    prepare: Callable[[Judged], Weighted]
    """From judged rows to a function of row weights."""

    def weighted(self, judged: Judged) -> Weighted:
        """The metric as a function of row weights; undefined when a prediction is missing or not finite."""
        usable = judged.finite and (judged.probabilities is not None or not self.needs_probabilities)
        return self.prepare(judged) if usable else Undefined()

    def __call__(self, judged: Judged) -> float:
        """Value on all rows; NaN where it is not defined, never an exception."""
        import numpy as np

        return float(self.weighted(judged)(np.ones((1, len(judged.truth))))[0])


def judge(labels: pd.Series[Any], predicted: Predicted, classes: Sequence[Label] | None = None) -> Judged:
    """Bring labels and predictions together.

    Parameters
    ----------
    labels
        As `core.labels.clean_labels` gives them, shape (n,), in the order of the predicted rows.
    classes
        Classes to judge by, when two models with different classes are compared: probabilities of a class
        that the model does not know are 0. Its own classes when left out.
    """
    import numpy as np
    import pandas as pd

    if predicted.task == "regression":
        return Judged("regression", labels.to_numpy(dtype=float), np.asarray(predicted.values, dtype=float), None)
    wanted = tuple(predicted.classes if classes is None else classes)
    index = pd.Index(wanted)
    task: Task = "binary" if len(wanted) == 2 else "multiclass"  # noqa: PLR2004
    probabilities = predicted.probabilities
    if probabilities is not None and wanted != tuple(predicted.classes):
        aligned = np.zeros((len(probabilities), len(wanted)))
        aligned[:, index.get_indexer(pd.Index(predicted.classes))] = probabilities
        probabilities = aligned
    return Judged(
        task, index.get_indexer(pd.Index(labels)), index.get_indexer(pd.Index(predicted.values)), probabilities
    )


def measure(judged: Judged) -> dict[str, float]:
    """Every metric of the task, those from probabilities only when there are any."""
    return {name: metric(judged) for name, metric in METRICS.items() if _applies(metric, judged)}


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
        One problem for each field that names such a metric.
    """
    kind = "regression" if task == "regression" else "classification"
    named = {"gate.primary": primary(spec, task)}
    named |= {f"gate.absolute[{number}].metric": rule.metric for number, rule in enumerate(spec.gate.absolute)}
    if spec.training.search is not None and spec.training.search.metric is not None:
        named["training.search.metric"] = spec.training.search.metric
    problems = [
        Problem(
            code=ReasonCode.METRIC_UNKNOWN,
            field=field,
            found=f"{name}, and {spec.training.estimator} is for {kind}",
            allowed=f"one of: {', '.join(known.name for known in METRICS.values() if known.kind == kind)}",
            fix="name a metric of that kind, or another estimator",
        )
        for field, name in named.items()
        if name not in METRICS or METRICS[name].kind != kind
    ]
    if problems:
        raise TrainingError(problems, subject=spec.name)


def _applies(metric: Metric, judged: Judged) -> bool:
    kind = "regression" if judged.task == "regression" else "classification"
    return metric.kind == kind and (judged.probabilities is not None or not metric.needs_probabilities)


def _rows(judged: Judged, *columns: Array) -> Array:
    import numpy as np

    return np.column_stack([np.ones(len(judged.truth)), *columns])


def _mean(losses: Callable[[Judged], Array], root: bool = False) -> Callable[[Judged], Weighted]:
    def finish(sums: Array) -> Array:
        import numpy as np

        means = sums[:, 1] / sums[:, 0]
        return np.sqrt(means) if root else means

    return lambda judged: Additive(_rows(judged, losses(judged)), finish)


def _log_losses(judged: Judged) -> Array:
    import numpy as np

    p = judged.known
    of_truth = np.where(judged.truth < 0, 0.0, p[np.arange(len(p)), judged.truth])
    least = np.finfo(float).eps  # scikit-learn's own bounds
    return -np.log(np.clip(of_truth, least, 1 - least))


def _brier_scores(judged: Judged) -> Array:
    import numpy as np

    p = judged.known
    if judged.task == "binary":
        return (p[:, 1] - (judged.truth == 1)) ** 2
    of_truth = np.where(judged.truth < 0, 0.0, p[np.arange(len(p)), judged.truth])
    return (p**2).sum(axis=1) - 2 * of_truth + 1


def _relative_errors(judged: Judged) -> Array:
    import numpy as np

    return np.abs(judged.truth - judged.predicted) / np.maximum(np.abs(judged.truth), np.finfo(float).eps)


def _r2(judged: Judged) -> Weighted:
    def finish(sums: Array) -> Array:
        rows, first, second, squared = sums.T
        return 1 - squared / (second - first**2 / rows)

    centred = judged.truth - judged.truth.mean()  # keeps digits when the labels are far from zero
    return Additive(_rows(judged, centred, centred**2, (judged.truth - judged.predicted) ** 2), finish)


def _by_class(finish: Callable[[Array, Array, Array], Array]) -> Callable[[Judged], Weighted]:
    """Additive metric of three counts for each class: hits, predicted, true."""

    def prepare(judged: Judged) -> Weighted:
        import numpy as np
        from scipy import sparse

        rows = len(judged.truth)
        classes = 1 + int(max(judged.truth.max(), judged.predicted.max(), 1))
        hit = judged.truth == judged.predicted
        place = np.arange(rows)
        known, said = judged.truth >= 0, judged.predicted >= 0
        columns = [
            np.zeros(rows, dtype=int),
            1 + judged.truth[hit & known],
            1 + classes + judged.predicted[said],
            1 + 2 * classes + judged.truth[known],
        ]
        where = np.concatenate([place, place[hit & known], place[said], place[known]])
        data = np.ones(len(where))
        counts = sparse.csr_array((data, (where, np.concatenate(columns))), shape=(rows, 1 + 3 * classes))
        binary = judged.task == "binary"

        def from_sums(sums: Array) -> Array:
            hits, predicted, true = np.split(sums[:, 1:], 3, axis=1)
            if binary:
                return finish(hits, predicted, true)[:, 1]
            present = predicted + true > 0
            return np.where(present, finish(hits, predicted, true), 0).sum(axis=1) / present.sum(axis=1)

        return Additive(counts, from_sums)

    return prepare


def _ratio(above: Array, below: Array) -> Array:
    """Quotient with 0/0 = 0, scikit-learn's default: a model that never says yes has no precision to show."""
    import numpy as np

    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _balanced(judged: Judged) -> Weighted:
    import numpy as np

    counted = _by_class(lambda hits, _predicted, _true: hits)(judged)
    assert isinstance(counted, Additive)  # noqa: S101

    def finish(sums: Array) -> Array:
        hits, _predicted, true = np.split(sums[:, 1:], 3, axis=1)
        return _ratio(hits, true).sum(axis=1) / (true > 0).sum(axis=1)

    return Additive(counted.statistics, finish)


def _one_versus_rest(ranked: Callable[[Array, Array], Weighted]) -> Callable[[Judged], Weighted]:
    def prepare(judged: Judged) -> Weighted:
        p = judged.known
        if judged.task == "binary":
            return ranked(judged.truth == 1, p[:, 1])
        return Mean(tuple(ranked(judged.truth == number, p[:, number]) for number in range(p.shape[1])))

    return prepare


def _absolute(judged: Judged) -> Array:
    return abs(judged.truth - judged.predicted)


_FUNCTIONS: Mapping[str, tuple[bool, Callable[[Judged], Weighted]]] = {
    "log_loss": (True, _mean(_log_losses)),
    "brier": (True, _mean(_brier_scores)),
    "roc_auc": (True, _one_versus_rest(RocAuc)),
    "average_precision": (True, _one_versus_rest(AveragePrecision)),
    "accuracy": (False, _mean(lambda judged: (judged.truth == judged.predicted).astype(float))),
    "balanced_accuracy": (False, _balanced),
    "f1": (False, _by_class(lambda hits, predicted, true: _ratio(2 * hits, predicted + true))),
    "precision": (False, _by_class(lambda hits, predicted, _true: _ratio(hits, predicted))),
    "recall": (False, _by_class(lambda hits, _predicted, true: _ratio(hits, true))),
    "rmse": (False, _mean(lambda judged: (judged.truth - judged.predicted) ** 2, root=True)),
    "mae": (False, _mean(_absolute)),
    "median_absolute_error": (False, lambda judged: Median(_absolute(judged))),
    "mape": (False, _mean(_relative_errors)),
    "r2": (False, _r2),
}

METRICS: Mapping[str, Metric] = {
    name: Metric(name, meaning.kind, meaning.greater_is_better, *_FUNCTIONS[name])
    for name, meaning in declared.METRICS.items()
}
"""Every metric that a gate or a search may name."""
