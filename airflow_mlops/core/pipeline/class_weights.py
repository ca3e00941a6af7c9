"""Weights of classes and numbers of labels: what a specification writes by label, as an estimator takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.pipeline import boosters
from airflow_mlops.core.records.candidate import Label
from airflow_mlops.core.rows.labels import ways_to_write
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd


def match_class_weights(estimator: Any, classes: Sequence[Label], numbers: Mapping[Label, int] | None = None) -> None:
    """Give weights of classes, written by label, to the labels as the data have them.

    A specification's keys are text: ``{0: 1, 1: 5}`` is about the numbers 0 and 1 where those are the labels, and
    about the texts "0" and "1" where these are.

    Parameters
    ----------
    estimator
        Any estimator inside it has its weights matched, too.
    classes
        Labels of the training rows.
    numbers
        Class number of each label, where the estimator is trained on numbers.

    Raises
    ------
    TrainingError
        One problem for each key that is no label, and for each weight that is no number.
    """
    problems: list[Problem] = []
    for name, value in list(estimator.get_params(deep=True).items()):
        if name.rpartition("__")[2] in CLASS_WEIGHTS and isinstance(value, Mapping):
            field = f"training.parameters.{name.replace('__', '.parameters.')}"
            matched = matched_weights(value, classes, field, problems)
            if numbers is not None:
                matched = {numbers[label]: weight for label, weight in matched.items()}
            estimator.set_params(**{name: matched})
    if problems:
        raise TrainingError(problems)


CLASS_WEIGHTS = frozenset({"class_weight", "class_weights"})
"""Parameters that hold a weight for each class."""


def for_classes(estimator: Any, labels: pd.Series[Any], positive: Label | None) -> Any:
    """Return a classifier that takes these labels, with its weights of classes matched to them.

    Boosted models of other libraries are given class numbers, of two classes 1 for the positive one: their own order is
    the alphabet's, and parameters such as `scale_pos_weight` are about class 1.

    Parameters
    ----------
    labels
        Of the training rows, shape (n,).
    positive
        Of two classes, the positive one.

    Raises
    ------
    TrainingError
        If there is a weight for what is no class.
    """
    import numpy as np

    classes = [label.item() if hasattr(label, "item") else label for label in np.unique(labels.to_numpy())]
    if not boosters.numbers_labels(estimator):
        match_class_weights(estimator, classes)
        return estimator
    from airflow_mlops_steps.encoded_labels import EncodedClassifier

    encoded = EncodedClassifier(estimator, positive=positive)
    numbers = encoded.number(labels.to_numpy())
    match_class_weights(estimator, classes, dict(zip(classes, numbers.tolist(), strict=True)))
    plain = classes == list(range(len(classes))) and not isinstance(classes[0], bool)
    return estimator if plain and numbers.tolist() == classes else encoded


def matched_weights(
    value: Mapping[Any, Any], classes: Sequence[Label], field: str, problems: list[Problem]
) -> dict[Any, Any]:
    """Return weights by label, and note what is wrong with them."""
    known = {written: label for label in classes for written in ways_to_write(label)}
    matched = {}
    for key, weight in value.items():
        label = next((known[written] for written in ways_to_write(key) if written in known), None)
        if label is None or isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
            problems.append(_wrong_weight(f"{field}.{key}", key, weight, label is not None, classes))
        else:
            matched[label] = weight
    return matched


def _wrong_weight(field: str, key: Any, weight: Any, known: bool, classes: Sequence[Label]) -> Problem:
    shown = ", ".join(map(str, classes[:20])) + (", ..." if len(classes) > 20 else "")  # noqa: PLR2004 - a sentence
    return Problem(
        code=ReasonCode.ESTIMATOR_INVALID,
        field=field,
        found=f"the weight {weight!r}" if known else f"a weight of the class {str(key)!r}, which no training row has",
        allowed="a number >= 0" if known else f"one of the classes {shown}",
        fix="write a number" if known else "write the label as the data have it, or leave it out",
    )
