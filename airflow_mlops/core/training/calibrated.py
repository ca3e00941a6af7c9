"""Probabilities of an estimator that learned from few events: whether they are too sure of themselves, and what helps.

An estimator that overfits says probabilities that are too far from the middle, and its log loss may be worse than that
of no model at all, however well it ranks. The calibration slope says so: the coefficient of a logistic regression of
the outcome on the logit of the predicted probability, on rows that the estimator has not learned from. It is 1 for
probabilities that mean what they say, and below 1 for those that are too sure (Cox, 1958; Steyerberg, 2009, chapter
15). Where it surely is below 1, the estimator is fitted in folds and each is calibrated on the fold that it has not
seen, by Platt's two parameters, and the mean of them all serves (Platt, 1999; scikit-learn's `CalibratedClassifierCV`).

References
----------
D. R. Cox (1958), Two further applications of a model for binary regression, Biometrika 45.
J. C. Platt (1999), Probabilistic outputs for support vector machines, Advances in large margin classifiers.
E. W. Steyerberg (2009), Clinical prediction models, Springer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.rows.weights import fit_arguments
from airflow_mlops.core.stats.calibration_slope import calibration_slope
from airflow_mlops.core.training.training_start import TrainingRows

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

METHOD, FOLDS = "sigmoid", 5
"""Folds are stratified, and each is of neighbours in time: nothing is drawn at random."""
MANY_EVENTS = 1000
"""Rows of the rarest class from which on nobody looks: what overfits so many has been tuned to, and five fits of it
would cost more than they tell."""
SURE = 1.96
"""Standard errors that the slope lies below 1."""


def is_overconfident(pipeline: Pipeline, rows: TrainingRows) -> bool:
    """Whether the probabilities of a classifier are surely too far from the middle.

    Parameters
    ----------
    pipeline
        Not fitted; its last step gives probabilities.
    rows
        What it would learn from. Each fold is predicted by a pipeline that has not seen it.
    """
    import numpy as np
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold

    counts = rows.labels.value_counts()
    if len(counts) < 2 or counts.min() < 2 * FOLDS or counts.min() >= MANY_EVENTS:  # noqa: PLR2004 - one class
        return False
    labels = rows.labels.to_numpy()
    said = np.empty((len(labels), len(counts)))
    for learned, left_out in StratifiedKFold(FOLDS).split(rows.inputs, labels):
        part = rows.take(_mask(learned, len(labels)))
        model = clone(pipeline).fit(part.inputs, part.labels.to_numpy(), **fit_arguments(part.weights))
        said[left_out] = model.predict_proba(rows.inputs.iloc[left_out])
    came = labels[:, None] == np.unique(labels)[None, :]
    wanted = slice(1, 2) if said.shape[1] == 2 else slice(None)  # noqa: PLR2004 - of two classes one says all
    slope, error = calibration_slope(said[:, wanted].ravel(), came[:, wanted].ravel())
    return math.isfinite(slope) and slope + SURE * error < 1


def with_calibration(pipeline: Pipeline) -> Pipeline:
    """Return the pipeline, not fitted, with its last step calibrated in folds."""
    from sklearn.base import clone
    from sklearn.calibration import CalibratedClassifierCV

    made = clone(pipeline)
    name, estimator = made.steps[-1]
    made.steps[-1] = (name, CalibratedClassifierCV(estimator, method=METHOD, cv=FOLDS))
    return made


def _mask(places: Array, count: int) -> Array:
    import numpy as np

    mask: Array = np.zeros(count, dtype=bool)
    mask[places] = True
    return mask
