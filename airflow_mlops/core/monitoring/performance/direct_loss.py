"""Direct loss estimation: what a regression's errors are, from the rows alone, without outcomes.

A second model learns, on rows whose outcomes are known, how large the first one's error is for which features and
which prediction. The mean of what it expects of new rows estimates the metric, where that is a mean of losses.

Assumptions: the error given the features is distributed as it was (no concept drift), and the rows are of kinds that
the known rows had.

References
----------
NannyML, Direct loss estimation, https://nannyml.readthedocs.io/en/stable/how_it_works/performance_estimation.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import Metric
from airflow_mlops.core.metrics.registry import of_rows
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.spec.metrics import MetricDeclaration

if TYPE_CHECKING:
    import pandas as pd

LOSSES: dict[str, Literal["squared", "absolute", "relative"]] = {
    "rmse": "squared",
    "mae": "absolute",
    "mape": "relative",
}
"""Metrics that are means of a loss, or its root."""
FOLDS = 5
ASSUMPTIONS = (
    "the error given the features is distributed as on the holdout rows (no concept drift)",
    "the rows are of kinds that the holdout rows had (covariates within their support)",
)


@dataclass(frozen=True, eq=False)
class LossModel:
    """What error to expect of a row."""

    features: tuple[Feature, ...]
    encoder: Any
    """Of the categorical features; None where there are none."""
    regressor: Any
    relative_error: float = math.nan
    """Standard error of the level of the losses, over the level; NaN with fewer than `FOLDS` blocks."""

    def __call__(self, rows: pd.DataFrame, *, predicted: Array) -> Array:
        """Expected losses, >= 0, shape (n,), of rows with the features and the first model's predictions."""
        import numpy as np

        found: Array = np.maximum(self.regressor.predict(_matrix(rows, predicted, self.features, self.encoder)), 0.0)
        return found


def fit_losses(  # noqa: PLR0917 - what is learnt from, of what, and how
    rows: pd.DataFrame,
    judged: LabelledPredictions,
    features: Sequence[Feature],
    metric: str,
    seed: int,
    block: Array | None = None,
) -> LossModel:
    """Learn the losses behind a metric of `LOSSES`, on rows whose outcomes are known.

    Squared error is minimised whatever the loss is, because the mean of the losses is wanted. The trees are kept
    small: it is the mean over many rows that counts, and a tree that knows single rows has learned noise.

    How far off its level may be is told by blocks that it has not seen: in `FOLDS` groups in order, each is expected
    from the others, and the ratio of what came to what was expected has the error of a ratio of block sums (W. Cochran,
    Sampling techniques, 3rd edition, 1977, section 6.3).

    Parameters
    ----------
    block
        Block number of each row, shape (n,); None: rows count one by one.
    """
    import numpy as np
    from sklearn.preprocessing import OrdinalEncoder

    features = tuple(features)
    categorical = [feature.name for feature in features if feature.role == "categorical"]
    encoder = None
    if categorical:
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
        ).fit(as_features(rows, features)[categorical])
    matrix, losses = _matrix(rows, judged.y_pred, features, encoder), _losses(judged, metric)
    # None where all count alike: scikit-learn bins weighted rows by weighted percentiles, which takes twenty times as
    # long as all the rest.
    weights = None if judged.weights is None else np.asarray(judged.weights, dtype=float)
    units = np.arange(len(losses)) if block is None else np.unique(block, return_inverse=True)[1]
    error = _relative_error(matrix, losses, weights, units, seed)
    return LossModel(features, encoder, _regressor(seed).fit(matrix, losses, weights), error)


def _regressor(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=60, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=50, early_stopping=False, random_state=seed
    )


def _relative_error(matrix: Array, losses: Array, weights: Array | None, units: Array, seed: int) -> float:
    import numpy as np

    count = int(units.max()) + 1 if len(units) else 0
    if count < FOLDS:
        return math.nan
    fold, foreseen = units * FOLDS // count, np.zeros(len(losses))
    for number in range(FOLDS):
        new = fold == number
        model = _regressor(seed).fit(matrix[~new], losses[~new], None if weights is None else weights[~new])
        foreseen[new] = np.maximum(model.predict(matrix[new]), 0.0)
    each = 1.0 if weights is None else weights
    came = np.bincount(units, weights=each * losses, minlength=count)
    meant = np.bincount(units, weights=each * foreseen, minlength=count)
    if came.sum() <= 0 or meant.sum() <= 0:
        return math.nan
    ratio = came.sum() / meant.sum()
    return float(np.sqrt(((came - ratio * meant) ** 2).sum() * count / (count - 1)) / came.sum())


def mean_of(losses: Array, metric: str) -> Metric:
    """The metric as a function of rows whose losses are expected ones."""

    def prepare(judged: LabelledPredictions) -> Any:
        return of_rows(judged, losses, root=LOSSES[metric] == "squared")

    return Metric(metric, MetricDeclaration("regression", greater_is_better=False), False, prepare)


def _losses(judged: LabelledPredictions, metric: str) -> Array:
    import numpy as np

    error = judged.y_true - judged.y_pred
    kind = LOSSES[metric]
    if kind == "squared":
        return error**2
    if kind == "absolute":
        return np.abs(error)
    return np.abs(error) / np.maximum(np.abs(judged.y_true), np.finfo(float).eps)


def _matrix(rows: pd.DataFrame, predicted: Array, features: tuple[Feature, ...], encoder: Any) -> Array:
    import numpy as np

    frame = as_features(rows, features)
    numeric = frame[[feature.name for feature in features if feature.role == "numeric"]].to_numpy(dtype=float)
    parts = [numeric, np.asarray(predicted, dtype=float)[:, None]]
    if encoder is not None:
        parts.append(encoder.transform(frame[[f.name for f in features if f.role == "categorical"]]))
    return np.column_stack(parts)
