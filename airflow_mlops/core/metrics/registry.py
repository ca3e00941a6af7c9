"""The registered metrics: the function behind each name, from judged rows to a function of row weights.

Values are scikit-learn's of the same name, with its `sample_weight`. Two differences: a class that only rows of no
weight have does not count in a mean over classes, and a class that the model does not know is a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.ranking import AveragePrecision, Median, RocAuc
from airflow_mlops.core.metrics.weighted import Additive, Mean, WeightedMetric

if TYPE_CHECKING:
    from airflow_mlops.core.metrics.labelled import LabelledPredictions

Prepare = Callable[["LabelledPredictions"], WeightedMetric]


def of_rows(judged: LabelledPredictions, losses: Array, root: bool = False) -> Additive:
    """Weighted mean of one number for each row, or its root."""

    def finish(sums: Array) -> Array:
        import numpy as np

        means = sums[:, 1] / sums[:, 0]
        return np.sqrt(means) if root else means

    return Additive(_rows(judged, losses), finish)


def _rows(judged: LabelledPredictions, *columns: Array) -> Array:
    import numpy as np

    return np.column_stack([np.ones(len(judged.y_true)), *columns])


def _mean(losses: Callable[[LabelledPredictions], Array], root: bool = False) -> Prepare:
    return lambda judged: of_rows(judged, losses(judged), root)


def _of_truth(judged: LabelledPredictions) -> Array:
    """Probability that was given to the true class."""
    import numpy as np

    p = judged.known
    return np.where(judged.y_true < 0, 0.0, p[np.arange(len(p)), judged.y_true])


def _log_losses(judged: LabelledPredictions) -> Array:
    import numpy as np

    least = np.finfo(float).eps  # scikit-learn's own bounds
    return -np.log(np.clip(_of_truth(judged), least, 1 - least))


def _brier_scores(judged: LabelledPredictions) -> Array:
    p = judged.known
    if judged.task == "binary":
        return (p[:, 1] - (judged.y_true == 1)) ** 2
    return (p**2).sum(axis=1) - 2 * _of_truth(judged) + 1


def _relative_errors(judged: LabelledPredictions) -> Array:
    import numpy as np

    return _absolute(judged) / np.maximum(np.abs(judged.y_true), np.finfo(float).eps)


def _absolute(judged: LabelledPredictions) -> Array:
    return abs(judged.y_true - judged.y_pred)


def _r2(judged: LabelledPredictions) -> WeightedMetric:
    def finish(sums: Array) -> Array:
        rows, first, second, squared = sums.T
        return 1 - squared / (second - first**2 / rows)

    centred = judged.y_true - judged.y_true.mean()  # keeps digits when the labels are far from zero
    return Additive(_rows(judged, centred, centred**2, (judged.y_true - judged.y_pred) ** 2), finish)


def _patterns(judged: LabelledPredictions) -> tuple[int, Array]:
    """Return the number of classes k, and each row's pair of classes as true * (k + 2) + predicted.

    Class k is every class that the model does not know; predicted k + 1 is another unknown one than the true one.
    """
    import numpy as np

    classes = 1 + int(max(judged.y_true.max(), judged.y_pred.max(), 1))
    same = judged.y_true == judged.y_pred
    true = np.where(judged.y_true < 0, classes, judged.y_true)
    predicted = np.where(judged.y_pred < 0, np.where(same, classes, classes + 1), judged.y_pred)
    return classes, true * (classes + 2) + predicted


def _accuracy(judged: LabelledPredictions) -> WeightedMetric:
    import numpy as np

    classes, pattern = _patterns(judged)
    every = np.arange((classes + 1) * (classes + 2))
    hit = every // (classes + 2) == every % (classes + 2)
    return Additive(_sparse(np.column_stack([np.ones(len(every)), hit])), lambda sums: sums[:, 1] / sums[:, 0], pattern)


def _by_class(finish: Callable[[Array, Array, Array], Array]) -> Prepare:
    """Additive metric of three counts for each class: hits, predicted, true."""

    def prepare(judged: LabelledPredictions) -> WeightedMetric:
        import numpy as np

        binary = judged.task == "binary"

        def from_sums(sums: Array) -> Array:
            hits, predicted, true = np.split(sums[:, 1:], 3, axis=1)
            if binary:
                return finish(hits, predicted, true)[:, 1]
            present = predicted + true > 0
            return np.where(present, finish(hits, predicted, true), 0).sum(axis=1) / present.sum(axis=1)

        return _counted(judged, from_sums)

    return prepare


def _counted(judged: LabelledPredictions, finish: Callable[[Array], Array]) -> Additive:
    import numpy as np
    from scipy import sparse

    classes, pattern = _patterns(judged)
    true, predicted = np.divmod(np.arange((classes + 1) * (classes + 2)), classes + 2)
    known, said = true < classes, predicted < classes
    hit = known & (true == predicted)
    place = np.arange(len(true))
    columns = [0 * place, 1 + true[hit], 1 + classes + predicted[said], 1 + 2 * classes + true[known]]
    where = np.concatenate([place, place[hit], place[said], place[known]])
    shape = (len(true), 1 + 3 * classes)
    table = sparse.csr_array((np.ones(len(where)), (where, np.concatenate(columns))), shape=shape)
    return Additive(table, finish, pattern)


def _sparse(table: Array) -> Array:
    from scipy import sparse

    return sparse.csr_array(table)


def _ratio(above: Array, below: Array) -> Array:
    """Quotient with 0/0 = 0, scikit-learn's default: a model that never says yes has no precision to show."""
    import numpy as np

    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _balanced(judged: LabelledPredictions) -> WeightedMetric:
    import numpy as np

    def finish(sums: Array) -> Array:
        hits, _predicted, true = np.split(sums[:, 1:], 3, axis=1)
        return _ratio(hits, true).sum(axis=1) / (true > 0).sum(axis=1)

    return _counted(judged, finish)


def _one_versus_rest(ranked: Callable[[Array, Array], WeightedMetric]) -> Prepare:
    def prepare(judged: LabelledPredictions) -> WeightedMetric:
        p = judged.known
        if judged.task == "binary":
            return ranked(judged.y_true == 1, p[:, 1])
        return Mean(tuple(ranked(judged.y_true == number, p[:, number]) for number in range(p.shape[1])))

    return prepare


FUNCTIONS: Mapping[str, tuple[bool, Prepare]] = {
    "log_loss": (True, _mean(_log_losses)),
    "brier": (True, _mean(_brier_scores)),
    "roc_auc": (True, _one_versus_rest(RocAuc)),
    "average_precision": (True, _one_versus_rest(AveragePrecision)),
    "accuracy": (False, _accuracy),
    "balanced_accuracy": (False, _balanced),
    "f1": (False, _by_class(lambda hits, predicted, true: _ratio(2 * hits, predicted + true))),
    "precision": (False, _by_class(lambda hits, predicted, _true: _ratio(hits, predicted))),
    "recall": (False, _by_class(lambda hits, _predicted, true: _ratio(hits, true))),
    "rmse": (False, _mean(lambda judged: (judged.y_true - judged.y_pred) ** 2, root=True)),
    "mae": (False, _mean(_absolute)),
    "median_absolute_error": (False, lambda judged: Median(_absolute(judged))),
    "mape": (False, _mean(_relative_errors)),
    "r2": (False, _r2),
}
"""By name: whether probabilities are needed, and the function."""
ABSOLUTE = frozenset({"mae", "median_absolute_error", "mape"})
"""Metrics of a regression that grow as the error does, not as its square: the constant model predicts the median for
them, and the weakest segments are searched for by the absolute error."""
