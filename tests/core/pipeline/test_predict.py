"""Predictions in one shape, and the refusal of a model that is not the record's."""

from typing import Any

import numpy as np
import pytest

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.training.fit import fit

CASES = {
    "binary": "sklearn.ensemble.RandomForestClassifier",
    "multiclass": "sklearn.linear_model.LogisticRegression",
    "regression": "sklearn.tree.DecisionTreeRegressor",
}


@pytest.mark.parametrize("kind", CASES)
def test_a_record_that_was_written_and_read_predicts_the_same(loop: Any, kind: str) -> None:
    spec, frame = loop.spec(CASES[kind]), loop.frame(800, kind=kind)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    record = Candidate.from_json(loop.candidate(fitted).to_text())
    assert record.classes == fitted.classes
    found, again = predict(fitted.pipeline, frame, fitted), predict(fitted.pipeline, frame, record)
    np.testing.assert_array_equal(found.values, again.values)
    np.testing.assert_array_equal(found.values, fitted.pipeline.predict(frame[["a", "b", "c"]]))
    if kind == "regression":
        assert found.probabilities is None
    else:
        assert found.probabilities.shape == (800, len(found.classes))
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    assert (found.positive is not None) == (kind == "binary")
    if found.positive is not None:
        assert found.positive[frame["y"]].mean() > found.positive[~frame["y"]].mean()


def test_a_model_of_other_classes_is_refused(loop: Any) -> None:
    spec, frame = loop.spec(CASES["multiclass"]), loop.frame(800)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    with pytest.raises(TrainingError, match="classes"):
        predict(fitted.pipeline, frame, loop.candidate(fitted, classes=(True, False)))


def test_labels_alone_come_from_a_classifier_without_probabilities(loop: Any) -> None:
    spec, frame = loop.spec("sklearn.svm.LinearSVC", gate={"primary": "f1"}), loop.frame(800)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    found = predict(fitted.pipeline, frame, fitted)
    assert found.probabilities is None
    assert set(found.values.tolist()) == {True, False}
