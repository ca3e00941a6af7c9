"""Labels: which class is the positive one, and what is one class spelt twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from airflow_mlops.core.rows.labels import (
    PAIRS,
    clean_labels,
    has_label,
    label_problems,
    positive_class,
    positive_problem,
)
from airflow_mlops.spec.problems import ReasonCode
from tests.support.builders import make_spec


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        ((0, 1), 1),
        ((1, 2), 2),
        ((-1, 1), 1),
        ((0.5, 0.25), 0.5),
        ((False, True), True),
        (("0", "1"), "1"),
        (("10", "9"), "10"),
        (("no", "yes"), "yes"),
        (("No", "YES"), "YES"),
        (("Y", "N"), "Y"),
        (("negative", "positive"), "positive"),
        (("TRUE", "FALSE"), "TRUE"),
    ],
)
def test_numbers_and_well_known_pairs_are_evident(classes: tuple[Any, ...], positive: Any) -> None:
    for order in (classes, classes[::-1]):
        assert positive_class(order, None) == positive
        assert type(positive_class(order, None)) is type(positive)


@pytest.mark.parametrize(
    "classes", [("fraud", "legit"), ("good", "bad"), ("churned", "stayed"), ("yes", "true"), ("no", "positive")]
)
def test_other_pairs_of_texts_are_not_and_the_alphabet_is_not_asked(classes: tuple[str, str]) -> None:
    assert positive_class(classes, None) is None
    problem = positive_problem(make_spec(), dict.fromkeys(classes, 10))
    assert problem is not None
    assert problem.code == ReasonCode.LABEL_AMBIGUOUS
    assert all(repr(label) in problem.found for label in classes)
    assert all(f"data.positive: {label}" in problem.fix for label in classes)


def test_no_pair_says_two_things() -> None:
    assert len({text for pair in PAIRS for text in pair}) == 2 * len(PAIRS)


@pytest.mark.parametrize(
    ("named", "classes", "positive"),
    [
        ("fraud", ("fraud", "legit"), "fraud"),
        (0, (0, 1), 0),
        ("0", (0, 1), 0),
        (1, ("0", "1"), "1"),
        (False, (False, True), False),
        ("false", (False, True), False),
        (" Fraud", ("fraud", "legit"), "fraud"),
    ],
)
def test_the_named_class_is_positive_however_it_is_written(named: Any, classes: Any, positive: Any) -> None:
    spec = make_spec(data={"positive": named})
    assert positive_class(classes, spec.data.positive) == positive
    assert positive_problem(spec, dict.fromkeys(classes, 5)) is None


def test_a_named_class_that_is_none_is_refused_with_the_nearest() -> None:
    problem = positive_problem(make_spec(data={"positive": "frod"}), {"fraud": 3, "legit": 97})
    assert problem is not None
    assert "'fraud' (3 rows), 'legit' (97 rows)" in problem.found
    assert problem.fix == "did you mean 'fraud'?"


def test_a_named_class_of_three_is_refused_and_three_without_a_name_are_not() -> None:
    counts = {"a": 1, "b": 2, "c": 3}
    assert positive_problem(make_spec(), counts) is None
    problem = positive_problem(make_spec(data={"positive": "a"}), counts)
    assert problem is not None
    assert "3 classes" in problem.found


def test_blank_labels_are_none_and_decimals_are_numbers() -> None:
    assert has_label(pd.Series(["a", " ", None, ""])).tolist() == [True, False, False, False]
    frame = pd.DataFrame({"y": [Decimal(1), None, Decimal(0)]})
    _, labels = clean_labels(make_spec(), frame, classification=True)
    assert (labels.tolist(), str(labels.dtype)) == ([1, 0], "int64")


def test_outcomes_are_taken_for_the_models_classes_when_only_case_or_space_differ() -> None:
    frame = pd.DataFrame({"y": ["Fraud ", "legit", "LEGIT", "other", " "]})
    rows, labels = clean_labels(make_spec(), frame, classification=True, classes=("fraud", "legit"))
    assert labels.tolist() == ["fraud", "legit", "legit", "other"]
    assert len(rows) == 4


def test_fractions_are_no_classes_and_whole_ones_are() -> None:
    spec = make_spec(gate={"min_rows": 20})
    fractions, whole = pd.Series([0.0, 0.5] * 20), pd.Series([0.0, 1.0] * 20).astype("int64")
    found = label_problems(spec, fractions, whole, True, 1)
    assert [problem.code for problem in found] == [ReasonCode.ESTIMATOR_INVALID]
    assert "labels with fractions in the 40 training rows" in found[0].found
    assert "name a regressor" in found[0].fix
    assert label_problems(spec, whole, whole, True, 1) == []
    assert label_problems(spec, fractions, fractions, False, 1) == []
