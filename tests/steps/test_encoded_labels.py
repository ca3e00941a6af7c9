"""A classifier of numbers answers in labels, whatever their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression

from airflow_mlops_steps.encoded_labels import EncodedClassifier


def rows(labels: list[Any], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 2))
    place = np.clip(np.floor(x[:, 0] + 0.5 * len(labels) + 0.3 * rng.normal(size=300)), 0, len(labels) - 1)
    return x, np.array(labels)[place.astype(int)]


@pytest.mark.parametrize("labels", [["fraud", "legit"], [1, 2], [True, False], ["a", "b", "c"], [7, 3, 5]])
@pytest.mark.parametrize("named", [None, 0])
def test_probabilities_are_those_of_the_estimator_itself(labels: list[Any], named: int | None) -> None:
    x, y = rows(labels)
    positive = None if named is None or len(labels) > 2 else labels[named]
    ours = EncodedClassifier(LogisticRegression(tol=1e-10), positive=positive).fit(x, y)
    theirs = LogisticRegression(tol=1e-10).fit(x, y)
    assert ours.classes_.tolist() == theirs.classes_.tolist() == sorted(set(labels))
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-5)
    np.testing.assert_array_equal(ours.predict(x), ours.classes_[ours.predict_proba(x).argmax(axis=1)])


def test_the_positive_class_is_the_last_number() -> None:
    model = EncodedClassifier(LogisticRegression(), positive="fraud")
    model.number(["legit", "fraud"])
    assert model.encode(["fraud", "legit", "fraud"]).tolist() == [1, 0, 1]


def test_weights_reach_the_estimator_and_it_can_be_calibrated() -> None:
    x, y = rows(["fraud", "legit"])
    weights = np.where(y == "fraud", 5.0, 1.0)
    ours = EncodedClassifier(LogisticRegression(), positive="fraud").fit(x, y, sample_weight=weights)
    theirs = LogisticRegression().fit(x, y, sample_weight=weights)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-4)
    calibrated = CalibratedClassifierCV(clone(ours), cv=3).fit(x, y)
    fraud = calibrated.predict_proba(x)[:, list(calibrated.classes_).index("fraud")]
    assert fraud[y == "fraud"].mean() > fraud[y == "legit"].mean() + 0.2
