"""Predictions of a fitted pipeline, in one shape for training, the gate and scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.records.candidate import Feature, Label, Task
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Described(Protocol):
    """What prediction needs to know of a model: a `Candidate` and a `Fitted` both say it."""

    @property
    def task(self) -> Task:
        """Binary, multiclass or regression."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """Columns in the order of training."""

    @property
    def classes(self) -> tuple[Label, ...]:
        """Class labels in the order of `predict_proba`'s columns; empty for regression."""

    @property
    def positive(self) -> Label | None:
        """Of two classes, the one that metrics are about; None: the last of `classes`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Predicted:
    """Predictions for n rows."""

    task: Task
    classes: tuple[Label, ...]
    """Of two classes the positive one comes last."""
    values: np.ndarray[Any, Any]
    """Predicted labels, or numbers for regression; shape (n,)."""
    probabilities: np.ndarray[Any, Any] | None
    """Shape (n, number of classes), columns as `classes`; None for regression and for estimators without them."""

    @property
    def positive(self) -> np.ndarray[Any, Any] | None:
        """Probability of the positive class of a binary task, the last of `classes`; shape (n,)."""
        return None if self.probabilities is None or self.task != "binary" else self.probabilities[:, 1]


def predict(pipeline: Any, frame: pd.DataFrame, model: Described) -> Predicted:
    """Score every row of a frame.

    Parameters
    ----------
    pipeline
        The fitted pipeline, as trained or as loaded from the store.
    frame
        Rows with at least the feature columns: extra columns, another order, categories never seen and
        missing values are all fine.
    model
        The `Candidate` or `Fitted` that the pipeline belongs to.

    Raises
    ------
    DataError
        If a feature column is missing or of another type.
    TrainingError
        If the pipeline's classes are not those that were recorded.

    Notes
    -----
    For classifiers `values` is the class of the highest probability (as scikit-learn's own), so that the rows
    are scored once.
    """
    return predict_prepared(pipeline, as_features(frame, model.features), model)


def predict_prepared(pipeline: Any, inputs: pd.DataFrame, model: Described) -> Predicted:
    """Score rows that :func:`~airflow_mlops.core.pipeline.features.as_features` has prepared.

    Whoever scores the same rows once for each of hundreds of columns prepares them once.

    Raises
    ------
    TrainingError
        As :func:`predict`.
    """
    import numpy as np

    if model.task == "regression":
        numbers = np.asarray(pipeline.predict(inputs), dtype=float).reshape(len(inputs))
        return Predicted(task=model.task, classes=(), values=numbers, probabilities=None)
    if not hasattr(pipeline, "predict_proba"):
        labels = np.asarray(pipeline.predict(inputs)).reshape(len(inputs))
        return Predicted(task=model.task, classes=judged_classes(model), values=labels, probabilities=None)
    require_classes(pipeline, model)
    probabilities = np.asarray(pipeline.predict_proba(inputs), dtype=float)
    labels = np.asarray(pipeline.classes_)[probabilities.argmax(axis=1)]
    classes = judged_classes(model)
    if classes != model.classes:
        probabilities = probabilities[:, ::-1]
    return Predicted(task=model.task, classes=classes, values=labels, probabilities=probabilities)


def judged_classes(model: Described) -> tuple[Label, ...]:
    """Class labels in the order in which predictions are judged: of two, the positive one last.

    The pipeline's own order is that of its labels as they are sorted, by the alphabet or by size, which says nothing of
    what the model is for.
    """
    return _positive_last(model.classes, model.positive)


def _positive_last(classes: tuple[Label, ...], positive: Label | None) -> tuple[Label, ...]:
    first = len(classes) == 2 and positive is not None and classes[0] == positive  # noqa: PLR2004
    return classes[::-1] if first else classes


def predict_trial(pipeline: Any, inputs: pd.DataFrame, task: Task, positive: Label | None) -> Predicted:
    """Score rows with a pipeline that is only tried: one of a search, or of a part of the rows.

    Parameters
    ----------
    pipeline
        Fitted.
    inputs
        Feature columns, as :func:`~airflow_mlops.core.pipeline.features.as_features` gives them.
    positive
        Of two classes, the positive one.
    """
    import numpy as np

    values = np.asarray(pipeline.predict(inputs))
    if task == "regression":
        return Predicted(task=task, classes=(), values=values, probabilities=None)
    own = plain_classes(pipeline.classes_)
    classes = _positive_last(own, positive)
    given = np.asarray(pipeline.predict_proba(inputs)) if hasattr(pipeline, "predict_proba") else None
    if given is not None and classes != own:
        given = given[:, ::-1]
    return Predicted(task=task, classes=classes, values=values.reshape(len(inputs)), probabilities=given)


def plain_classes(classes: Sequence[Any]) -> tuple[Label, ...]:
    """Class labels as plain Python values, as a record keeps them.

    >>> import numpy as np
    >>> plain_classes(np.array([False, True]))
    (False, True)
    """
    return tuple(label.item() if hasattr(label, "item") else label for label in classes)


def require_classes(pipeline: Any, model: Described) -> None:
    """Refuse a pipeline whose classes are not the recorded ones: its columns would mean something else.

    Raises
    ------
    TrainingError
        With both numbers of classes; label values are data and stay out of messages.
    """
    found = plain_classes(pipeline.classes_)
    if found != model.classes:
        raise TrainingError(
            Problem(
                code=ReasonCode.RECORD_CONFLICT,
                field="classes",
                found=f"a stored model with {len(found)} classes that differ from the record's {len(model.classes)}",
                allowed="the model that the record was written for",
                fix="train again: model and record do not belong together",
            )
        )
