"""Problems have one shape."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from airflow_mlops.core.errors import DataError, RecordError, StaleDecisionError, StoreUnavailableError, TrainingError
from airflow_mlops.spec import Problem
from airflow_mlops.spec.problems import ReasonCode, Refusal, SpecError


def test_problems_have_one_shape() -> None:
    assert [field.name for field in dataclasses.fields(Problem)] == [
        "code",
        "field",
        "found",
        "allowed",
        "fix",
        "where",
    ]


@pytest.mark.parametrize(
    "kind", [SpecError, DataError, RecordError, StaleDecisionError, StoreUnavailableError, TrainingError]
)
def test_a_refusal_comes_whole_from_another_process(kind: type[Refusal]) -> None:
    problems = [
        Problem(code=ReasonCode.SPEC_INVALID_VALUE, field=name, found="1", allowed="2", fix="write 2") for name in "ab"
    ]
    refusal = kind(problems, subject="orders")
    refusal.add_note("while at work on it")
    again = pickle.loads(pickle.dumps(refusal))
    assert type(again) is kind
    assert (str(again), again.problems, again.subject) == (str(refusal), tuple(problems), "orders")
    assert again.__notes__ == ["while at work on it"]
