"""How much a model listens to each of its features."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.pipeline.shuffle import shuffled
from airflow_mlops.core.training.fit import Fitted
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

log = logging.getLogger(__name__)
ROWS, LEAST_ROWS, REPEATS = 2_000, 200, 3
PREDICTIONS = 60_000
"""Rows that are scored at most, as long as that leaves LEAST_ROWS for each feature: it bounds the time."""
CELLS = 4_000_000
"""Values in memory at once."""


def permutation_importance(spec: ModelSpec, fitted: Fitted, *, rows: int = ROWS) -> Mapping[str, float]:
    """Share of each feature in what the model knows, by name.

    A feature's values are permuted among rows of the holdout, and the mean loss rises by as much as the model relied
    on it (Breiman 2001, *Random forests*, section 10; Fisher, Rudin and Dominici 2019, *All models are wrong, but many
    are useful*, section 3, the difference form of model reliance). The loss is the log loss where there are
    probabilities, the share of wrong labels where there are none, and the squared error of a regression: they are
    defined on any rows, which not every metric of the gate is. A rise below 0 is chance, and counts as 0.

    Parameters
    ----------
    rows
        Holdout rows that are used at most, drawn by `training.seed`; fewer when there are many features.

    Returns
    -------
    Mapping
        Adding up to 1. Empty when no feature matters, or when the pipeline refuses rows with permuted values (a
        transformer of one's own may): then every feature counts alike.
    """
    import numpy as np

    names = [feature.name for feature in fitted.features]
    rng = np.random.default_rng(spec.training.seed)
    repeats = max(1, min(REPEATS, PREDICTIONS // (len(names) * rows)))
    wanted = min(rows, max(LEAST_ROWS, PREDICTIONS // (len(names) * repeats)))
    chosen = np.sort(rng.permutation(len(fitted.holdout_frame))[:wanted])
    sample, labels = fitted.holdout_frame.iloc[chosen], fitted.holdout_labels.iloc[chosen].to_numpy()
    before = _losses(fitted, sample, labels).mean()
    rises = dict.fromkeys(names, 0.0)
    try:
        for order in (rng.permutation(len(sample)) for _ in range(repeats)):
            for part, frame in _permuted(sample, names, order):
                losses = _losses(fitted, frame, np.tile(labels, len(part))).reshape(len(part), -1).mean(axis=1)
                for name, loss in zip(part, losses.tolist(), strict=True):
                    rises[name] += (loss - before) / repeats
    except Exception as error:  # noqa: BLE001  whatever a team's own transformer raises on rows that cannot be
        log.warning("no importance of features: the pipeline raised %s on permuted values", type(error).__name__)
        return {}
    shares = {name: max(rise, 0.0) for name, rise in rises.items()}
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()} if 0 < total < np.inf else {}


def _permuted(sample: pd.DataFrame, names: list[str], order: Array) -> Iterator[tuple[list[str], pd.DataFrame]]:
    """Yield features, and the sample once for each with its values permuted: one call scores many features."""
    at_once = max(1, CELLS // (len(sample) * len(sample.columns)))
    for start in range(0, len(names), at_once):
        part = names[start : start + at_once]
        yield part, shuffled(sample, part, order)


def _losses(fitted: Fitted, frame: pd.DataFrame, labels: np.ndarray[Any, Any]) -> Array:
    """Loss of each row, shape (rows,)."""
    import numpy as np
    import pandas as pd

    predicted = predict(fitted.pipeline, frame, fitted)
    if predicted.task == "regression":
        squared: Array = (labels.astype(float) - predicted.values) ** 2
        return squared
    if predicted.probabilities is None:
        wrong: Array = (np.asarray(predicted.values) != labels).astype(float)
        return wrong
    place = pd.Index(predicted.classes).get_indexer(pd.Index(labels))
    least = np.finfo(float).eps  # as core.metrics.registry
    of_truth = predicted.probabilities[np.arange(len(labels)), place]
    losses: Array = -np.log(np.clip(np.where(place < 0, 0.0, of_truth), least, 1 - least))
    return losses
