"""A classifier that is trained on class numbers, whatever the labels are."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import get_tags


class EncodedClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Train an estimator on class numbers 0, 1, ..., and answer in labels.

    Boosted models of other libraries take numbers only, or number text labels by the alphabet; their parameters such
    as `scale_pos_weight` are about class 1. Here the class that `positive` names is the last one.

    Parameters
    ----------
    estimator
        A classifier of numbers.
    positive
        Label that gets the largest number; None: labels are numbered as they are sorted.

    Attributes
    ----------
    classes_
        Labels, sorted; the columns of `predict_proba`, shape (classes,).
    order_
        Class number of each label of `classes_`, shape (classes,).
    estimator_
        Fitted.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> model = EncodedClassifier(DecisionTreeClassifier(), positive="fraud")
    >>> model = model.fit([[0.0], [1.0]], ["legit", "fraud"])
    >>> model.estimator_.classes_.tolist(), model.classes_.tolist(), model.predict([[1.0]]).tolist()
    ([0, 1], ['fraud', 'legit'], ['fraud'])
    """

    def __init__(self, estimator: Any = None, positive: Any = None) -> None:
        self.estimator = estimator
        self.positive = positive

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> EncodedClassifier:  # noqa: N803
        """Number the labels, and fit."""
        self.number(y)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.estimator_ = clone(self.estimator).fit(X, self.encode(y), **weights)
        return self

    def encode(self, y: Any) -> np.ndarray[Any, Any]:
        """Class numbers of labels, shape (rows,)."""
        return self.order_[np.searchsorted(self.classes_, np.asarray(y))]

    def number(self, y: Any) -> np.ndarray[Any, Any]:
        """Number the labels; return the class number of each, in the order in which they are sorted."""
        self.classes_ = np.unique(np.asarray(y))
        names = self.classes_.tolist()
        last = names.index(self.positive) if self.positive in names else len(names) - 1
        others = [place for place in range(len(names)) if place != last]
        self.order_ = np.empty(len(names), dtype=np.int64)
        self.order_[[*others, last]] = np.arange(len(names))
        return self.order_

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """Probabilities, columns as `classes_`; shape (rows, classes)."""
        found: np.ndarray[Any, Any] = np.asarray(self.estimator_.predict_proba(X))[:, self.order_]
        return found

    def predict(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """The label of the highest probability; shape (rows,)."""
        labels: np.ndarray[Any, Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator).input_tags
        tags.input_tags.allow_nan, tags.input_tags.sparse = inner.allow_nan, inner.sparse
        return tags
